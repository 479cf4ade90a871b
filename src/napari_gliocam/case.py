"""A case: one patient at one time point, its modalities on one grid."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gliocam.targets import Target

#: Every volume in memory has these axes: slices from feet to head, rows from the forehead
#: back, columns from the patient's right to the left (the radiological view).
CANONICAL_AXES = ("S", "P", "L")


class Modality(StrEnum):
    """The four sequences of a BraTS case; the value is the name used in files."""

    T1 = "t1"
    T1CE = "t1ce"
    T2 = "t2"
    FLAIR = "flair"

    @property
    def title(self) -> str:  # type: ignore[override]
        """The name a radiologist writes."""
        return {"t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}[self.value]


#: T1 is not needed by the networks, so nobody is warned when it is missing.
NEEDED = (Modality.T1CE, Modality.T2, Modality.FLAIR)


@dataclass(frozen=True, eq=False)
class Grid:
    """The position of the voxels of a case, in the file and in memory.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        Voxel index in the file to RAS+ millimetres.
    file_shape : tuple of 3 int
        Shape of the volumes in the file's own axis order.
    """

    affine: NDArray[np.float64]
    file_shape: tuple[int, int, int]

    @cached_property
    def _to_canonical(self) -> NDArray[np.float64]:
        to_canonical: NDArray[np.float64] = ornt_transform(
            io_orientation(self.affine), axcodes2ornt(CANONICAL_AXES)
        )
        return to_canonical

    @cached_property
    def _to_file(self) -> NDArray[np.float64]:
        to_file: NDArray[np.float64] = ornt_transform(
            axcodes2ornt(CANONICAL_AXES), io_orientation(self.affine)
        )
        return to_file

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Shape in memory: slices, rows, columns."""
        order = np.argsort(self._to_canonical[:, 0])
        s, p, l = (self.file_shape[axis] for axis in order)
        return s, p, l

    @cached_property
    def canonical_affine(self) -> NDArray[np.float64]:
        """Voxel index in memory to RAS+ millimetres."""
        affine: NDArray[np.float64] = self.affine @ inv_ornt_aff(
            self._to_canonical, self.file_shape
        )
        return affine

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along slices, rows, columns, to six digits.

        Headers hold 32-bit numbers, so 1 mm may be stored as 0.99999998; sizes that are rounded
        up to whole pixels would differ.
        """
        s, p, l = (float(f"{v:.6g}") for v in voxel_sizes(self.canonical_affine))
        return s, p, l

    @cached_property
    def origin(self) -> tuple[float, float, float]:
        """Position in mm of voxel (0, 0, 0) along S, P and L."""
        x, y, z = (float(v) for v in self.canonical_affine[:3, 3])
        return z, -y, -x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def from_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """Reorder a volume from the file's axes to the canonical ones (C-contiguous)."""
        return np.ascontiguousarray(apply_orientation(array, self._to_canonical))

    def to_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """Reorder a canonical volume back to the file's own axes."""
        return np.asarray(apply_orientation(array, self._to_file))


@dataclass(frozen=True, eq=False)
class ExpertLabels:
    """The outlines of an expert, in the classes of this project.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        0 background, 1 core, 2 edema.
    scheme : str
        The label scheme the file was read with (`napari_gliocam.io.schemes`).
    source : Path or None
        The file it came from.
    """

    labels: NDArray[np.uint8]
    scheme: str
    source: Path | None = None


@dataclass(frozen=True, eq=False)
class OriginalSeries:
    """A series that a case was prepared from, and the way back to it.

    Parameters
    ----------
    name : str
        What the series is called: its description or its file's name.
    grid : Grid
        Where its voxels lie.
    from_case : ndarray, shape (4, 4)
        A place in the case, RAS+ mm, to the same place of the head in the series.
    paths : tuple of Path
        Its files: one image, or the DICOM instances in the order of the slices.
    is_dicom : bool
        Whether they are DICOM.
    """

    name: str
    grid: Grid
    from_case: NDArray[np.float64]
    paths: tuple[Path, ...]
    is_dicom: bool = False


@dataclass(frozen=True, eq=False)
class Preparation:
    """The preparation of a case from series that did not fit together as they were.

    Parameters
    ----------
    steps : tuple of str
        What was done, one sentence each.
    originals : mapping of Modality to OriginalSeries
        The series, each with the way back to it.
    head : ndarray of float32, shape (S, P, L), or None
        The reference series on the case's grid before skull and skin were removed, to check the
        border of the brain; None where nothing was removed.
    """

    steps: tuple[str, ...]
    originals: Mapping[Modality, OriginalSeries]
    head: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Named modalities on one grid.

    Parameters
    ----------
    name : str
        What the case is called in layers and files.
    volumes : mapping of Modality to ndarray, each of shape (S, P, L)
        Finite values in the file's units, in canonical axes; any real dtype in native byte order.
        Outside the brain they are 0: another background was subtracted when it was read.
    grid : Grid
        The grid they share.
    sources : mapping of Modality to Path
        The files they came from; empty for a case made by code.
    expert : ExpertLabels or None
        Expert labels where present.
    header : nibabel Nifti1Header or None
        Of the FLAIR (or the first) file, for saving with the same codes and units.
    warnings : tuple of str
        What a user should know: cleaned voxels, a skull, a missing modality.
    preparation : Preparation or None
        Set where the case was aligned, resampled or stripped; the way back to each series.
    """

    name: str
    volumes: Mapping[Modality, NDArray[Any]]
    grid: Grid
    sources: Mapping[Modality, Path] = field(default_factory=dict)
    expert: ExpertLabels | None = None
    header: Any = None
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None

    def __repr__(self) -> str:
        """Return the name alone, not thousands of voxels."""
        return f"Case({self.name!r})"

    def best_modality(self, target: Target) -> Modality:
        """Return the modality that shows a target best, T1ce for core, else FLAIR; or the first."""
        best = Modality.T1CE if target == "core" else Modality.FLAIR
        return best if best in self.volumes else next(iter(self.volumes))

    @cached_property
    def brain(self) -> NDArray[np.bool_]:
        """Voxels inside the brain, where any modality differs from 0, shape (S, P, L)."""
        brain = np.zeros(self.grid.shape, dtype=np.bool_)
        for volume in self.volumes.values():
            np.logical_or(brain, volume != 0, out=brain)
        return brain


def bounding_box(
    mask: NDArray[Any], margins: Sequence[int] | None = None
) -> tuple[slice, ...] | None:
    """Return the smallest box around what is not 0; None where all is 0.

    It narrows axis by axis, which is several times faster than a look at all voxels.

    Parameters
    ----------
    mask : ndarray, of any shape
        Labels, or a mask.
    margins : sequence of int, optional
        Voxels around it along each axis, inside the array.
    """
    box: list[slice] = []
    part = mask
    for axis, margin in enumerate(margins or (0,) * mask.ndim):
        seen = np.flatnonzero(part.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not seen.size:
            return None
        box.append(slice(int(seen[0]), int(seen[-1]) + 1))
        part = part[(slice(None),) * axis + (box[-1],)]
        low, high = box[-1].start - margin, box[-1].stop + margin
        box[-1] = slice(max(low, 0), min(high, mask.shape[axis]))
    return tuple(box)
