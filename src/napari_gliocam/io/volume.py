"""One modality as it is computed with: canonical axes, finite, not empty."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import obliquity

from napari_gliocam.case import Grid
from napari_gliocam.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gliocam.io.nifti import NiftiFile

#: More than any brain with its fluid, less than a head: beyond it a skull is likely.
LARGEST_BRAIN_ML = 2500.0
#: A grid turned by more than this (radians) against the body is called oblique.
OBLIQUE = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """A modality read from a file.

    Parameters
    ----------
    path : Path
    data : ndarray, shape (S, P, L)
        Finite, writable, not constant.
    grid : Grid
    header : nibabel header
    cleaned : int
        How many voxels were NaN or infinite, and are 0 now.
    has_skull : bool
        Whether it looks as if it was not skull-stripped.
    oriented : bool
        Whether the file says where left and right are.
    """

    path: Path
    data: NDArray[Any]
    grid: Grid
    header: Any
    cleaned: int
    has_skull: bool
    oriented: bool


def make_volume(file: NiftiFile, array: NDArray[Any], what: str) -> Volume:
    """Bring a 3-D array of a file into canonical axes and check it.

    Parameters
    ----------
    file : NiftiFile
    array : ndarray, 3-D
        The file's array, or one channel of it.
    what : str
        What messages call it.

    Raises
    ------
    CaseError
        All voxels have the same value.
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
    skull = has_skull(data, grid.voxel_ml)
    return Volume(file.path, data, grid, file.header, cleaned, skull, file.oriented)


def has_skull(data: NDArray[Any], voxel_ml: float) -> bool:
    """Whether a volume looks as if it was not skull-stripped.

    Either more than `LARGEST_BRAIN_ML` is not 0, or the four corners of the slices are mostly
    not 0, as the noise of the air around a head is.

    Parameters
    ----------
    data : ndarray, shape (S, P, L)
    voxel_ml : float
        Volume of a voxel in ml.
    """
    sample = data[:: max(1, len(data) // 32)]  # some thirty slices tell the volume well enough
    filled = np.count_nonzero(sample) / sample.size
    if filled * data.size * voxel_ml > LARGEST_BRAIN_ML:
        return True
    height, width = (max(1, side // 16) for side in data.shape[1:])
    corners = [
        np.count_nonzero(sample[:, rows, columns])
        for rows in (slice(height), slice(-height, None))
        for columns in (slice(width), slice(-width, None))
    ]
    return bool(sum(corners) > 0.5 * 4 * len(sample) * height * width)


def is_oblique(grid: Grid) -> bool:
    """Whether the grid's axes are turned against the axes of the body."""
    return bool(np.max(obliquity(grid.affine)) > OBLIQUE)


def difference(one: Grid, other: Grid, *, tolerance: float = 1e-3) -> str | None:
    """Say what two grids differ in, in words with both values; None where they agree.

    They are compared in canonical axes, so files that store the same voxels in another order
    agree.

    Parameters
    ----------
    one, other : Grid
    tolerance : float
        Accepted difference of voxel size, direction and origin in mm.
    """
    if one.shape != other.shape:
        return f"size {_times(one.shape)} and {_times(other.shape)} voxels"
    gap = np.abs(one.canonical_affine - other.canonical_affine)
    if gap.max() < tolerance:
        return None
    if np.abs(np.subtract(one.spacing, other.spacing)).max() >= tolerance:
        return f"voxel size {_times(one.spacing)} and {_times(other.spacing)} mm"
    if gap[:3, :3].max() >= tolerance:
        return "direction of the axes"
    return f"position, by {np.linalg.norm(gap[:3, 3]):.3g} mm"


def _times(values: tuple[float, ...]) -> str:
    return " × ".join(f"{value:.4g}" for value in values)
