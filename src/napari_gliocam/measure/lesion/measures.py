"""Measures that a radiologist takes of a segmentation, of each lesion and of the case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.measure.lesion.diameters import (
    NO_DIAMETERS,
    Diameters,
    diameters_by_lesion,
    largest_product,
)
from napari_gliocam.measure.lesion.lesions import Lesions, find_lesions
from napari_gliocam.measure.lesion.shape import sphericity, surfaces_mm2
from napari_gliocam.settings import MIN_LESION_ML
from napari_gliocam.targets import BOTH, CORE, LABELS, TUMOUR, TUMOUR_ALONE, Target
from napari_gliocam.threshold import volumes_of

WHOLE_CASE = 0


@dataclass(frozen=True)
class Region:
    """Size and shape of the whole tumour or of its core.

    Parameters
    ----------
    ml : float
        Number of voxels times the volume of one.
    diameters : Diameters
        Largest axial diameter and its perpendicular; of a case, those of the lesion or smaller
        part with the largest product.
    sphericity : float
        In [0, 1], see `napari_gliocam.measure.lesion.shape.sphericity`; 0 where there is nothing.
    """

    ml: float = 0.0
    diameters: Diameters = NO_DIAMETERS
    sphericity: float = 0.0


NO_REGION = Region()


@dataclass(frozen=True)
class LesionMeasures:
    """The measures of one lesion, or of all tumour of a case together.

    Parameters
    ----------
    number : int
        1 for the largest lesion; `WHOLE_CASE` for the case.
    tumour, core : Region
        Core and edema together, and core alone.
    edema_ml : float
        Volume of the edema in ml.
    divided : bool
        Whether the tumour is divided into core and edema; if not, both count nothing.
    first_slice, last_slice : int or None
        Of the tumour.
    largest_slice : int or None
        The slice with most tumour.
    core_depth_mm : float or None
        From the core to the brain's surface; 0 where it reaches it, None where there is no core
        or the surface is not known.
    at_border : bool
        Whether it touches the border of the image, so that some of it may lie beyond.
    """

    number: int
    tumour: Region = NO_REGION
    core: Region = NO_REGION
    edema_ml: float = 0.0
    divided: bool = True
    first_slice: int | None = None
    last_slice: int | None = None
    largest_slice: int | None = None
    core_depth_mm: float | None = None
    at_border: bool = False


NO_LESION = LesionMeasures(WHOLE_CASE)


@dataclass(frozen=True)
class Measures:
    """The measures of a case.

    Parameters
    ----------
    case : LesionMeasures
        Every voxel counts, also in parts that are too small for a lesion.
    lesions : tuple of LesionMeasures
        Largest first.
    small : int
        Parts that are smaller than ``min_ml``.
    small_ml : float
        Their volume together.
    min_ml : float
        Smallest part that counts as a lesion, in ml.
    strange : tuple of int
        Values of the labels that are no class; such voxels are left out.
    """

    case: LesionMeasures = NO_LESION
    lesions: tuple[LesionMeasures, ...] = ()
    small: int = 0
    small_ml: float = 0.0
    min_ml: float = MIN_LESION_ML
    strange: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[LesionMeasures, ...]:
        """Rows of a table: the case, then its lesions where there is more than one part."""
        several = len(self.lesions) + (self.small > 0) > 1
        return (self.case, *self.lesions) if several else (self.case,)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings in words."""
        together = " together" if self.small > 1 else ""
        small = (
            f"{_count(self.small, 'part')} smaller than {self.min_ml:g} ml "
            f"({self.small_ml:.3g} ml{together})"
        )
        if not self.lesions:
            first = f"No lesion found; {small}." if self.small else "No lesion found."
        else:
            found = _count(len(self.lesions), "lesion")
            first = f"{found}, and {small}." if self.small else f"{found}."
        said = [first]
        if self.case.at_border:
            said.append("The tumour touches the border of the image; some may lie beyond.")
        if self.strange:
            values = ", ".join(map(str, self.strange))
            said.append(
                f"The value {values} is no class and was left out; use 1 (core) or 2 (edema)."
            )
        return tuple(said)


def measure_labels(
    labels: NDArray[Any],
    grid: Grid,
    *,
    depth: NDArray[np.floating] | None = None,
    min_ml: float = MIN_LESION_ML,
    targets: Sequence[Target] | None = None,
) -> Measures:
    """Measure a segmentation, an expert's or a painted one; quick enough to follow a slider.

    Parameters
    ----------
    labels : ndarray of an integer type, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both, which counts in each class, 4 tumour that is not
        divided; any other value is no class and is left out.
    grid : Grid
        The case's.
    depth : ndarray of float, shape (S, P, L), optional
        `napari_gliocam.measure.brain_depth` of the case; without it there is no core depth.
    min_ml : float
        Components of the tumour (26 neighbours) that are smaller are no lesions.
    targets : sequence of Target, optional
        Targets that the labels tell of, which no value says where nothing is found; all by default.

    Returns
    -------
    Measures
        Zeros where nothing is found.

    Raises
    ------
    GliocamError
        The labels have another shape than the grid, or ``min_ml`` is negative.
    """
    if labels.shape != grid.shape:
        sizes = (" × ".join(map(str, shape)) for shape in (labels.shape, grid.shape))
        raise GliocamError(
            "The labels have {} voxels and the case {}; resample them.".format(*sizes)
        )
    if not min_ml >= 0:
        raise GliocamError(f"The smallest lesion is {min_ml:g} ml; choose 0 or more.")
    labels, strange = _known(labels)
    found = find_lesions(labels, voxel_ml=grid.voxel_ml, min_ml=min_ml)
    if found is None:
        nothing = replace(NO_LESION, divided=targets != TUMOUR_ALONE)
        return Measures(nothing, min_ml=min_ml, strange=strange)
    ruler = _Ruler(labels[found.box], found, grid, None if depth is None else depth[found.box])
    lesions = tuple(ruler.lesion(number) for number in range(1, found.count + 1))
    alone = found.count == 1 and not found.small
    return Measures(
        case=replace(lesions[0], number=WHOLE_CASE) if alone else ruler.case(),
        lesions=lesions,
        small=found.small,
        small_ml=found.small_voxels * grid.voxel_ml,
        min_ml=min_ml,
        strange=strange,
    )


class _Ruler:
    """The counts behind the measures, made once for all lesions; the last is all small parts."""

    def __init__(
        self,
        labels: NDArray[Any],
        found: Lesions,
        grid: Grid,
        depth: NDArray[np.floating] | None,
    ) -> None:
        from scipy import ndimage

        self.box, self.grid, self.count = found.box, grid, found.count
        self.tumour = labels > 0
        self.core = (labels == CORE) | (labels == BOTH)
        numbers = found.numbers
        if found.small:
            numbers = np.where(self.tumour & (numbers == 0), found.count + 1, numbers)
        self.numbers = numbers
        self.every = found.count + (found.small > 0)
        kinds = len(LABELS)
        keys = numbers[self.tumour].astype(np.intp) * kinds + labels[self.tumour]
        self.voxels = np.bincount(keys, minlength=kinds * (self.every + 1)).reshape(-1, kinds)
        self.boxes = ndimage.find_objects(numbers)
        offset = [part.start for part in found.box]
        masks = (self.tumour, self.core)
        self.diameters = [
            diameters_by_lesion(mask, numbers, self.every, grid.spacing, offset) for mask in masks
        ]
        self.surfaces = [surfaces_mm2(mask, numbers, self.every, grid.spacing) for mask in masks]
        self.depths = np.full(self.every + 1, np.inf)
        if depth is not None:
            owner, values = numbers[self.core], depth[self.core]
            order = np.argsort(owner, kind="stable")
            first = np.flatnonzero(np.diff(owner[order], prepend=0))  # where a lesion begins
            if first.size:
                self.depths[owner[order[first]]] = np.minimum.reduceat(values[order], first)

    def lesion(self, number: int) -> LesionMeasures:
        return self._measures(
            number,
            self.boxes[number - 1],
            self.voxels[number],
            [of[number - 1] for of in self.diameters],
            [float(of[number]) for of in self.surfaces],
            float(self.depths[number]),
        )

    def case(self) -> LesionMeasures:
        return self._measures(
            WHOLE_CASE,
            tuple(slice(0, length) for length in self.numbers.shape),
            self.voxels.sum(axis=0),
            [largest_product(of) for of in self.diameters],
            [float(of.sum()) for of in self.surfaces],
            float(self.depths.min()),
        )

    def _measures(
        self,
        number: int,
        box: tuple[slice, ...],
        voxels: NDArray[np.integer],
        diameters: list[Diameters],
        surfaces: list[float],
        depth: float,
    ) -> LesionMeasures:
        grid = self.grid
        starts = [outer.start + inner.start for outer, inner in zip(self.box, box, strict=True)]
        stops = [outer.start + inner.stop for outer, inner in zip(self.box, box, strict=True)]
        volumes = volumes_of(voxels, grid.voxel_ml)
        tumour, core = (
            Region(ml, diameter, sphericity(1000 * ml, surface))
            for ml, diameter, surface in zip(
                (volumes["tumour"], volumes["core"]), diameters, surfaces, strict=True
            )
        )
        numbers = self.numbers[box]
        mine = numbers > 0 if number == WHOLE_CASE else numbers == number
        return LesionMeasures(
            number,
            tumour,
            core,
            edema_ml=volumes["edema"],
            divided=not voxels[TUMOUR],
            first_slice=starts[0],
            last_slice=stops[0] - 1,
            largest_slice=starts[0] + int(np.count_nonzero(mine, axis=(1, 2)).argmax()),
            core_depth_mm=depth if np.isfinite(depth) else None,
            at_border=any(
                length > 1 and (start == 0 or stop == length)
                for start, stop, length in zip(starts, stops, grid.shape, strict=True)
            ),
        )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _known(labels: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return the labels without values that are no class, and those values."""
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low >= 0 and high <= max(LABELS):
        return labels, ()
    odd = (labels < 0) | (labels > max(LABELS))
    values = tuple(int(v) for v in np.unique(labels[odd]))
    return np.where(odd, 0, labels).astype(np.uint8), values
