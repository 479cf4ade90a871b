import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import BOTH, CORE, EDEMA
from napari_gliocam.threshold import apply_thresholds


def make_maps(shape=(5, 16, 12), seed=0, probabilities=None):
    rng = np.random.default_rng(seed)
    tumour, core, edema = (rng.random(shape, dtype=np.float32) for _ in range(3))
    if probabilities is None:
        probabilities = np.ones((shape[0], 3), dtype=np.float32)
    return ClassMaps(
        Grid(np.diag([-1.0, -1.0, 2.0, 1.0]), shape[::-1]),
        tumour,
        core,
        edema,
        probabilities,
    )


unit = st.floats(0, 1, allow_nan=False)


@given(tumour=unit, class_=unit, exclusive=st.booleans(), seed=st.integers(0, 9))
def test_labels_are_what_the_sentence_says(tumour, class_, exclusive, seed):
    maps = make_maps(seed=seed)
    settings = Thresholds(tumour, class_, exclusive)
    labels = apply_thresholds(maps, settings).labels
    for index in np.ndindex(labels.shape):
        t, c, e = maps.tumour[index], maps.core[index], maps.edema[index]
        core, edema = t > tumour and c > class_, t > tumour and e > class_
        if core and edema:
            expected = (CORE if c >= e else EDEMA) if exclusive else BOTH
        else:
            expected = CORE if core else EDEMA if edema else 0
        assert labels[index] == expected


@given(low=unit, high=unit)
def test_a_higher_tumour_threshold_never_adds_a_voxel(low, high):
    low, high = sorted((low, high))
    maps = make_maps()
    more = apply_thresholds(maps, Thresholds(tumour_threshold=low)).labels > 0
    fewer = apply_thresholds(maps, Thresholds(tumour_threshold=high)).labels > 0
    assert not (fewer & ~more).any()


def test_the_gate_closes_a_class_on_its_slices_and_can_be_opened():
    probabilities = np.ones((5, 3), dtype=np.float32)
    probabilities[1, 0], probabilities[2, 1], probabilities[3, 2] = 0.2, 0.2, 0.2
    maps = make_maps(probabilities=probabilities)
    labels = apply_thresholds(maps).labels
    assert not labels[1].any()
    assert not (labels[2] == CORE).any()
    assert (labels[2] == EDEMA).any()
    assert not (labels[3] == EDEMA).any()
    everything = apply_thresholds(maps, Thresholds(gate=False)).labels
    assert everything[1].any()
    assert (everything[2] == CORE).any()


def test_a_part_written_in_place_equals_the_whole():
    maps = make_maps()
    whole = apply_thresholds(maps).labels
    out = np.full(maps.grid.shape, 9, dtype=np.uint8)
    result = apply_thresholds(maps, out=out, where=slice(2, 3))
    assert result.labels is out
    assert (out[2] == whole[2]).all()
    assert (np.delete(out, 2, axis=0) == 9).all()
    apply_thresholds(maps, out=out, where=(slice(0, 5), slice(4, 9), slice(2, 7)))
    assert (out[:, 4:9, 2:7] == whole[:, 4:9, 2:7]).all()


def test_volumes_are_counts_times_voxel_size():
    segmentation = apply_thresholds(make_maps(), Thresholds(exclusive=False))
    labels, ml = segmentation.labels, segmentation.volumes_ml
    assert ml["core"] == pytest.approx(np.isin(labels, (CORE, BOTH)).sum() * 0.002)
    assert ml["edema"] == pytest.approx(np.isin(labels, (EDEMA, BOTH)).sum() * 0.002)
    assert ml["tumour"] == pytest.approx((labels > 0).sum() * 0.002)


@pytest.mark.parametrize("name", ["tumour_threshold", "class_threshold", "gate_probability"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_setting_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(GliocamError, match=name.replace("_", " ")):
        Thresholds(**{name: value})
