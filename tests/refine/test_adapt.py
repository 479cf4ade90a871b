from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from tests.refine.conftest import LESION

from napari_gliocam.case import Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.sidecar import describe, read_choices
from napari_gliocam.measure.scores.overlap import score
from napari_gliocam.progress import Progress, finish
from napari_gliocam.refine import adapt as module
from napari_gliocam.refine.adapt import AdaptedMaps, adapt
from napari_gliocam.refine.parameters import AdaptParameters, Refinement
from napari_gliocam.refine.run import refine
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds

ADAPT = Refinement("adapt", components=None)


@pytest.fixture(autouse=True)
def small_lesions_count(monkeypatch):
    """The fixtures' discs are smaller than what a mixture is fitted to in a patient."""
    monkeypatch.setattr(module, "MIN_ML", 0.05)
    monkeypatch.setattr(module, "SAMPLES", 1000)


def test_the_posterior_finds_the_border_that_the_image_shows(case, segmentation):
    refined = finish(refine(segmentation, case, ADAPT))
    before, after = (score(s.labels, case.expert.labels) for s in (segmentation, refined))
    assert after["tumour"] > 0.95 > before["tumour"]
    assert after["core"] > before["core"]


def test_a_neighbourhood_that_differs_by_little_gets_the_same_labels(
    case, segmentation, monkeypatch
):
    """Voxels to learn from were drawn from a list, which one voxel more changes as a whole."""
    monkeypatch.setattr(module, "SAMPLES", 300)
    wider = segmentation.maps.tumour.copy()
    wider[LESION.start - 1, 24, 22] = 0.16
    one, two = (
        apply_thresholds(adapt(replace(segmentation.maps, tumour=tumour), case)).labels[LESION]
        for tumour in (segmentation.maps.tumour, wider)
    )
    assert (one != two).sum() <= 1


def test_a_class_fades_with_the_doubt_of_a_slice(case, segmentation):
    """A cliff at one probability made core come and go on a whole slice."""
    counts = []
    for p in (0.5, 0.2, 0.13, 0.11, 0.09, 0.07, 0.05, 0.02):
        segmentation.maps.probabilities[:, 1] = p
        counts.append((apply_thresholds(adapt(segmentation.maps, case)).labels == 1).sum())
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0 < counts[0]
    assert max(-np.diff(counts)) < 0.8 * counts[0]


def test_the_posterior_is_a_map(case, segmentation):
    adapted = adapt(segmentation.maps, case)
    for target in adapted.targets:
        assert adapted.of(target).dtype == np.float32
        assert 0 <= adapted.of(target).min() <= adapted.of(target).max() <= 1
        assert not adapted.of(target)[~case.brain].any()
    assert not np.shares_memory(adapted.tumour, segmentation.maps.tumour)
    assert not adapted.probabilities[adapted.probabilities > 1].any()


def test_a_lower_threshold_finds_more(case, segmentation):
    adapted = adapt(segmentation.maps, case)
    found = [
        apply_thresholds(adapted, Thresholds(threshold, 0.3)).labels > 0
        for threshold in (0.1, 0.3, 0.4, 0.6, 0.9)
    ]
    for more, less in itertools.pairwise(found):
        assert more.sum() > less.sum()
        assert not (less & ~more).any()


def test_thresholds_cut_the_posterior_without_a_new_fit(case, segmentation, monkeypatch):
    kept = AdaptedMaps()
    finish(refine(segmentation, case, ADAPT, adapted=kept))
    monkeypatch.delattr(module, "adapting")
    moved = apply_thresholds(segmentation.maps, Thresholds(0.6, 0.4))
    refined = finish(refine(moved, case, ADAPT, adapted=kept))
    np.testing.assert_array_equal(
        refined.labels, apply_thresholds(kept.result, Thresholds(0.6, 0.4)).labels
    )


def test_a_bundle_with_other_thresholds_is_cut_at_the_same_place(case, segmentation):
    even = adapt(segmentation.maps, case)
    own = Thresholds(0.3, 0.46)
    scaled = np.where(  # the same odds beside another threshold
        segmentation.maps.tumour > 0,
        1 / (1 + (1 / np.maximum(segmentation.maps.tumour, 1e-6) - 1) * (7 / 3) / (6 / 4)),
        0,
    ).astype(np.float32)
    provenance = {"thresholds": {"tumour_threshold": 0.3, "class_threshold": 0.46}}
    maps = replace(segmentation.maps, tumour=scaled, provenance=provenance)
    found, expected = apply_thresholds(adapt(maps, case), own), apply_thresholds(even)
    assert (found.labels != expected.labels).mean() < 0.01


def test_other_maps_and_other_parameters_are_fitted_anew(case, segmentation):
    kept = AdaptedMaps()
    first = finish(kept.of(segmentation.maps, case, AdaptParameters()))
    assert finish(kept.of(segmentation.maps, case, AdaptParameters())) is first
    assert finish(kept.of(segmentation.maps, case, AdaptParameters(depth=0))) is not first
    assert finish(kept.of(replace(segmentation.maps), case, AdaptParameters())) is not first


@pytest.mark.parametrize(("column", "gone"), [(0, {1, 2}), (1, {1}), (2, {2})])
def test_a_class_that_the_networks_surely_deny_stays_denied(case, segmentation, column, gone):
    segmentation.maps.probabilities[:5, column] = 0.01
    refined = finish(refine(segmentation, case, ADAPT))
    assert not gone & set(np.unique(refined.labels[3]))
    assert set(np.unique(refined.labels[6])) == {0, 1, 2}


def test_doubt_alone_denies_nothing_unless_that_is_asked_for(case, segmentation):
    segmentation.maps.probabilities[:, 1] = 0.3
    assert (finish(refine(segmentation, case, ADAPT)).labels == 1).any()
    strict = replace(ADAPT, adapt=AdaptParameters(denial=0.5))
    assert not (finish(refine(segmentation, case, strict)).labels == 1).any()


def test_without_gate_nothing_is_denied(case, segmentation):
    segmentation.maps.probabilities[4, 0] = 0.0
    open_ = apply_thresholds(segmentation.maps, Thresholds(gate=False))
    assert finish(refine(open_, case, ADAPT)).labels[4].any()


def test_a_faint_core_is_raised(case, segmentation):
    """The networks take all of the tumour for edema; its darkest part comes closest to core."""
    maps = replace(segmentation.maps, core=segmentation.maps.core * 0.3)
    assert not (apply_thresholds(maps).labels == 1).any()
    refined = finish(refine(apply_thresholds(maps), case, ADAPT))
    assert score(refined.labels, case.expert.labels)["core"] > 0.5


def with_a_part_apart(case, maps, surest):
    """Return maps of a second lesion on the first slice, which looks like edema."""
    apart = np.zeros(case.brain.shape, dtype=np.bool_)
    apart[0, 20:28, 18:26] = True
    for modality in (Modality.FLAIR, Modality.T2):
        case.volumes[modality][apart] = case.volumes[modality][4, 24, 30]
    return apart, replace(maps, tumour=np.where(apart, surest, maps.tumour))


@pytest.mark.parametrize(("surest", "stays"), [(0.7, False), (0.97, True)])
def test_a_part_apart_stays_only_where_the_maps_are_sure(case, segmentation, surest, stays):
    """Old lesions of white matter look like edema; a second focus is sure somewhere."""
    apart, maps = with_a_part_apart(case, segmentation.maps, surest)
    adapted = adapt(maps, case)
    assert (apply_thresholds(adapted).labels[apart] > 0).any() == stays
    assert (apply_thresholds(adapted).labels[4] > 0).any()
    assert (apply_thresholds(adapted, Thresholds(0.1)).labels[apart] > 0).any()


def test_a_part_taken_back_comes_back_whole_and_before_its_surroundings(
    case, segmentation, monkeypatch
):
    """A lower threshold found a ring around it, and of the part itself next to nothing."""
    _, maps = with_a_part_apart(case, segmentation.maps, 0.7)
    lowered = adapt(maps, case).tumour[0]
    monkeypatch.setattr(module, "SURE_TUMOUR", (0.0, 0.1))
    kept = adapt(maps, case).tumour[0]
    part = kept > 0.4
    assert (lowered <= kept).all(), "nothing becomes likelier, however far from the part"
    around = binary_dilation(part, iterations=3) & ~part
    assert 0.19 < lowered[part].min() < lowered[part].max() < 0.401
    assert lowered[around].max() <= lowered[part].min()


def test_core_and_edema_draw_their_neighbours(case, segmentation):
    """One dark voxel in the core is no edema."""
    t1ce = case.volumes[Modality.T1CE]
    t1ce[4, 24, 22] = t1ce[4, 24, 33]
    rough, smooth = (
        adapt(segmentation.maps, case, AdaptParameters(smoothness=weight)).core[4, 24, 22]
        for weight in (0, 4)
    )
    assert smooth > rough


def test_smoothing_removes_single_voxels(case, segmentation):
    noisy = segmentation.maps.tumour.copy()
    noisy[4, 10, 22] = 0.95
    maps = replace(segmentation.maps, tumour=noisy)
    rough, smooth = (
        adapt(maps, case, AdaptParameters(evidence=0, smoothness=weight)).tumour[4, 10, 22]
        for weight in (0, 8)
    )
    assert rough > 0.9 > 0.4 > smooth


@pytest.mark.parametrize("kind", ["no tumour", "one intensity", "a speck"])
def test_where_there_is_nothing_to_learn_the_maps_stay(case, segmentation, kind):
    maps = segmentation.maps
    if kind == "one intensity":
        case = replace(case, volumes={m: np.where(case.brain, 7, 0) for m in case.volumes})
    else:
        tumour = np.zeros_like(maps.tumour)
        if kind == "a speck":
            tumour[4, 24, 22] = 1
        maps = replace(maps, tumour=tumour)
    assert adapt(maps, case) is maps
    cut = apply_thresholds(maps)
    np.testing.assert_array_equal(finish(refine(cut, case, ADAPT)).labels, cut.labels)


@pytest.mark.parametrize("without", list(Modality))
def test_any_modality_may_be_missing_or_flat(case, segmentation, without):
    extra = {**case.volumes, Modality.T1: (case.volumes[Modality.T2] // 2)}
    fewer = {m: v for m, v in extra.items() if m is not without}
    flat = {m: np.where(case.brain, 5, 0) if m is without else v for m, v in extra.items()}
    one, two = (adapt(segmentation.maps, replace(case, volumes=v)) for v in (fewer, flat))
    np.testing.assert_array_equal(one.tumour, two.tumour)
    assert score(apply_thresholds(one).labels, case.expert.labels)["tumour"] > 0.9


def test_a_preview_of_a_slice_is_that_slice_of_the_case(case, segmentation):
    whole = finish(refine(segmentation, case, ADAPT))
    part = finish(refine(segmentation, case, ADAPT, slices=[4]))
    np.testing.assert_array_equal(part.labels[4], whole.labels[4])
    np.testing.assert_array_equal(
        np.delete(part.labels, 4, 0), np.delete(segmentation.labels, 4, 0)
    )


def test_can_be_closed_at_each_yield(case, segmentation):
    steps = list(_steps(module.adapting(segmentation.maps, case)))
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert steps[-1].done == steps[-1].total == 4 + 2 + 2
    for stop in range(len(steps)):
        work = module.adapting(segmentation.maps, case)
        for _, progress in zip(range(stop), work, strict=False):
            assert isinstance(progress, Progress)
        work.close()


def _steps(work):
    yield from work


def test_the_json_makes_the_same_voxels_again(case, segmentation, tmp_path):
    asked = Refinement("adapt", adapt=AdaptParameters(depth=1.0, tissues=3, rounds=5))
    refined = finish(refine(segmentation, case, asked))
    file = tmp_path / "disc.json"
    file.write_text(describe(refined, case))
    assert json.loads(file.read_text())["refinement"]["adapt"]["rounds"] == 5
    settings, again = read_choices(file)
    assert again == asked
    replayed = finish(refine(apply_thresholds(segmentation.maps, settings), case, again))
    np.testing.assert_array_equal(replayed.labels, refined.labels)


def test_a_result_of_a_version_that_drew_voxels_is_continued():
    used = {"method": "adapt", "adapt": {"depth": 1.0, "seed": 3}}
    assert Refinement.of(used).adapt == AdaptParameters(depth=1.0)


def test_maps_with_nan_get_a_sentence(case, segmentation):
    segmentation.maps.core[4, 20, 20] = np.nan
    with pytest.raises(GliocamError, match="NaN"):
        adapt(segmentation.maps, case)


@pytest.mark.parametrize(
    "wrong",
    [
        {"evidence": -0.1},
        {"evidence": 3.0},
        {"balance": 1.5},
        {"depth": float("nan")},
        {"slices": -1.0},
        {"denial": 0.0},
        {"denial": 0.6},
        {"tissues": 0},
        {"rounds": 0},
        {"smoothness": -1.0},
    ],
)
def test_parameters_out_of_range_get_a_sentence(wrong):
    with pytest.raises(GliocamError, match=next(iter(wrong))):
        AdaptParameters(**wrong)
