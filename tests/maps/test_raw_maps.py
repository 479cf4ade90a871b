import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_gliocam.maps.raw_maps import normalise_maps

EVERY = ("slice", "volume", "none")


@given(
    raw=npst.arrays(
        np.float32, (2, 3, 4), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
    ),
    inside=npst.arrays(np.bool_, (2, 3, 4)),
    how=st.sampled_from(EVERY),
)
def test_always_in_0_1_and_0_outside(raw, inside, how):
    unit = normalise_maps(raw, inside, how)
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() <= 1
    assert how == "none" or not unit[~inside].any()


@pytest.mark.parametrize("how", ["slice", "volume"])
@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, np.nan])
def test_a_constant_map_says_nothing(how, value):
    raw = np.full((2, 4, 4), value, dtype=np.float32)
    assert not normalise_maps(raw, np.ones(raw.shape, dtype=bool), how).any()


def test_by_slice_and_by_volume():
    raw = np.array([[[0.0, 1.0, 2.0]], [[0.0, 4.0, 8.0]]], dtype=np.float32)
    inside = np.ones(raw.shape, dtype=bool)
    assert normalise_maps(raw, inside, "slice").tolist() == [[[0, 0.5, 1]], [[0, 0.5, 1]]]
    assert normalise_maps(raw, inside, "volume").tolist() == [[[0, 0.125, 0.25]], [[0, 0.5, 1]]]


def test_what_lies_in_air_does_not_count():
    raw = np.array([[[1.0, 2.0, 99.0]]], dtype=np.float32)
    inside = np.array([[[True, True, False]]])
    assert normalise_maps(raw, inside).tolist() == [[[0, 1, 0]]]
