from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.maps.across_slices import smooth_across_slices


def stack(seed=0, n=9):
    rng = np.random.default_rng(seed)
    brain = rng.random((n, 6, 5)) < 0.8
    return (rng.random((n, 6, 5)).astype(np.float32) * brain), brain


def test_a_flat_map_stays_flat_up_to_the_edge_of_the_brain():
    _, brain = stack()
    smooth = smooth_across_slices(np.float32(0.7) * brain.astype(np.float32), brain, 2.0)
    np.testing.assert_allclose(smooth[brain], 0.7, atol=1e-5)
    assert (smooth[~brain] == 0).all()


def test_one_bright_slice_spreads_as_a_gaussian_does():
    maps = np.zeros((21, 1, 1), dtype=np.float32)
    maps[10] = 1
    smooth = smooth_across_slices(maps, np.ones_like(maps, dtype=bool), 1.5)[:, 0, 0]
    expected = np.exp(-0.5 * ((np.arange(21) - 10) / 1.5) ** 2)
    np.testing.assert_allclose(smooth, expected / expected.sum(), atol=1e-3)


def test_thick_slices_are_left_as_they_are():
    maps, brain = stack()
    assert smooth_across_slices(maps, brain, 0.1) is maps


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_slices_to_average(n):
    maps, brain = stack(n=n)
    assert smooth_across_slices(maps, brain, 2.0).shape == maps.shape


@given(st.integers(0, 1000), st.floats(0.2, 6), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_values_stay_between_those_of_the_column(seed, sigma, n):
    maps, brain = stack(seed, n)
    smooth = smooth_across_slices(maps, brain, sigma)
    low = np.where(brain, maps, np.inf).min(axis=0)
    high = np.where(brain, maps, -np.inf).max(axis=0)
    assert (smooth >= np.where(brain, low, 0) - 1e-5).all()
    assert (smooth <= np.where(brain, high, 0) + 1e-5).all()
