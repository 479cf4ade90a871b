from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.maps.raw_maps import RawMaps
from napari_gliocam.measure import (
    ClassOverlap,
    claims,
    claims_of,
    method_overlap,
    slice_areas,
    step_slice,
    worst_slices,
)
from napari_gliocam.settings import Thresholds
from napari_gliocam.slices import SliceFrame
from napari_gliocam.threshold import apply_thresholds

SHAPE, SPACING = (4, 12, 10), (3.0, 1.0, 2.0)
GRID = Grid(np.diag([-2.0, -1.0, 3.0, 1.0]), SHAPE[::-1])
FRAME = SliceFrame(SHAPE, (0, 1, 2, 3), (0, 12), (0, 10), (8, 8))


def make_maps(seed=0, probability=1.0):
    rng = np.random.default_rng(seed)
    tumour, core, edema = (rng.random(SHAPE, dtype=np.float32) for _ in range(3))
    small = {
        t: tuple(rng.random((4, n, n)).astype(np.float16) for n in (8, 4, 2, 2))
        for t in ("tumour", "core", "edema")
    }
    guided = {t: rng.random((4, 8, 8)).astype(np.float16) for t in ("core", "edema")}
    probabilities = np.full((4, 3), probability, dtype=np.float32)
    trace = NetworkTrace(FRAME, small, guided)
    return ClassMaps(GRID, tumour, core, edema, probabilities, trace=trace)


unit = st.floats(0, 1)


@given(threshold=unit, seed=st.integers(0, 99))
def test_claims_are_what_the_sentence_says(threshold, seed):
    rng = np.random.default_rng(seed)
    core, edema = rng.random((2, 3, 4, 5), dtype=np.float32)
    inside = rng.random((3, 4, 5)) < 0.7
    found = claims(core, edema, threshold, inside=inside)
    assert found.dtype == np.uint8
    for index in np.ndindex(found.shape):
        by_hand = (core[index] > threshold) + 2 * (edema[index] > threshold)
        assert found[index] == (by_hand if inside[index] else 0)


def test_claims_write_in_place_also_on_one_slice():
    maps, out = make_maps(), np.full(SHAPE, 9, dtype=np.uint8)
    claims(maps.core[2], maps.edema[2], 0.5, out=out[2])
    np.testing.assert_array_equal(out[2], claims(maps.core, maps.edema, 0.5)[2])
    assert (out[1] == 9).all()
    with pytest.raises(GliocamError, match="between 0 and 1"):
        claims(maps.core, maps.edema, 1.5)


@given(seed=st.integers(0, 20), tumour=unit, class_=unit)
def test_the_aggregate_claims_what_the_result_shows_before_the_higher_map_decides(
    seed, tumour, class_
):
    maps = make_maps(seed)
    settings = Thresholds(tumour, class_)
    found = claims_of(maps, settings=settings)
    open_ = apply_thresholds(maps, replace(settings, exclusive=False)).labels
    np.testing.assert_array_equal(found, open_)
    exclusive = apply_thresholds(maps, settings).labels
    np.testing.assert_array_equal(exclusive[found != 3], found[found != 3])


@pytest.mark.parametrize("row", ["exit 1", "exit 4", "guided"])
def test_a_single_exit_differs_in_its_class_maps_alone(row):
    maps = make_maps()
    found = claims_of(maps, row=row, settings=Thresholds(0.3, 0.6))
    by_hand = claims(
        maps.volume(row, "core"), maps.volume(row, "edema"), 0.6, inside=maps.tumour > 0.3
    )
    np.testing.assert_array_equal(found, by_hand)
    closed = make_maps(probability=0.2)
    assert not claims_of(closed, row=row).any()


def test_an_explanation_is_cut_at_the_class_threshold():
    rng = np.random.default_rng(3)
    raw = RawMaps(
        "GradCAM 4",
        GRID,
        np.ones(SHAPE, dtype=bool),
        FRAME,
        {t: rng.random((4, 4, 4), dtype=np.float32) for t in ("core", "edema")},
        np.ones((4, 4, 4), dtype=bool),
        np.ones(4, dtype=bool),
    )
    maps = raw.class_maps()
    found = claims_of(maps, settings=Thresholds(class_threshold=0.7))
    np.testing.assert_array_equal(found, claims(maps.core, maps.edema, 0.7))
    assert set(np.unique(found)) == {0, 1, 2, 3}
    part = claims_of(maps, settings=Thresholds(class_threshold=0.7), where=slice(1, 2))
    np.testing.assert_array_equal(part[1], found[1])
    assert not part[2:].any()
    lacking = replace(raw, raw={"core": raw.raw["core"]}).class_maps()
    with pytest.raises(GliocamError, match="GradCAM 4 has no map of edema"):
        claims_of(lacking)


def made_up():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[0, 0, :4] = 1
    labels[1, 0, :4], labels[1, 0, 4:6] = 3, 2
    labels[3, 0, :1] = 3
    return labels


def test_areas_of_slices():
    areas = slice_areas(made_up(), GRID)
    np.testing.assert_array_equal(areas.core, [8, 8, 0, 2])
    np.testing.assert_array_equal(areas.edema, [0, 12, 0, 2])
    np.testing.assert_array_equal(areas.both, [0, 8, 0, 2])
    np.testing.assert_array_equal(areas.tumour, [8, 12, 0, 2])
    assert areas.lesion_slices.tolist() == [0, 1, 3]
    assert areas.conflict_slices.tolist() == [1, 3]


def test_stepping_from_conflict_to_conflict():
    conflicts = slice_areas(made_up(), GRID).conflict_slices
    assert [step_slice(conflicts, at, 1) for at in (-1, 1, 2, 3)] == [1, 3, 3, None]
    assert [step_slice(conflicts, at, -1) for at in (0, 1, 2, 3, 9)] == [None, None, 1, 1, 3]


def test_the_row_of_a_method():
    row = method_overlap("GradCAM", made_up(), GRID)
    assert row.method == "GradCAM"
    assert row.overlap == ClassOverlap(5 / 11, 10 / 16, 5 * 0.006)
    assert [(w.index, w.mm2) for w in row.worst] == [(1, 8), (3, 2)]
    assert row.worst[0].union_fraction == pytest.approx(4 / 6)
    assert len(worst_slices(made_up(), GRID, 1)) == 1


def test_nothing_found_has_no_overlap():
    row = method_overlap("nothing", np.zeros(SHAPE, dtype=np.uint8), GRID)
    assert row.overlap == ClassOverlap(None, None, 0.0)
    assert row.worst == ()


def test_dice_between_the_classes_is_that_of_their_masks():
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    core, edema = np.isin(labels, (1, 3)), np.isin(labels, (2, 3))
    overlap = method_overlap("any", labels, GRID).overlap
    assert overlap.dice == pytest.approx(2 * (core & edema).sum() / (core.sum() + edema.sum()))
    assert overlap.union_fraction == pytest.approx((core & edema).sum() / (core | edema).sum())


def test_areas_add_up_to_the_volume():
    labels = np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.uint8)
    areas = slice_areas(labels, SimpleNamespace(spacing=SPACING))
    assert areas.tumour.sum() * SPACING[0] == pytest.approx(np.count_nonzero(labels) * 6)
