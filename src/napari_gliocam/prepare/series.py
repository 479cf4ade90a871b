"""One series of a study: which files, which modality and why, and its voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gliocam.prepare.dicom_geometry import Stack

#: Pairs of neighbouring voxels, at least, whose correlation tells noise, and the least of an image.
_ENOUGH, _LEAST_CORRELATION = 1000, 0.15


@dataclass(frozen=True, eq=False)
class Series:
    """Images of one acquisition, not decoded yet.

    Parameters
    ----------
    name : str
        The series description, or the file's name.
    paths : tuple of Path
        One image file, or DICOM instances in the order of the slices.
    modality : Modality or None
        The sequence that it seems to be; None where nothing says so.
    reason : str
        Why, in words; empty where nothing says so.
    cover : tuple of 2 float
        To choose among several of a modality: the extent across the slices in mm, at most the
        height of a head, and the inverse of the voxel's volume.
    stack : Stack or None
        Where the slices of a DICOM series lie.
    """

    name: str
    paths: tuple[Path, ...]
    modality: Modality | None = None
    reason: str = ""
    cover: tuple[float, float] = (0.0, 0.0)
    stack: Stack | None = None

    @property
    def is_dicom(self) -> bool:
        """Whether the files are DICOM."""
        return self.stack is not None


@dataclass(frozen=True, eq=False)
class SeriesVolume:
    """The voxels of a series.

    Parameters
    ----------
    name : str
        What messages call it.
    data : ndarray of float32, shape (S, P, L)
        Finite values in canonical axes, rescaled to the scanner's units.
    grid : Grid
        Where they lie.
    header : nibabel header or None
        Of a NIfTI file.
    notes : tuple of str
        What was mended in reading it, one sentence each.
    """

    name: str
    data: NDArray[np.float32]
    grid: Grid
    header: Any = None
    notes: tuple[str, ...] = ()


def volume_of(
    name: str,
    array: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    header: Any = None,
    notes: tuple[str, ...] = (),
) -> SeriesVolume:
    """Check an array in the file's axes and bring it into canonical ones.

    Parameters
    ----------
    name : str
        What messages call it.
    array : ndarray, 3-D
        In the file's axes.
    affine : ndarray, shape (4, 4)
        Voxel index in the file to RAS+ mm.
    header, notes
        As in `SeriesVolume`.

    Raises
    ------
    CaseError
        It is no volume, all voxels have the same value, or they are noise.
    """
    if array.ndim != 3 or min(array.shape) < 2:
        shape = " × ".join(map(str, array.shape))
        raise CaseError(f"{name} is {shape} where one 3-D volume is meant; leave it out.")
    x, y, z = array.shape
    grid = Grid(np.asarray(affine, dtype=np.float64), (x, y, z))
    data = grid.from_file(array).astype(np.float32)
    bad = ~np.isfinite(data)
    if bad.any():
        data[bad] = 0
        count = int(np.count_nonzero(bad))
        notes = (*notes, f"{name} is NaN or infinite in {count:,} voxels, which count as 0.")
    if data.min() == data.max():
        raise CaseError(f"{name} is constant; choose a series that holds an image.")
    if _is_noise(data):
        raise CaseError(
            f"{name} is noise, its neighbouring voxels have nothing in common; choose a series "
            "that holds an image."
        )
    return SeriesVolume(name, data, grid, header, notes)


def _is_noise(data: NDArray[np.float32]) -> bool:
    """Return True if neighbouring voxels do not correlate along any axis; in images 0.5 and more.

    Of a few voxels nothing can be said.
    """
    even = data[tuple(slice(0, n // 2 * 2, 2) for n in data.shape)]
    if np.count_nonzero(even != even.min()) < _ENOUGH:
        return False
    for axis in range(3):
        odd = data[tuple(slice(a == axis, n // 2 * 2, 2) for a, n in enumerate(data.shape))]
        if np.ptp(odd) == 0 or np.corrcoef(even.flat, odd.flat)[0, 1] > _LEAST_CORRELATION:
            return False
    return True
