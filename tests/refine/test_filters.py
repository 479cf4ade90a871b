"""The two filters of the CRF by themselves: exact on a grid, and on the lattice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.refine.grid import make_grid_filter
from napari_gliocam.refine.lattice import make_lattice


def dense(features: np.ndarray) -> np.ndarray:
    """The normalised kernel matrix of points, (N, N)."""
    distance = ((features[:, :, None] - features[:, None]) ** 2).sum(axis=0)
    kernel = np.exp(-distance / 2)
    norm = 1 / np.sqrt(kernel.sum(axis=1))
    return norm[:, None] * kernel * norm


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    widths=st.lists(st.sampled_from([0.3, 1.0, 3.0, None]), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_the_grid_filter_is_the_kernel_matrix(shape, widths, seed):
    rng = np.random.default_rng(seed)
    widths = widths[: len(shape)]
    where = np.flatnonzero(rng.random(np.prod(shape)) < 0.7)
    if not len(where):
        where = np.array([0])
    values = rng.random((2, len(where))).astype(np.float32)
    at = np.stack(np.unravel_index(where, shape)).astype(float)
    far = 1e3  # apart enough not to see each other
    scale = np.array([far if width is None else 1 / width for width in widths])
    expected = values @ dense(at * scale[:, None])
    found = make_grid_filter(torch.from_numpy(where), shape, widths) @ torch.from_numpy(values)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("d", "least"), [(1, 0.98), (2, 0.98), (3, 0.98), (5, 0.98), (7, 0.9)])
def test_the_lattice_is_close_to_the_kernel_matrix(d: int, least: float):
    # The lattice has only the vertices near points, so few points in many dimensions lose some.
    rng = np.random.default_rng(d)
    features = rng.uniform(0, 2.5, (d, 300)).astype(np.float32)
    values = rng.random((1, 300)).astype(np.float32)
    found = (make_lattice(torch.from_numpy(features)) @ torch.from_numpy(values)).numpy()
    expected = values @ dense(features.astype(float))
    assert np.corrcoef(found[0], expected[0])[0, 1] > least
    assert np.abs(found - expected).mean() < (1 - least + 0.03) * expected.mean()


def test_far_points_do_not_see_each_other_and_equal_points_share():
    features = torch.tensor([[0.0, 0.0, 100.0], [0.0, 0.0, 100.0]])
    found = make_lattice(features) @ torch.tensor([[1.0, 3.0, 7.0]])
    np.testing.assert_allclose(found.numpy(), [[2.0, 2.0, 7.0]], rtol=1e-5)


def test_groups_do_not_see_each_other():
    features = torch.zeros(3, 4)
    group = torch.tensor([0, 0, 1, 2])
    found = make_lattice(features, group) @ torch.tensor([[1.0, 3.0, 7.0, 9.0]])
    np.testing.assert_allclose(found.numpy(), [[2.0, 2.0, 7.0, 9.0]], rtol=1e-5)


@settings(max_examples=30)
@given(d=st.integers(1, 8), count=st.integers(1, 20), scale=st.sampled_from([0.0, 1.0, 1e5]))
def test_the_symmetric_kernel_keeps_what_is_symmetric(d, count, scale):
    # With D^-1/2 K D^-1/2 the vector D^1/2 is kept; keys of any size must not clash for that.
    features = torch.from_numpy(np.random.default_rng(0).uniform(0, scale, (d, count)))
    lattice = make_lattice(features.float())
    norm = lattice @ torch.ones(1, count)
    assert torch.isfinite(norm).all()
    assert (norm > 0).all()
    if scale > 1:
        np.testing.assert_allclose(norm.numpy(), 1, atol=1e-4)
