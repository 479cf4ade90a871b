"""One modality as it is computed with: canonical axes, finite, not empty."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import obliquity

from napari_gliocam.case import Grid
from napari_gliocam.errors import CaseError, UnpreparedError
from napari_gliocam.io.background import clear_background

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gliocam.io.nifti import NiftiFile

#: More than any brain with its fluid, less than a head: beyond it a skull is likely.
LARGEST_BRAIN_ML = 2500.0
#: More than any head with its neck.
LARGEST_HEAD_ML = 12000.0
#: A grid turned by more than this (radians) against the body is called oblique.
OBLIQUE = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """A modality read from a file.

    Parameters
    ----------
    path : Path
        The file.
    data : ndarray, shape (S, P, L)
        Finite, writable, not constant.
    grid : Grid
        The case's grid.
    header : nibabel header
        The file's header.
    cleaned : int
        How many voxels were NaN or infinite, and are 0 now.
    has_skull : bool
        Whether it looks as if it was not skull-stripped.
    oriented : bool
        Whether the file says where left and right are.
    notes : tuple of str
        What was mended in reading it, a sentence each.
    """

    path: Path
    data: NDArray[Any]
    grid: Grid
    header: Any
    cleaned: int
    has_skull: bool
    oriented: bool
    notes: tuple[str, ...] = ()


def make_volume(file: NiftiFile, array: NDArray[Any], what: str) -> Volume:
    """Bring a 3-D array of a file into canonical axes and check it.

    Parameters
    ----------
    file : NiftiFile
        The opened file.
    array : ndarray, 3-D
        The file's array, or one channel of it.
    what : str
        What messages call it.

    Raises
    ------
    CaseError
        All voxels have the same value, there is no background, or the head would be larger than
        any head.
    """
    x, y, z = array.shape
    grid = Grid(file.affine, (x, y, z))
    data = grid.from_file(array)
    if not data.flags.writeable:  # a view of the file's bytes
        data = data.copy()
    # A NaN or inf anywhere shows in one of the two, so clean volumes are read only twice.
    with np.errstate(invalid="ignore"):
        low, high = data.min(), data.max()
    cleaned = 0
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = ~np.isfinite(data)
        cleaned = int(np.count_nonzero(bad))
        data[bad] = 0
        low, high = data.min(), data.max()
    if low == high:
        state = "all zero" if low == 0 else f"constant (every voxel is {low:g})"
        raise CaseError(f"{what} is {state}; choose a file that holds an image.")
    cleared = clear_background(data)
    if cleared is None:
        raise UnpreparedError(
            f"{what} has no even background: its corners hold different values; skull-strip it and "
            "set what lies outside the brain to 0."
        )
    data, note = cleared
    notes = (*file.notes, *([f"{what} {note}."] if note else []))
    if _has_one_value(data):
        notes += (
            f"{what} holds one value besides its background, as a mask does; check the file.",
        )
    filled_ml = filled_ml_of(data, grid.voxel_ml)
    if filled_ml > LARGEST_HEAD_ML:
        raise CaseError(
            f"{what} shows {filled_ml / 1000:.0f} litres, more than any head; correct the voxel "
            "size in its header, which counts in mm."
        )
    skull = filled_ml > LARGEST_BRAIN_ML
    return Volume(file.path, data, grid, file.header, cleaned, skull, file.oriented, notes)


def _has_one_value(data: NDArray[Any]) -> bool:
    """Return True if all that is not 0 is the same; a few slices tell where it is not."""
    for part in (data[:: max(1, len(data) // 8)], data):
        shown = part[part != 0]
        if shown.size and shown.min() != shown.max():
            return False
    return bool(shown.size)


def filled_ml_of(data: NDArray[Any], voxel_ml: float) -> float:
    """Return the volume that is not 0 in ml, from some thirty slices."""
    sample = data[:: max(1, len(data) // 32)]
    return np.count_nonzero(sample) / sample.size * data.size * voxel_ml


def is_oblique(grid: Grid) -> bool:
    """Return True if the grid's axes are turned against the axes of the body."""
    return bool(np.max(obliquity(grid.affine)) > OBLIQUE)


def difference(one: Grid, other: Grid) -> str | None:
    """Say what two grids differ in, in words with both values; None where they agree.

    They are compared in canonical axes, so files that store the same voxels in another order
    agree.  Headers round differently, so the same corner may lie apart by a twentieth of the
    voxel's smallest edge.
    """
    if one.shape != other.shape:
        return f"size {_times(one.shape)} and {_times(other.shape)} voxels"
    gap = one.canonical_affine - other.canonical_affine
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(one.shape) - 1)
    apart = np.linalg.norm(corners @ gap[:3, :3].T + gap[:3, 3], axis=1).max()
    nearest = 0.05 * min(one.spacing)
    if apart <= nearest:
        return None
    across = np.array(one.shape) * np.abs(np.subtract(one.spacing, other.spacing))
    if across.max() > nearest:
        return f"voxel size {_times(one.spacing)} and {_times(other.spacing)} mm"
    turned = np.linalg.norm(corners @ gap[:3, :3].T, axis=1).max()
    if turned > nearest:
        return "direction of the axes"
    return f"position, by {np.linalg.norm(gap[:3, 3]):.3g} mm"


def _times(values: tuple[float, ...]) -> str:
    return " × ".join(f"{value:.4g}" for value in values)
