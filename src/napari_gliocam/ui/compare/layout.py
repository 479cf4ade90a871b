"""Where the pictures of a comparison go: rows, columns, zoom.  No Qt, no napari."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel

Size = tuple[float, float]
_MARGIN = 0.92


def shape_for(methods: int, classes: int, room: Size, picture: Size) -> tuple[int, int]:
    """Return the rows and columns in which the pictures are largest.

    Parameters
    ----------
    methods, classes : int
        The classes of a method stay in one row.
    room, picture : (height, width)
        Of the canvas in pixels, of what is shown in mm.
    """
    shapes = [(-(-methods // k), classes * k) for k in range(1, methods + 1)]
    return max(shapes, key=lambda shape: (zoom_for(shape, room, picture), -shape[0] * shape[1]))


def zoom_for(shape: tuple[int, int], room: Size, picture: Size) -> float:
    """Return the pixels per mm at which a picture fills a cell."""
    heights, widths = room[0] / shape[0] / picture[0], room[1] / shape[1] / picture[1]
    return _MARGIN * min(heights, widths)


def centre_for(shape: tuple[int, int], room: Size, box: NDArray[np.float64], name: Size) -> Size:
    """Return the centre of a cell in mm: the picture is moved away from its name where it must.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of cells.
    room : (height, width)
        Of the canvas in pixels.
    box : ndarray, (2, 2)
        Lowest and highest corner of what is shown, in mm.
    name : (height, width)
        Of the name at the upper left of the cell, in pixels.
    """
    low, high = box
    zoom = zoom_for(shape, room, (high[0] - low[0], high[1] - low[1]))
    free = np.array(room) / shape / zoom - (high - low)  # mm, at least the margin
    needed = np.clip(np.array(name) / zoom - free / 2, 0.0, (free - free.min()) / 2)
    y, x = (low + high) / 2 - np.where(free == free.max(), needed, 0.0)
    return float(y), float(x)


def font_size(shape: tuple[int, int], room: Size, longest: int) -> int:
    """Return the font size at which a line of so many letters fits into a cell."""
    return int(np.clip((room[1] / shape[1] - 16) / max(longest, 1), 5, 9))


def canvas_size(viewer: ViewerModel) -> Size:
    """Height and width of the canvas in pixels, where napari 0.9 and where 0.8 keeps it."""
    size = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    return float(max(size[0], 1)), float(max(size[1], 1))
