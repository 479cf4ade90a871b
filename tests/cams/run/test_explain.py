from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.cams.run.explain import Explaining, explain
from napari_gliocam.cams.run.prepare import asking, prepare
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import finish
from napari_gliocam.targets import TARGETS


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_a_volume_is_in_0_1_on_the_cases_grid_and_0_in_air(prepared, case, method):
    result = explain(prepared, method, TARGETS, layer=2)
    for target in TARGETS:
        volume = result.of(target)
        assert volume.shape == case.grid.shape
        assert volume.dtype == np.float32
        assert volume.min() >= 0
        assert 0.5 < volume.max() <= 1
        assert not volume[~case.brain].any()
    assert result.raw.finished.all()


def test_from_a_case_in_one_call(case, bundle, prepared):
    once = explain(case, "gradcam", "core", bundle=bundle, device="cpu")
    again = explain(prepared, "gradcam", ("edema", "core"))
    assert np.abs(once.of("core") - again.of("core")).max() < 1e-6


def test_a_plane_is_a_slice_of_the_volume(prepared):
    result = explain(prepared, "layercam", "tumour", scope=(5, 7, 2))
    assert len(result.raw.frame) == 2  # slice 2 shows no brain
    volume = result.of("tumour")
    for index in (5, 6, 7, 2):
        assert np.array_equal(result.raw.plane("tumour", index), volume[index])
    assert volume[5].any()
    assert not volume[6].any()


def test_slices_without_brain_alone(prepared, case):
    result = explain(prepared, "gradcam", scope=1)
    assert result.of("tumour").shape == case.grid.shape
    assert not result.of("tumour").any()


def test_the_scope_lesion_and_the_gate_follow_the_probabilities(prepared):
    known = np.zeros((len(prepared.stack.frame), 3), dtype=np.float32)
    known[2:4, 0] = 0.9
    asked = replace(prepared, probabilities=known)
    assert explain(asked, "gradcam", scope="lesion").raw.frame.indices == (5, 6)
    gated = explain(asked, "gradcam", gate=True).tumour
    assert gated[5:7].any()
    assert not gated[:5].any()
    assert not gated[7:].any()


def test_the_networks_are_asked_where_the_probabilities_are_not_known(prepared, case, bundle):
    from napari_gliocam.progress import finish
    from napari_gliocam.segmentation import compute_maps

    result = explain(prepared, "gradcam", TARGETS, gate=True)
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    for column, target in enumerate(TARGETS):
        there = maps.probabilities[list(result.raw.frame.indices), column]
        assert np.abs(result.raw.probabilities[target] - there).max() < 1e-5


def test_one_slice_is_gated_without_asking_for_the_others(prepared):
    free = explain(prepared, "layercam", TARGETS, scope=6)
    work = Explaining(prepared, "layercam", TARGETS, scope=6, gate=True)
    for progress in work.run():
        assert progress.what == "LayerCAM"
    assert work.slices == 1
    for target in TARGETS:
        shows = work.raw.probabilities[target][0] >= 0.5
        wanted = free.raw.plane(target, 6) * shows
        assert np.array_equal(work.raw.plane(target, 6), wanted)


def test_probabilities_are_taken_over_from_maps_of_the_same_bundle(prepared, case, bundle):
    from napari_gliocam.cams.run.prepare import with_probabilities
    from napari_gliocam.progress import finish
    from napari_gliocam.segmentation import compute_maps

    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    known = with_probabilities(prepared, maps).probabilities
    assert np.array_equal(known, maps.probabilities[list(prepared.stack.frame.indices)])
    other = replace(maps, provenance={"bundle": {"name": "another"}})
    assert with_probabilities(prepared, other).probabilities is None


def test_closing_keeps_the_slices_that_are_done(prepared, monkeypatch):
    monkeypatch.setattr("napari_gliocam.segmentation.BATCH", {"cpu": 2})
    work = Explaining(prepared, "gradcam")
    steps = work.run()
    for report in steps:
        if report.done == 4:
            break
    steps.close()
    assert work.raw is not None
    assert work.raw.finished.tolist() == [True] * 4 + [False] * 5
    assert work.raw.volume("tumour")[3:7].any()
    assert not work.raw.volume("tumour")[7:].any()
    assert torch.is_grad_enabled()


def test_slices_do_not_depend_on_their_batch(prepared, monkeypatch):
    together = explain(prepared, "layercam", TARGETS, layer=3)
    monkeypatch.setattr("napari_gliocam.segmentation.BATCH", {"cpu": 1})
    alone = explain(prepared, "layercam", TARGETS, layer=3)
    for target in TARGETS:
        assert np.abs(together.of(target) - alone.of(target)).max() < 1e-4


def test_sentences(prepared):
    with pytest.raises(GliocamError, match="no layer 5; choose one of its layers 1, 2, 3, 4"):
        explain(prepared, layer=5)
    with pytest.raises(GliocamError, match="Exit 2 does not depend on layer 3"):
        explain(prepared, layer=3, score=2)
    with pytest.raises(GliocamError, match='no method "cam"; did you mean "amecam"'):
        explain(prepared, "cam")
    with pytest.raises(GliocamError, match='no class "necrosis"'):
        explain(prepared, targets="necrosis")
    with pytest.raises(GliocamError, match="no slice 12; choose one between 0 and 11"):
        explain(prepared, scope=12)
    with pytest.raises(GliocamError, match="no scale of their own"):
        explain(prepared, normalise="none")


def test_air_does_not_dim_the_cortex(prepared, case):
    """A map that is the same everywhere in the brain is so up to its rim."""
    result = explain(prepared, "gradcam", "tumour", layer=4)
    flat = np.ones_like(result.raw.raw["tumour"])
    flat[:, 3, 2] = 0  # else it is constant, and says nothing
    volume = replace(result.raw, raw={"tumour": flat}).volume("tumour")[3:]
    rim = volume[:, 12, 10:40]
    assert (rim > 0.999).all()


def test_the_same_maps_shown_otherwise_without_a_network(prepared):
    known = np.zeros((len(prepared.stack.frame), 3), dtype=np.float32)
    known[2:4, 1] = 0.9
    asked = replace(prepared, probabilities=known)
    maps = explain(asked, "gradcam", "core", scope=(5, 6, 8))
    assert maps.name == "GradCAM 4"
    assert maps.targets == ("core",)
    assert maps.asked == maps.spoken_for == (5, 6, 8)
    assert not maps.edema.any()
    gated = maps.shown_as(gate=True, normalise="volume")
    again = explain(asked, "gradcam", "core", scope=(5, 6, 8), gate=True, normalise="volume")
    assert np.array_equal(gated.core, again.core)
    assert not gated.core[8].any()
    assert maps.core[8].any()
    with pytest.raises(KeyError):
        maps.of("edema")


def test_maps_as_a_result_are_cut_by_one_threshold(prepared):
    from napari_gliocam.settings import Thresholds
    from napari_gliocam.threshold import apply_thresholds

    maps = explain(prepared, "layercam", ("core", "edema"), layer=2).as_result()
    labels = apply_thresholds(maps, Thresholds(0.3, 0.3, exclusive=False, gate=False)).labels
    assert np.array_equal(labels, (maps.core > 0.3) + 2 * (maps.edema > 0.3))


def test_a_bundle_of_the_tumour_alone_is_asked_for_the_tumour(case, alone):
    ready = prepare(case, alone, "cpu")
    asked = finish(asking(ready))
    assert (asked.probabilities[:, 0] > 0).all()
    assert not asked.probabilities[:, 1:].any()
    for ask in (
        lambda: finish(asking(ready, ("core",))),
        lambda: Explaining(ready, targets="core"),
    ):
        with pytest.raises(GliocamError, match='"alone" knows the tumour alone, not core'):
            ask()
