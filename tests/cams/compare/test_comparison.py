import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.cams.compare.agreement import (
    against_expert,
    energy_inside,
    pairwise_iou,
    pointing_game,
)
from napari_gliocam.cams.compare.comparison import Comparison, to_csv
from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.cams.compare.sheet import choose_slices
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.measure.scores.overlap import dice, iou


def test_figures_by_hand():
    a = np.array([[[True, True, False, False]]])
    b = np.array([[[True, False, True, False]]])
    assert iou(a, b) == pytest.approx(1 / 3)
    empty = a & ~a
    assert np.isnan(next(iter(pairwise_iou({"x": empty, "y": empty}).values())))
    assert pairwise_iou({"x": empty, "y": a}) == {("x", "y"): 0.0}
    map_ = np.float32([[[0.3, 0.1, 0.6, 0.0]]])
    assert np.isnan(list(against_expert(map_, 0.5, empty).values())).all()
    assert np.isnan(list(against_expert(map_ * 0, 0.5, empty).values())).all()
    assert against_expert(map_ * 0, 0.5, a)["dice"] == 0
    assert pairwise_iou({"x": a, "y": a, "z": b}) == {
        ("x", "y"): 1.0,
        ("x", "z"): pytest.approx(1 / 3),
        ("y", "z"): pytest.approx(1 / 3),
    }
    map_ = np.float32([[[0.3, 0.1, 0.6, 0.0]]])
    assert energy_inside(map_, a) == pytest.approx(0.4)
    assert np.isnan(energy_inside(map_ * 0, a))
    assert pointing_game(map_, a) == 0
    assert pointing_game(map_, b) == 1
    assert np.isnan(pointing_game(map_, a & ~a))


def test_the_pointing_game_counts_slices_with_lesion():
    truth = np.zeros((4, 2, 2), dtype=bool)
    truth[:3, 0, 0] = True
    map_ = np.zeros((4, 2, 2), dtype=np.float32)
    map_[0, 0, 0] = map_[1, 1, 1] = 1  # a hit, a miss; nothing on the third; no lesion on the last
    assert pointing_game(map_, truth) == pytest.approx(1 / 3)


def test_slices_through_the_lesion():
    weights = np.zeros(20)
    weights[8:12] = 1
    assert choose_slices(weights, 3) == [8, 9, 10]
    assert choose_slices(np.zeros(20)) == [10]


@pytest.fixture(scope="module")
def comparison(prepared, case):
    compared = Comparison(case, threshold=0.5)
    for name in ("gradcam", "exit"):
        result = explain(prepared, name, ("core", "edema"), layer=3)
        compared.add(result)
        assert result.targets == ("core", "edema")
    compared.add_ensemble("Both", Ensemble("intersection"))
    return compared


def test_every_figure_is_in_the_table(comparison):
    table = list(csv.DictReader(io.StringIO(to_csv(comparison.figures()))))
    assert list(table[0]) == ["figure", "class", "method", "other", "value"]
    pairs = {(r["class"], r["method"], r["other"]) for r in table if r["figure"] == "iou"}
    assert ("core", "GradCAM 3", "Exit map 3") in pairs
    assert len(pairs) == 2 * 3
    assert {r["method"] for r in table if r["figure"] == "overlap"} == {
        "GradCAM 3",
        "Exit map 3",
        "Both",
    }
    for figure in ("dice", "iou_expert", "energy_inside", "pointing_game"):
        found = {(r["class"], r["method"]) for r in table if r["figure"] == figure}
        assert {("core", "GradCAM 3"), ("edema", "Exit map 3")} <= found
    assert all(0 <= float(r["value"]) <= 1 for r in table if r["value"])


def test_the_ensemble_is_made_of_the_methods(comparison):
    both, *members = (comparison.mask(n, "core") for n in ("Both", "GradCAM 3", "Exit map 3"))
    assert (both == (members[0] & members[1])).all()
    assert comparison.maps["Both"].is_mask


def test_the_sheet_shows_a_row_a_method_and_a_column_a_slice(comparison):
    image = pytest.importorskip("PIL.Image")
    small = image.open(io.BytesIO(comparison.sheet([6])))
    large = image.open(io.BytesIO(comparison.sheet()))
    assert large.width > small.width
    assert large.height <= small.height  # its caption needs fewer lines
    pixels = np.asarray(large.convert("RGB")).reshape(-1, 3)
    assert (pixels == (255, 255, 255)).all(axis=1).any()  # the outline of a map
    assert (pixels == (0, 220, 130)).all(axis=1).any()  # of the expert
    assert np.ptp(pixels.astype(int), axis=1).max() > 100  # maps in colour


def test_a_case_without_expert_and_without_a_core_map(prepared, case):
    compared = Comparison(replace(case, expert=None))
    compared.add(explain(prepared, "gradcam", "tumour", scope=(5, 6)))
    assert compared.figures() == []
    assert compared.sheet().startswith(b"\x89PNG")


def test_only_the_slices_that_were_asked_for_count(prepared, case):
    truth = np.isin(case.expert.labels, (1, 2, 3))
    compared = Comparison(case, threshold=0.0)
    for name in ("gradcam", "layercam"):
        result = explain(prepared, name, "tumour", layer=3, scope=6)
        compared.add(result)
    compared.add_ensemble("both", Ensemble("union"))
    assert np.flatnonzero(compared.seen).tolist() == [6]
    found = {f.method: f.value for f in compared.figures() if f.figure == "dice"}
    union = compared.mask("both", "tumour")
    assert found["both"] == dice(union[6], truth[6])
    assert choose_slices(compared._amount()) == [6]
    Comparison(case).add(explain(prepared, "gradcam", scope=11))


def test_lesion_that_the_networks_do_not_see_is_lesion_missed(prepared, case):
    known = np.zeros((len(prepared.stack.frame), 3), dtype=np.float32)
    known[prepared.stack.frame.indices.index(6), 0] = 1
    compared = Comparison(case, threshold=0.0)
    seen = explain(replace(prepared, probabilities=known), "gradcam", scope="lesion")
    compared.add(seen)
    (found,) = (f.value for f in compared.figures() if f.figure == "pointing_game")
    assert found <= 1 / 3  # slices 5 and 7 show lesion, too
    (whole,) = (f.value for f in compared.figures() if f.figure == "dice")
    assert whole == dice(compared.mask(seen.name, "tumour"), np.isin(case.expert.labels, (1, 2)))
