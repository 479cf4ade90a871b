"""Disagreement, ranges, and what to look at first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.cams.run.explain import explain
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.doubt import disagreement
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.doubt import Doubt, VolumeRange, doubt_of_case, doubt_of_maps, mirrored


@pytest.fixture(scope="module")
def maps(case, bundle):
    return finish(compute_maps(case, bundle=bundle, device="cpu"))


def test_disagreement_is_twice_the_standard_deviation():
    members = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(disagreement(list(members)), 2 * members.std(axis=0), atol=1e-6)
    assert disagreement([np.zeros(3), np.ones(3)]).tolist() == [1, 1, 1]
    assert disagreement([np.full(3, 0.7), np.full(3, 0.7)]).max() < 1e-3


def test_doubt_of_the_exits_is_a_row_like_any_other(maps, case):
    doubt = doubt_of_maps(maps)
    for target in TARGETS:
        volume = doubt.volumes[target]
        assert maps.has("doubt", target)
        np.testing.assert_array_equal(volume, maps.volume("doubt", target))
        assert volume.shape == case.grid.shape
        assert volume.min() >= 0
        assert 0 < volume.max() <= 1
        assert not volume[~case.brain].any()


def test_doubt_grows_with_what_is_looked_at(maps, case, bundle, other, unchanged):
    exits = doubt_of_maps(maps)
    flips = doubt_of_case(case, maps, bundle=bundle, device="cpu")
    every = doubt_of_case(case, maps, bundle=bundle, others=[other], device="cpu")
    assert (exits.sources, flips.sources) == (("exits",), ("exits", "flips"))
    assert every.sources == ("exits", "flips", "seeds")
    seen = finish(compute_maps(mirrored(case), bundle=bundle, device="cpu"))
    for target in TARGETS:
        assert (flips.volumes[target] >= exits.volumes[target]).all()
        assert (every.volumes[target] >= flips.volumes[target]).all()
        both = np.abs(maps.of(target) - seen.of(target)[..., ::-1])
        assert (flips.volumes[target] >= both - 1e-5).all()


def test_a_range_holds_the_volume_and_follows_a_refined_one(maps):
    doubt = doubt_of_maps(maps)
    settings = Thresholds(0.3, 0.3, gate=False)
    cut = apply_thresholds(maps, settings).volumes_ml
    ranges = doubt.ranges(settings)
    for target in TARGETS:
        one = ranges[target]
        assert one.low <= one.volume <= one.high
        assert one.volume == pytest.approx(cut[target])
    assert ranges["tumour"].low < ranges["tumour"].high
    assert ranges["core"].low < ranges["core"].high
    refined = doubt.ranges(settings, {t: v + 1 for t, v in cut.items()})
    for target in TARGETS:
        assert refined[target].high == pytest.approx(ranges[target].high + 1)
        assert refined[target].low == pytest.approx(ranges[target].low + 1)
    grown = doubt.ranges(Thresholds(1.0, 1.0), dict.fromkeys(TARGETS, 3.0))  # nothing was cut
    assert all(0 <= one.low <= 3.0 <= one.high for one in grown.values())


def test_the_range_of_a_class_is_what_it_takes_from_the_other(maps):
    """A tumour without doubt, whose classes are in full doubt, is all core or all edema."""
    sure = np.zeros(maps.grid.shape, np.float32)
    sure[5, 20:30, 20:30] = 1
    half, none = sure * np.float32(0.6), np.zeros_like(sure)
    made = replace(maps, tumour=sure, core=half, edema=half, probabilities=maps.probabilities + 1)
    doubt = Doubt(made, ("exits",), {"tumour": none, "core": sure, "edema": sure})
    ranges = doubt.ranges()
    whole = 100 * maps.grid.voxel_ml
    for target in ("core", "edema"):
        assert (ranges[target].low, ranges[target].high) == (0, pytest.approx(whole))
    assert ranges["tumour"].high == pytest.approx(whole)


def test_a_case_without_lesion_is_in_no_doubt(maps, case):
    none = {t: np.zeros_like(maps.of(t)) for t in TARGETS}
    doubt = Doubt(replace(maps, **none, probabilities=maps.probabilities * 0), ("exits",), none)
    assert doubt.slices_in_order() == []
    assert doubt.figures() == {}
    assert {r.words for r in doubt.ranges().values()} == {"0.0 ml"}
    assert doubt.by_lesion(np.zeros(case.grid.shape, np.uint8)) == []


def test_slices_and_lesions_with_the_most_doubt_come_first(maps, case):
    volumes = {t: np.zeros(case.grid.shape, np.float32) for t in TARGETS}
    labels = np.zeros(case.grid.shape, np.uint8)
    labels[4:7, 12:22, 12:22] = 2
    labels[9:12, 30:40, 30:38] = 1
    volumes["tumour"][9:12] = 0.4
    volumes["tumour"][4] = 0.1
    volumes["core"][10] = 0.6
    doubt = Doubt(maps, ("exits",), volumes)
    assert doubt.slices_in_order() == [10, 9, 11, 4]
    assert doubt.by_slice()[10] == pytest.approx(0.6 * 60 * 50 / 100)
    first, second = doubt.by_lesion(labels)
    assert (first.number, second.number) == (2, 1)
    assert first.doubt == pytest.approx(0.4)
    assert second.doubt == pytest.approx(0.1 / 3)
    assert (first.slice, second.slice) == (9, 4)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(31.2, 43.8, "31 to 44 ml"), (0.24, 3.06, "0.2 to 3.1 ml"), (12.1, 12.3, "12 ml")],
)
def test_a_range_in_words(low, high, words):
    assert VolumeRange(low, low, high).words == words


def test_maps_without_exits_are_refused(prepared):
    with pytest.raises(GliocamError, match="no exits"):
        doubt_of_maps(explain(prepared, "gradcam", "core", scope=5))
