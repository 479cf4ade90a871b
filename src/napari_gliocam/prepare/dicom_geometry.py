"""Where the slices of a DICOM series lie, and whether they make one volume."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.case import Grid
from napari_gliocam.errors import CaseError
from napari_gliocam.prepare.images import FLIP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Direction cosines are written with few digits.
_DIRECTION = 2e-3
#: Distances between slices may differ by this part of the usual one.
_EVEN = 0.1
#: Slices nearer than this part of the usual distance lie at one place.
_SAME = 0.02
#: A shift along the slice per slice, as a part of a pixel, that is a tilted gantry.
_SHEAR = 0.05


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Parameters
    ----------
    path : Path
        The instance it is in.
    index : int
        Which of its frames, from 0.
    position : ndarray, shape (3,)
        Centre of the first voxel, LPS mm (ImagePositionPatient).
    orientation : ndarray, shape (6,)
        Directions of a row and of a column (ImageOrientationPatient).
    pixel : tuple of 2 float
        Distance between rows and between columns in mm (PixelSpacing).
    size : tuple of 2 int
        Rows and columns.
    slope, intercept : float
        Rescale of stored values.
    uid : str
        SOPInstanceUID.
    """

    path: Path
    index: int
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    pixel: tuple[float, float]
    size: tuple[int, int]
    slope: float = 1.0
    intercept: float = 0.0
    uid: str = ""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one volume, in the order of their places.

    Parameters
    ----------
    frames : tuple of Frame
        In the order of the third axis of the grid.
    grid : Grid
        First axis along a row, second along a column, third across the slices.
    """

    frames: tuple[Frame, ...]
    grid: Grid


def stack_frames(frames: Sequence[Frame]) -> Stack:
    """Sort slices by place and check that they make one volume.

    Parameters
    ----------
    frames : sequence of Frame
        In any order, of one series.

    Raises
    ------
    CaseError
        With the end of a sentence about the series: mixed orientations or sizes, slices missing
        or at the same place, a tilted gantry.
    """
    frames = list({(frame.uid or frame.path, frame.index): frame for frame in frames}.values())
    first = frames[0]
    if any(np.abs(f.orientation - first.orientation).max() > _DIRECTION for f in frames):
        raise CaseError("its slices have several orientations, as those of a localiser")
    if len({f.size for f in frames}) > 1 or len({_rounded(f.pixel) for f in frames}) > 1:
        raise CaseError("its slices have several sizes")
    if len(frames) < 2:
        raise CaseError("it is one slice, not a volume")
    along, down = (axis / np.linalg.norm(axis) for axis in first.orientation.reshape(2, 3))
    if abs(float(along @ down)) > _DIRECTION:
        raise CaseError("the rows and columns of its slices are not perpendicular")
    across = np.cross(along, down)
    frames.sort(key=lambda frame: float(frame.position @ across))
    places = np.array([frame.position for frame in frames])
    heights = places @ across
    gaps = np.diff(heights)
    usual = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    if usual == 0:
        raise CaseError("all its slices lie at one place")
    _refuse_doubles(heights, usual)
    wide = np.flatnonzero(np.abs(gaps - usual) > _EVEN * usual)
    if len(wide):
        at = int(wide[0])
        raise CaseError(
            f"the distance between its slices {at + 1} and {at + 2} is {gaps[at]:.3g} mm where it "
            f"is {usual:.3g} mm elsewhere, so slices are missing"
        )
    step = (places[-1] - places[0]) / (len(frames) - 1)
    shear = step - across * float(step @ across)
    if np.linalg.norm(shear) > _SHEAR * min(first.pixel) and (
        np.linalg.norm(shear) / usual > _DIRECTION
    ):
        raise CaseError("its slices are sheared (a tilted gantry)")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along * first.pixel[1], down * first.pixel[0]
    affine[:3, 2], affine[:3, 3] = across * float(step @ across), places[0]
    rows, columns = first.size
    return Stack(tuple(frames), Grid(FLIP @ affine, (columns, rows, len(frames))))


def _rounded(pixel: tuple[float, float]) -> tuple[float, float]:
    return round(pixel[0], 4), round(pixel[1], 4)


def _refuse_doubles(heights: NDArray[np.float64], usual: float) -> None:
    places = Counter(np.round(np.cumsum(np.diff(heights, prepend=heights[0]) > _SAME * usual)))
    twice = [number for number, count in places.items() if count > 1]
    if not twice:
        return
    counts = set(places.values())
    if len(counts) == 1:
        raise CaseError(
            f"it shows every slice {counts.pop()} times (echoes, time points or b-values), so it "
            "is no single volume"
        )
    raise CaseError(
        f"{len(twice)} of its places, the first at slice {int(twice[0]) + 1}, are there more than "
        "once"
    )
