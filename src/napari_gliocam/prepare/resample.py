"""Volumes from one grid to another, through a rigid movement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_gliocam.case import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: In-plane voxels of this size in mm are left as they are.
_FINE_MM, _COARSE_MM = 0.75, 1.6
#: A source this much finer than the target is smoothed first, so that nothing is skipped.
_ALIASING = 1.3


def resample(
    data: NDArray[np.float32],
    source: Grid,
    target: Grid,
    to_source: NDArray[np.float64] | None = None,
    *,
    order: int = 1,
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Resample a volume onto another grid.

    Parameters
    ----------
    data : ndarray of float32, shape (S, P, L)
        On the source grid.
    source, target : Grid
        Where the voxels lie, and where they are wanted.
    to_source : ndarray, shape (4, 4), optional
        A place on the target, RAS+ mm, to the same place of the head on the source.
    order : {0, 1, 3}
        Nearest voxel, linear, or cubic B-spline.
    outside : float
        Value where the source has no voxel.

    Returns
    -------
    ndarray of float32, shape (S, P, L) of the target
    """
    movement = np.eye(4) if to_source is None else to_source
    matrix = np.linalg.inv(source.canonical_affine) @ movement @ target.canonical_affine
    step = np.linalg.norm(matrix[:3, :3], axis=1)  # source voxels a target voxel
    if order and step.max() > _ALIASING:
        sigma = np.where(step > _ALIASING, 0.42 * np.sqrt(np.maximum(step**2 - 1, 0)), 0)
        data = ndi.gaussian_filter(data, sigma, truncate=3.0)
    moved: NDArray[np.float32] = ndi.affine_transform(
        data,
        matrix[:3, :3],
        matrix[:3, 3],
        target.shape,
        order=order,
        cval=outside,
        output=np.float32,
    )
    return moved


def inside(
    source: Grid, target: Grid, to_source: NDArray[np.float64] | None = None
) -> NDArray[np.bool_]:
    """Return the voxels of the target that lie within the source, shape (S, P, L)."""
    ones = np.ones(source.shape, dtype=np.float32)
    return resample(ones, source, target, to_source, order=0) > 0


def even_grid(grid: Grid, spacing: float, multiple: int = 1) -> Grid:
    """Return a grid of cubes, along the axes of the body, that covers another grid.

    Parameters
    ----------
    grid : Grid
        What is covered.
    spacing : float
        Voxel size in mm.
    multiple : int
        Sides are multiples of it.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape) - 1)
    places = corners @ grid.canonical_affine[:3, :3].T + grid.canonical_affine[:3, 3]
    low, high = places.min(axis=0), places.max(axis=0)
    count = np.ceil((high - low) / spacing / multiple).astype(int) * multiple
    count = np.maximum(count, multiple)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - (count - 1) / 2 * spacing
    x, y, z = (int(n) for n in count)
    return Grid(affine, (x, y, z))


def case_grid(grid: Grid) -> Grid:
    """Return the grid for a case whose reference lies on ``grid``.

    It is the reference's own where its axial pixels are near 1 mm, so that nothing is
    interpolated without need; else cubes of 1 mm.
    """
    _, row, column = grid.spacing
    own = all(_FINE_MM <= mm <= _COARSE_MM for mm in (row, column))
    return grid if own else even_grid(grid, 1.0)
