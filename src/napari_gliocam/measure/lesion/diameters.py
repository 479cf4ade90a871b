"""The largest diameter of a lesion on an axial slice and the perpendicular one, as in RANO.

Both are measured from outline to outline of one connected part on one slice, in mm with the true
spacing in the plane.  The outline of a mask is that of marching squares: it runs through the
middles of the edges between voxels inside and outside, so a row of n voxels is n voxels long.
"""

# mypy: untyped-calls-exclude="skimage"

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.measure.lesion.lesions import find_lesions

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """A straight line on a slice.

    Parameters
    ----------
    start, end : (S, P, L)
        In voxels, with halves: the outline runs between the centres of voxels.
    mm : float
        Length.
    """

    start: Point
    end: Point
    mm: float


@dataclass(frozen=True)
class Diameters:
    """The two diameters; without a lesion there are none and the lengths are 0.

    Parameters
    ----------
    slice : int or None
        The slice that shows the largest diameter.
    long, perpendicular : Line or None
        The largest distance between two points of the outline, and the largest one at right
        angles to it on the same part of the slice.
    """

    slice: int | None = None
    long: Line | None = None
    perpendicular: Line | None = None

    @property
    def long_mm(self) -> float:
        """Largest diameter in mm."""
        return self.long.mm if self.long else 0.0

    @property
    def perpendicular_mm(self) -> float:
        """Largest perpendicular diameter in mm."""
        return self.perpendicular.mm if self.perpendicular else 0.0

    @property
    def product_mm2(self) -> float:
        """Bidimensional product in mm² (RANO, Wen et al. 2010)."""
        return self.long_mm * self.perpendicular_mm

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines to draw."""
        return tuple(line for line in (self.long, self.perpendicular) if line)


NO_DIAMETERS = Diameters()


def diameters(
    mask: NDArray[np.bool_], spacing: Sequence[float], tumour: NDArray[np.bool_] | None = None
) -> Diameters:
    """Return the diameters of a class in the lesion where their product is largest, as in RANO.

    Parameters
    ----------
    mask : ndarray of bool, shape (S, P, L)
        The class.
    spacing : (S, P, L)
        mm.
    tumour : ndarray of bool, same shape, optional
        Its connected parts (26 neighbours) are the lesions; those of the class by default.
    """
    found = find_lesions(mask if tumour is None else tumour, min_ml=0)
    if found is None:
        return NO_DIAMETERS
    offset = [part.start for part in found.box]
    return largest_product(
        diameters_by_lesion(mask[found.box], found.numbers, found.count, spacing, offset)
    )


def largest_product(lesions: Iterable[Diameters]) -> Diameters:
    """Return the diameters with the largest product; of equal ones, those with the longer line."""
    return max(lesions, key=lambda one: (one.product_mm2, one.long_mm), default=NO_DIAMETERS)


def diameters_by_lesion(
    mask: NDArray[np.bool_],
    lesions: NDArray[np.integer],
    count: int,
    spacing: Sequence[float],
    offset: Sequence[int] = (0, 0, 0),
) -> list[Diameters]:
    """Measure the largest axial diameter of a class and its perpendicular in each lesion.

    Parameters
    ----------
    mask : ndarray of bool, shape (S, P, L)
        The class.
    lesions : ndarray of int, same shape
        Number of the lesion from 1; 0 outside and for what is not asked for.
    count : int
        Lesions.
    spacing : (S, P, L)
        mm.
    offset : (S, P, L)
        Of the arrays in the case, in voxels; added to the points.

    Returns
    -------
    list of Diameters
        One a lesion.
    """
    from scipy import ndimage

    flat = np.zeros((3, 3, 3), dtype=np.bool_)
    flat[1] = True  # parts of different slices are different parts
    parts, number = ndimage.label(mask & (lesions > 0), structure=flat)
    boxes = ndimage.find_objects(parts)
    owner = np.zeros(number + 1, dtype=np.intp)
    inside = parts > 0
    owner[parts[inside]] = lesions[inside]
    scale = np.asarray(spacing[1:], dtype=np.float64)
    sizes = np.array(
        [[rows.stop - rows.start, columns.stop - columns.start] for _, rows, columns in boxes]
    ).reshape(-1, 2)
    bounds = np.hypot(*(sizes * scale).T)  # no diameter is longer than its box
    best: list[tuple[float, int]] = [(0.0, -1)] * (count + 1)
    pairs: dict[int, NDArray[np.float64]] = {}
    for index in np.argsort(-bounds, kind="stable"):
        lesion = int(owner[index + 1])
        if bounds[index] <= best[lesion][0]:
            continue
        _, rows, columns = box = boxes[index]
        part = parts[box][0] == index + 1
        found = _farthest(np.concatenate(_outlines(part)) * scale)
        start = np.array([rows.start, columns.start]) * scale
        length = float(np.hypot(*(found[1] - found[0])))
        if length > best[lesion][0]:
            best[lesion] = (length, int(index))
            pairs[lesion] = found + start
    results = []
    for lesion in range(1, count + 1):
        _, index = best[lesion]
        if index < 0:
            results.append(NO_DIAMETERS)
            continue
        plane, rows, columns = boxes[index]
        part = parts[boxes[index]][0] == index + 1
        start = np.array([rows.start, columns.start]) * scale
        edges = [np.stack([line[:-1], line[1:]], axis=1) for line in _outlines(part)]
        across = _across(np.concatenate(edges) * scale + start, pairs[lesion])
        depth = plane.start + offset[0]
        results.append(
            Diameters(
                int(depth),
                _line(pairs[lesion], scale, depth, offset),
                _line(across, scale, depth, offset),
            )
        )
    return results


def _line(
    pair: NDArray[np.float64], scale: NDArray[np.float64], depth: int, offset: Sequence[int]
) -> Line:
    """Return a pair of points in mm on a slice as a line in voxels of the case."""
    (start, end), (_, first_row, first_column) = pair / scale, offset
    return Line(
        (float(depth), float(start[0] + first_row), float(start[1] + first_column)),
        (float(depth), float(end[0] + first_row), float(end[1] + first_column)),
        float(np.hypot(*(pair[1] - pair[0]))),
    )


def _outlines(part: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the outlines of a part and of its holes, each (N, 2); corners that touch join."""
    from skimage.measure import find_contours

    return [line - 1 for line in find_contours(np.pad(part, 1), 0.5, fully_connected="high")]


def _farthest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two points that lie farthest apart, (2, 2): two corners of the convex hull."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist, squareform

    corners = points[ConvexHull(points).vertices]
    first, second = divmod(int(squareform(pdist(corners)).argmax()), len(corners))
    pair: NDArray[np.float64] = corners[[first, second]]
    return pair


def _across(outline: NDArray[np.float64], pair: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the longest line across an outline at right angles to a pair, (2, 2)."""
    axis = (pair[1] - pair[0]) / np.hypot(*(pair[1] - pair[0]))
    normal = np.array([-axis[1], axis[0]])
    along, aside = outline @ axis, outline @ normal  # (N, 2 ends)
    swap = along[:, 0] > along[:, 1]
    along[swap], aside[swap] = along[swap, ::-1], aside[swap, ::-1]
    low, high = along.T
    run = high - low
    slope = np.divide(aside[:, 1] - aside[:, 0], run, out=np.zeros_like(run), where=run > 1e-9)
    # Between the ends of lines the length changes evenly, so the longest is found at an end.
    best = (-1.0, 0.0, 0.0, 0.0)
    places = np.unique(np.round(along, 6))
    for chunk in np.array_split(places, len(places) * len(low) // 1_000_000 + 1):
        here = (low[:, None] <= chunk + 1e-5) & (high[:, None] >= chunk - 1e-5)
        at = aside[:, :1] + slope[:, None] * (
            np.clip(chunk, low[:, None], high[:, None]) - low[:, None]
        )
        upright = np.where(run > 1e-9, 0.0, aside[:, 1] - aside[:, 0])[:, None]
        top = np.where(here, at + np.maximum(upright, 0), -np.inf).max(axis=0)
        bottom = np.where(here, at + np.minimum(upright, 0), np.inf).min(axis=0)
        widest = int((top - bottom).argmax())
        if top[widest] - bottom[widest] > best[0]:
            best = (
                float(top[widest] - bottom[widest]),
                float(chunk[widest]),
                float(bottom[widest]),
                float(top[widest]),
            )
    _, place, bottom_, top_ = best
    ends: NDArray[np.float64] = np.stack(
        [place * axis + bottom_ * normal, place * axis + top_ * normal]
    )
    return ends
