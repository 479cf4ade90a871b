"""Overlap of core and edema before the higher map decides.

`claims` and `claims_of` make an array of who claims what from the maps of any method; the rest
counts in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps, Row
from napari_gliocam.measure.lesion.slice_areas import slice_areas
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import BOTH, CORE, EDEMA
from napari_gliocam.threshold import apply_thresholds


@dataclass(frozen=True)
class ClassOverlap:
    """Overlap of core and edema in labels that may be both.

    Parameters
    ----------
    union_fraction : float or None
        Voxels of both over voxels of either, in [0, 1]; None where nothing was found.
    dice : float or None
        Dice of core with edema, in [0, 1]; None where nothing was found.
    ml : float
        Volume claimed by both.
    """

    union_fraction: float | None
    dice: float | None
    ml: float


@dataclass(frozen=True)
class SliceOverlap:
    """The overlap on one slice.

    Parameters
    ----------
    index : int
        Slice of the case.
    mm2 : float
        Area claimed by both.
    union_fraction : float
        Of the area of either, in (0, 1].
    """

    index: int
    mm2: float
    union_fraction: float


@dataclass(frozen=True)
class MethodOverlap:
    """A row of the table of methods.

    Parameters
    ----------
    method : str
        As a user reads it.
    overlap : ClassOverlap
        Overlap of core and edema by this method.
    worst : tuple of SliceOverlap
        The slices with the largest area of both, worst first; those without any are left out.
    """

    method: str
    overlap: ClassOverlap
    worst: tuple[SliceOverlap, ...] = ()


def class_overlap(labels: NDArray[Any], voxel_ml: float) -> ClassOverlap:
    """Measure the overlap of the classes, which the separability loss is to lower (paper 1).

    Parameters
    ----------
    labels : ndarray of uint8
        0 background, 1 core, 2 edema, 3 both: cut with ``Thresholds(exclusive=False)``.
    voxel_ml : float
        Volume of a voxel in ml.
    """
    either, both = int(np.count_nonzero(labels)), int(np.count_nonzero(labels == BOTH))
    if not either:
        return ClassOverlap(None, None, 0.0)
    return ClassOverlap(both / either, 2 * both / (either + both), both * voxel_ml)


def worst_slices(labels: NDArray[Any], grid: Grid, count: int = 3) -> tuple[SliceOverlap, ...]:
    """Return the slices on which both classes claim most, worst first.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        As in `class_overlap`.
    grid : Grid
        The case's grid.
    count : int
        At most so many.
    """
    areas = slice_areas(labels, grid)
    order = np.argsort(-areas.both, kind="stable")[:count]
    return tuple(
        SliceOverlap(int(i), float(areas.both[i]), float(areas.both[i] / areas.tumour[i]))
        for i in order
        if areas.both[i] > 0
    )


def method_overlap(
    method: str, labels: NDArray[np.uint8], grid: Grid, count: int = 3
) -> MethodOverlap:
    """Return the row of a method in the table.

    Parameters
    ----------
    method : str
        Name of the method.
    labels : ndarray of uint8, shape (S, P, L)
        From `claims` or `claims_of`.
    grid : Grid
        The case's grid.
    count : int
        Of the worst slices.
    """
    return MethodOverlap(
        method, class_overlap(labels, grid.voxel_ml), worst_slices(labels, grid, count)
    )


def claims(
    core: NDArray[np.floating],
    edema: NDArray[np.floating],
    threshold: float = 0.5,
    *,
    inside: NDArray[np.bool_] | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return which classes claim each voxel by a pair of maps, of a volume or one slice.

    Parameters
    ----------
    core, edema : ndarray of float, same shape
        In [0, 1].
    threshold : float
        A class claims where its map exceeds this.
    inside : ndarray of bool, same shape, optional
        Nothing is claimed elsewhere, such as outside the tumour.
    out : ndarray of uint8, same shape, optional
        Written in place.

    Returns
    -------
    ndarray of uint8, same shape
        0 nobody, 1 core only, 2 edema only, 3 both.

    Raises
    ------
    GliocamError
        The threshold is not in [0, 1].
    """
    if not 0.0 <= threshold <= 1.0:
        raise GliocamError(f"The threshold is {threshold:g}; choose a value between 0 and 1.")
    claimed = np.multiply(edema > threshold, EDEMA, out=out, casting="unsafe", dtype=np.uint8)
    claimed += (core > threshold).view(np.uint8) * np.uint8(CORE)
    if inside is not None:
        claimed *= inside.view(np.uint8)
    return claimed


def claims_of(
    maps: ClassMaps,
    *,
    row: Row = "aggregate",
    settings: Thresholds | None = None,
    where: slice | tuple[slice, ...] = slice(None),
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Write 1 core only, 2 edema only, 3 both where the maps of a case claim a voxel.

    Parameters
    ----------
    maps : ClassMaps
        A network's maps are cut as *Segment* cuts them, with tumour map and gate, so that the
        aggregate gives the result before the higher map decides, and the other rows differ from
        it in nothing but the class maps.  Maps of an explanation method have a gate of their own
        and are cut at the class threshold alone.
    row : str
        Of a network's maps: "exit 1" to "exit 4", "guided", "aggregate".
    settings : Thresholds, optional
        Paper 1's by default; ``exclusive`` is ignored.
    where : slice or tuple of slice
        The part to compute, in (S, P, L); the rest of ``out`` is left as it is.
    out : ndarray of uint8, shape (S, P, L), optional
        Written in place.

    Returns
    -------
    ndarray of uint8, shape (S, P, L)
        0 nobody, 1 core only, 2 edema only, 3 both.

    Raises
    ------
    GliocamError
        If core or edema has no map.
    """
    settings = replace(settings or Thresholds(), exclusive=False)
    missing = [target for target in ("core", "edema") if target not in maps.targets]
    if missing:
        raise GliocamError(
            f"{maps.name} has no map of {' and '.join(missing)}; make it for core and edema."
        )
    if maps.raw is None:
        return apply_thresholds(maps.row(row), settings, out=out, where=where).labels
    out = np.zeros(maps.grid.shape, dtype=np.uint8) if out is None else out
    claims(maps.core[where], maps.edema[where], settings.class_threshold, out=out[where])
    return out
