"""Cells of a comparison: the picture in its cell."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.ui.compare.layout import centre_for, zoom_for

BOX = np.array([[20.0, 30.0], [180.0, 160.0]])  # 160 by 130 mm
MIDDLE = (100.0, 95.0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 1)])
@pytest.mark.parametrize("room", [(730.0, 540.0), (500.0, 900.0)])
def test_a_picture_leaves_its_cell_centre_only_for_its_name(shape, room):
    assert centre_for(shape, room, BOX, (0.0, 0.0)) == MIDDLE
    name = (30.0, 150.0)
    shift = np.subtract(MIDDLE, centre_for(shape, room, BOX, name))
    zoom = zoom_for(shape, room, (160.0, 130.0))
    cell = np.array(room) / shape
    corner = cell / 2 + (shift - np.array([80.0, 65.0])) * zoom  # of the picture, in pixels
    assert np.count_nonzero(shift) <= 1
    assert (corner >= 0).all()
    assert (corner + np.array([160.0, 130.0]) * zoom <= cell + 1e-6).all()
    axis = int(np.argmax(cell / zoom - (160.0, 130.0)))
    room_for_name = cell[axis] - (160.0, 130.0)[axis] * zoom >= name[axis] + 0.1 * cell.min()
    assert corner[axis] >= name[axis] - 1e-6 or not room_for_name


def test_a_wide_cell_keeps_its_picture_near_the_middle():
    """A picture once stood at the right end of a wide cell, far from its side marks."""
    y, x = centre_for((2, 1), (730.0, 540.0), BOX, (27.0, 150.0))
    zoom = zoom_for((2, 1), (730.0, 540.0), (160.0, 130.0))
    assert y == MIDDLE[0]
    assert (MIDDLE[1] - x) * zoom < 0.05 * 540
