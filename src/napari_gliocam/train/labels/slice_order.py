"""Slices by the number that a user gives them: from 0, in the file's own axial order."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from napari_gliocam.case import Grid


def file_slices(grid: Grid) -> NDArray[np.int64]:
    """The number in the file of each slice in memory.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    ndarray of int, (S,)
        In memory slices run from feet to head; in a file perhaps from head to feet.
    """
    orientation = np.asarray(io_orientation(grid.affine))
    (axis,) = np.flatnonzero(orientation[:, 0] == 2)  # the one from feet to head
    numbers = np.arange(grid.file_shape[axis])
    return numbers if orientation[axis, 1] > 0 else numbers[::-1].copy()
