"""Areas of each class on every slice: for a chart, and to go from slice to slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.targets import BOTH, CORE, EDEMA, TUMOUR


@dataclass(frozen=True, eq=False)
class SliceAreas:
    """Areas in mm² on each slice, each an ndarray of float64 of shape (S,).

    Parameters
    ----------
    core, edema : ndarray
        A voxel of both counts in each.
    both : ndarray
        Claimed by core and edema.
    tumour : ndarray
        The whole tumour, divided into classes or not.
    """

    core: NDArray[np.float64]
    edema: NDArray[np.float64]
    both: NDArray[np.float64]
    tumour: NDArray[np.float64]

    @property
    def lesion_slices(self) -> NDArray[np.intp]:
        """Slices that show tumour, in order."""
        return np.flatnonzero(self.tumour)

    @property
    def conflict_slices(self) -> NDArray[np.intp]:
        """Slices on which both classes claim a voxel, in order."""
        return np.flatnonzero(self.both)


def slice_areas(labels: NDArray[Any], grid: Grid) -> SliceAreas:
    """Count the classes of every slice.

    Parameters
    ----------
    labels : ndarray of an integer type, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.
    grid : Grid
        The case's grid.
    """
    _, row_mm, column_mm = grid.spacing
    counts = {value: np.zeros(len(labels)) for value in (CORE, EDEMA, BOTH, TUMOUR)}
    for index in np.flatnonzero(labels.any(axis=(1, 2))):
        for value, found in counts.items():
            found[index] = np.count_nonzero(labels[index] == value)
    core, edema, both, alone = (found * (row_mm * column_mm) for found in counts.values())
    return SliceAreas(core + both, edema + both, both, core + edema + both + alone)


def step_slice(slices: NDArray[np.integer], current: int, step: int) -> int | None:
    """Return the nearest of some slices beyond the current one, upwards (1) or downwards (-1).

    Parameters
    ----------
    slices : ndarray of int, (N,)
        In order, such as `SliceAreas.conflict_slices`.
    current : int
        Index of the slice in view.
    step : {1, -1}
        Upwards or downwards.

    Returns
    -------
    int or None
        None where there is none in that direction.
    """
    beyond = slices[slices > current] if step > 0 else slices[slices < current]
    if not beyond.size:
        return None
    return int(beyond[0] if step > 0 else beyond[-1])
