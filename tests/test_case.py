from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Case, Grid, Modality, bounding_box

SHAPE = (3, 4, 5)
ORDERS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


def order_affine(axes, signs):
    """An affine whose file axes run along the given axes of the body, 1 × 2 × 3 mm."""
    affine = np.zeros((4, 4))
    for column, (axis, sign, size) in enumerate(zip(axes, signs, (1.0, 2.0, 3.0), strict=True)):
        affine[axis, column] = sign * size
    affine[:, 3] = 11, -7, 5, 1
    return affine


@pytest.mark.parametrize(("axes", "signs"), ORDERS)
def test_grid_goes_to_canonical_axes_and_back_in_each_of_the_48_orders(axes, signs):
    grid = Grid(order_affine(axes, signs), SHAPE)
    volume = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    canonical = grid.from_file(volume)
    assert canonical.shape == grid.shape
    assert canonical.flags.c_contiguous
    np.testing.assert_array_equal(grid.to_file(canonical), volume)
    assert nib.aff2axcodes(grid.canonical_affine) == ("S", "P", "L")
    # Every voxel keeps its place in the body.
    for index in np.ndindex(*grid.shape):
        world = grid.canonical_affine @ (*index, 1)
        in_file = np.rint(np.linalg.solve(grid.affine, world)[:3]).astype(int)
        assert canonical[index] == volume[tuple(in_file)]


def test_there_are_48_orders():
    assert len(ORDERS) == 48


@pytest.mark.parametrize(("axes", "signs"), ORDERS[::7])
def test_grid_spacing_origin_and_volume(axes, signs):
    grid = Grid(order_affine(axes, signs), SHAPE)
    size_of = dict(zip(axes, (1.0, 2.0, 3.0), strict=True))
    assert grid.spacing == (size_of[2], size_of[1], size_of[0])
    assert grid.voxel_ml == pytest.approx(0.006)
    x, y, z = grid.canonical_affine[:3, 3]
    assert grid.origin == (z, -y, -x)


def test_oblique_grid_keeps_world_positions():
    angle = np.deg2rad(12)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = Grid(affine, SHAPE)
    volume = np.arange(60).reshape(SHAPE)
    np.testing.assert_array_equal(grid.to_file(grid.from_file(volume)), volume)
    assert grid.spacing == pytest.approx((1, 1, 1))


def test_brain_is_where_any_modality_is_not_zero():
    grid = Grid(np.eye(4), (2, 2, 2))
    one, other = np.zeros((2, 2, 2, 2), dtype=np.int16)
    one[0, 0, 0], other[1, 1, 1] = 5, -1
    case = Case("x", {Modality.T2: one, Modality.FLAIR: other}, grid)
    assert case.brain.sum() == 2
    assert case.brain[0, 0, 0]
    assert case.brain[1, 1, 1]


def test_modality_titles():
    assert [modality.title for modality in Modality] == ["T1", "T1ce", "T2", "FLAIR"]


def test_a_box_holds_what_is_not_zero_and_its_margin_stays_inside():
    mask = np.zeros((4, 6, 8), dtype=np.uint8)
    assert bounding_box(mask) is None
    mask[1:3, 2:4, 5] = 2
    assert bounding_box(mask) == (slice(1, 3), slice(2, 4), slice(5, 6))
    assert bounding_box(mask, (0, 1, 3)) == (slice(1, 3), slice(1, 5), slice(2, 8))
