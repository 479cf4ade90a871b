"""Distances between the surfaces of two masks, and the 95th percentile of them (HD95)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import bounding_box
from napari_gliocam.settings import HD95


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that a face joins to the outside; the image's border is outside.

    Parameters
    ----------
    mask : ndarray of bool, 2-D or 3-D
        The region.

    Returns
    -------
    ndarray of bool, same shape
        The mask without its erosion by one voxel (connectivity 1).
    """
    padded = np.pad(mask, 1)
    inside = padded.copy()
    for axis in range(mask.ndim):
        inside &= np.roll(padded, 1, axis)
        inside &= np.roll(padded, -1, axis)
    border: NDArray[np.bool_] = mask & ~inside[(slice(1, -1),) * mask.ndim]
    return border


def surface_distances(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance of every surface voxel of each mask to the nearest of the other, in mm.

    Returns
    -------
    from_a, from_b : ndarray of float64, 1-D
        mm between the centres of voxels.

    Raises
    ------
    ValueError
        One of the masks is empty.
    """
    if not a.any() or not b.any():
        raise ValueError("An empty mask has no surface.")
    # The nearest surface lies within the box that holds both, so nothing else is looked at.
    box = bounding_box(a | b)
    assert box is not None
    of_a, of_b = surface(a[box]), surface(b[box])
    return _to_nearest(of_a, of_b, spacing), _to_nearest(of_b, of_a, spacing)


def _to_nearest(
    points: NDArray[np.bool_], goals: NDArray[np.bool_], spacing: Sequence[float]
) -> NDArray[np.float64]:
    """Return the distance from each point to the nearest goal, in mm."""
    from scipy.ndimage import distance_transform_edt

    # Only where the nearest goal lies is asked for: distances of all voxels take as long again.
    nearest = distance_transform_edt(
        ~goals, sampling=spacing, return_distances=False, return_indices=True
    )
    steps = (nearest[:, points].T - np.argwhere(points)) * np.asarray(spacing, dtype=np.float64)
    distances: NDArray[np.float64] = np.sqrt(np.square(steps).sum(axis=1))
    return distances


def diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Length of an image's diagonal in mm, ``sqrt(sum((voxels x spacing)²))``."""
    return math.hypot(*(n * step for n, step in zip(shape, spacing, strict=True)))


def hausdorff95(
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
    spacing: Sequence[float],
    *,
    definition: HD95 = "pooled",
    max_distance: float | None = None,
) -> float:
    """Return the 95th percentile of the distances between two surfaces, in mm.

    Parameters
    ----------
    a, b : ndarray of bool, same shape, 2-D or 3-D
        The regions to compare.
    spacing : sequence of float
        mm along each axis.
    definition : {"pooled", "max-directed"}
        ``"pooled"``: the percentile of both directed sets together, as the papers' metric
        library MedPy has it.  ``"max-directed"``: the larger of the two sets' percentiles, as
        in MONAI.  Both interpolate linearly.
    max_distance : float, optional
        What an image with one empty mask counts, in mm; the image's `diagonal` by default,
        `BRATS_DISTANCE` for figures like those of papers 1 and 2.

    Returns
    -------
    float
        0 where both masks are empty.
    """
    there = bool(a.any()), bool(b.any())
    if there == (False, False):
        return 0.0
    if not all(there):
        return diagonal(a.shape, spacing) if max_distance is None else max_distance
    directed = surface_distances(a, b, spacing)
    if definition == "pooled":
        return float(np.percentile(np.concatenate(directed), 95))
    return max(float(np.percentile(distances, 95)) for distances in directed)
