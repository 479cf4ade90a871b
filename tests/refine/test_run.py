from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.sidecar import describe
from napari_gliocam.measure.scores.overlap import score
from napari_gliocam.progress import Progress, finish
from napari_gliocam.refine import run as module
from napari_gliocam.refine.parameters import (
    METHODS,
    ClusterParameters,
    ComponentParameters,
    CrfParameters,
    Refinement,
)
from napari_gliocam.refine.run import image_of, refine
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import BOTH
from napari_gliocam.threshold import apply_thresholds

QUICK = ClusterParameters(iterations=8, superpixel_mm2=6)
OFF = CrfParameters(gaussian_weight=0, bilateral_weight=0)


def of(method, **parameters) -> Refinement:
    return Refinement(method, clusters=QUICK, **{"components": None, **parameters})


@pytest.mark.parametrize("method", METHODS)
def test_a_refinement_gives_a_new_segmentation_and_keeps_the_old(case, segmentation, method):
    before = segmentation.labels.copy()
    refined = finish(refine(segmentation, case, of(method)))
    np.testing.assert_array_equal(segmentation.labels, before)
    assert refined.unrefined is segmentation
    assert refined.refinement == of(method)
    assert refined.labels.dtype == np.uint8
    assert not refined.labels[~case.brain].any()
    if method != "adapt":  # which may find tumour on slices where the thresholds found none
        outside = (segmentation.labels == 0).all(axis=(1, 2))
        assert not refined.labels[outside].any()
    assert (refined.labels != before).any() == (method != "none")
    # Again, and from a refined one: the same voxels.
    again = finish(refine(refined, case, of(method)))
    np.testing.assert_array_equal(again.labels, refined.labels)
    assert again.unrefined is segmentation


@pytest.mark.parametrize("volume", [False, True])
def test_the_crf_finds_the_border_that_the_image_shows(case, segmentation, volume):
    refined = finish(refine(segmentation, case, of("crf", crf=CrfParameters(volume=volume))))
    before, after = (score(s.labels, case.expert.labels) for s in (segmentation, refined))
    assert after["tumour"] > 0.97 > before["tumour"]
    assert after["core"] > before["core"]


@pytest.mark.parametrize(
    "settings", [Thresholds(), Thresholds(0.2, 0.6), Thresholds(exclusive=False)]
)
def test_a_crf_without_kernels_gives_back_the_thresholds(case, segmentation, settings):
    segmentation = apply_thresholds(segmentation.maps, settings)
    refined = finish(refine(segmentation, case, of("crf", crf=OFF)))
    np.testing.assert_array_equal(refined.labels, segmentation.labels)


def test_both_classes_stay_both_inside_the_tumour(case, segmentation):
    both = apply_thresholds(segmentation.maps, Thresholds(0.3, 0.3, exclusive=False))
    refined = finish(refine(both, case, of("crf")))
    assert (both.labels == BOTH).any()
    np.testing.assert_array_equal(
        refined.labels == BOTH, (both.labels == BOTH) & (refined.labels > 0)
    )


def test_a_closed_gate_stays_closed(case, segmentation):
    segmentation.maps.probabilities[4, 0] = 0.1
    segmentation.maps.probabilities[5, 1] = 0.1
    refined = finish(refine(apply_thresholds(segmentation.maps), case, of("crf")))
    assert not refined.labels[4].any()
    assert set(np.unique(refined.labels[5])) == {0, 2}


def test_a_preview_of_a_slice_is_that_slice_of_the_case(case, segmentation):
    whole = finish(refine(segmentation, case, of("boundary-fit+crf")))
    part = finish(refine(segmentation, case, of("boundary-fit+crf"), slices=[4, 0]))
    np.testing.assert_array_equal(part.labels[4], whole.labels[4])
    np.testing.assert_array_equal(
        np.delete(part.labels, 4, 0), np.delete(segmentation.labels, 4, 0)
    )


def test_clusters_are_made_once(case, segmentation, monkeypatch):
    clusters = {}
    first = finish(refine(segmentation, case, of("boundary-fit"), clusters=clusters))
    assert sorted(clusters) == np.flatnonzero((segmentation.labels > 0).any(axis=(1, 2))).tolist()
    monkeypatch.delattr(module, "clustering_slice")
    again = finish(refine(segmentation, case, of("boundary-fit"), clusters=clusters))
    np.testing.assert_array_equal(again.labels, first.labels)


def test_on_one_device_all_at_once_equals_slice_by_slice(case, segmentation, monkeypatch):
    one_by_one = finish(refine(segmentation, case, of("crf")))
    job = module._Job(segmentation, case, of("crf"), image_of(case), segmentation.labels.copy())
    slices = np.flatnonzero((segmentation.labels > 0).any(axis=(1, 2))).tolist()
    finish(job.smooth_at_once(slices, "cpu"))
    assert (job.labels != one_by_one.labels).mean() < 1e-3


def test_components_are_cleaned_with_any_method(case, segmentation):
    speck = replace(segmentation, labels=segmentation.labels.copy())
    speck.labels[1, 24, 40] = 2
    cleaned = finish(refine(speck, case, of("none", components=ComponentParameters())))
    assert cleaned.labels[1].sum() == 0
    preview = finish(refine(speck, case, of("none", components=ComponentParameters()), slices=[4]))
    np.testing.assert_array_equal(preview.labels, speck.labels)


@pytest.mark.parametrize("method", METHODS)
def test_can_be_closed_at_any_time(case, segmentation, method):
    before = segmentation.labels.copy()
    for stop in range(4):
        work = refine(segmentation, case, of(method))
        for _, progress in zip(range(stop), work, strict=False):
            assert isinstance(progress, Progress)
            assert 0 <= progress.done <= progress.total
        work.close()
    np.testing.assert_array_equal(segmentation.labels, before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["empty", "full", "one voxel", "one intensity"])
def test_odd_segmentations(case, segmentation, method, kind):
    maps = segmentation.maps
    if kind == "one intensity":
        flat = {name: np.where(case.brain, 7, 0) for name in case.volumes}
        case = replace(case, volumes=flat)
    else:
        tumour = np.zeros_like(maps.tumour)
        tumour[{"empty": np.s_[:0], "full": np.s_[:], "one voxel": np.s_[4, 24, 22]}[kind]] = 1
        maps = replace(maps, tumour=tumour, core=tumour * 0.6, edema=tumour)
    segmentation = apply_thresholds(maps)
    refinement = of(method, components=ComponentParameters())
    labels = finish(refine(segmentation, case, refinement)).labels
    assert set(np.unique(labels)) <= {0, 1, 2}
    if kind == "empty":
        assert not labels.any()


def test_maps_with_nan_get_a_sentence(case, segmentation):
    segmentation.maps.tumour[4, 20:30, 20:30] = np.nan
    with pytest.raises(GliocamError, match="NaN"):
        finish(refine(segmentation, case, of("crf")))


def test_the_json_says_what_was_done(case, segmentation):
    def said(refinement):
        return json.loads(describe(finish(refine(segmentation, case, refinement)), case))[
            "refinement"
        ]

    crf = said(of("crf", components=ComponentParameters(min_fraction=0.5)))
    assert crf["method"] == "crf"
    assert crf["crf"]["intensity_width"] == 13
    assert crf["components"]["min_fraction"] == 0.5
    assert "fit" not in crf
    assert said(of("boundary-fit"))["clusters"]["seed"] == 43
    assert said(of("none")) == {"method": "none"}
    assert json.loads(describe(segmentation, case))["refinement"] is None


def test_an_unknown_method_is_refused():
    with pytest.raises(GliocamError, match="boundary-fit"):
        Refinement("magic")  # type: ignore[arg-type]
