"""Axial, coronal and sagittal views: upright, unmirrored, with marks for the patient's sides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary, ref

import numpy as np
from qtpy.QtCore import QTimer

from napari_gliocam.ui.model.state import unwrap
from napari_gliocam.ui.viewer.layer_data import tag_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import Camera, Dims, ViewerModel

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
#: Order of the axes (S, P, L): across the slices, down the screen, to its right.
ORDERS: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}
#: Towards the end and towards the start of each axis (S, P, L).
_ENDS = (("S", "I"), ("P", "A"), ("L", "R"))
_TOWARDS = np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0]])  # S, P, L in RAS
_SIDES = ("left", "right", "top", "bottom")
#: Between two new marks.
NEXT_MARK_MS = 40


def plane_of(order: Sequence[int]) -> Plane:
    """Return the plane that an order of at least three axes shows."""
    first = order[len(order) - 3] - (len(order) - 3)
    return PLANES[first]


def show_plane(viewer: ViewerModel, plane: Plane) -> None:
    """Turn the viewer to a plane, in two dimensions."""
    viewer = unwrap(viewer)
    viewer.dims.ndisplay = 2
    lead = viewer.dims.ndim - 3
    if lead >= 0:
        viewer.dims.order = (*range(lead), *(axis + lead for axis in ORDERS[plane]))


def camera_of(viewer: ViewerModel) -> Camera:
    """Return the camera, which moved in napari 0.9."""
    return getattr(viewer, "scene", viewer).camera


def marks_of(order: Sequence[int], vertical: str, horizontal: str) -> dict[str, str]:
    """Return the patient's side at each edge of the canvas.

    Parameters
    ----------
    order : sequence of int
        The last two of its axes (S, P, L) lie on the canvas: down it and to its right.
    vertical : {"down", "up"}
        Where the first of these axes points.
    horizontal : {"right", "left"}
        Where the second one points.

    Returns
    -------
    dict of "left", "right", "top", "bottom" to one of R, L, A, P, S, I
    """
    lead = len(order) - 3
    rows, columns = (_ENDS[axis - lead] for axis in order[-2:])
    bottom, top = rows if vertical == "down" else rows[::-1]
    right, left = columns if horizontal == "right" else columns[::-1]
    return {"left": left, "right": right, "top": top, "bottom": bottom}


class UprightView:
    """Keeps a viewer's planes upright and unmirrored, and marks the patient's sides.

    It acts while a case is in the viewer and lives as long as the viewer: see `keep_upright`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer that is turned upright.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._of = ref(viewer)
        self._order = tuple(viewer.dims.order)
        self._busy = self._marked = False
        for signal in (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            camera_of(viewer).events.orientation,
        ):
            signal.connect(self._turn)
        self._grid = getattr(getattr(viewer, "canvas", None), "grid", None)
        if self._grid is not None:
            self._grid.events.enabled.connect(self._turn)
        self._turn()

    def _turn(self, event: object = None) -> None:
        viewer = self._of()
        if self._busy or viewer is None:
            return
        active = viewer.dims.ndim == 3 and any(tag_of(layer) for layer in viewer.layers)
        with self._alone():
            if active:
                self._set_order(viewer.dims)
                self._set_camera(camera_of(viewer))
        self._marked = active and viewer.dims.ndisplay == 2
        self._mark_later(viewer)

    def _mark_later(self, viewer: ViewerModel, pause_ms: int = 0) -> None:
        """Set the marks in a turn of their own where there is an event loop."""
        if hasattr(viewer, "window"):
            QTimer.singleShot(pause_ms, self._set_marks)
        else:
            self._set_marks()

    def _set_order(self, dims: Dims) -> None:
        """Have the axis S run up the screen in all planes but the axial one."""
        before = self._order
        order = tuple(dims.order)
        if order != before and order == tuple(np.roll(before, 1)) and before == ORDERS["coronal"]:
            order = ORDERS["axial"]  # napari's Roll goes round: axial, sagittal, coronal, axial
        elif order[2] == 0:
            order = ORDERS[plane_of(order)]
        if order != tuple(dims.order):
            dims.order = order
        self._order = order

    def _set_camera(self, camera: Camera) -> None:
        order = self._order
        if not hasattr(camera, "orientation"):
            return
        rises = order[1] == 0
        down = -1 if rises else 1
        depth, rows, columns = (_TOWARDS[axis] for axis in order)
        # The screen's right, down and away are right-handed; so are the patient's axes then.
        handed = int(np.sign(np.linalg.det(np.stack([columns, down * rows, depth]))))
        wanted = (
            "away" if handed > 0 else "towards",
            "up" if rises else "down",
            "right",
        )
        if tuple(str(part) for part in camera.orientation) != wanted:
            camera.orientation = wanted

    def _set_marks(self) -> None:
        viewer, visible = self._of(), self._marked
        if viewer is None or (hasattr(viewer, "window") and not _has_window(viewer)):
            return  # closed meanwhile
        overlays = getattr(getattr(viewer, "canvas", None), "overlays", None)
        if overlays is None:
            return  # napari 0.8: the panel's sentence has to do
        from napari.components.overlays import TextOverlay

        orientation = camera_of(viewer).orientation
        letters = marks_of(self._order, str(orientation[1]), str(orientation[2]))
        places = dict(
            zip(_SIDES, ("middle_left", "middle_right", "top_center", "bottom_center"), strict=True)
        )
        for side in _SIDES:
            key = f"gliocam_{side}"
            new = key not in overlays
            if new and not visible:
                continue
            if new:
                overlays[key] = TextOverlay(
                    position=places[side], font_size=13, gridded=True, box=True
                )
            overlays[key].text = letters[side]
            # the pictures of a comparison have their names at the top
            crowded = side == "top" and self._grid is not None and self._grid.enabled
            overlays[key].visible = visible and not crowded
            if new:  # the canvas needs 60 ms for each: it draws between two of them
                self._mark_later(viewer, NEXT_MARK_MS)
                return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


def _has_window(viewer: ViewerModel) -> bool:
    """Return True until the window of a viewer is closed."""
    return hasattr(getattr(viewer, "window", None), "_qt_window")


_views: WeakKeyDictionary[ViewerModel, UprightView] = WeakKeyDictionary()


def keep_upright(viewer: ViewerModel) -> None:
    """Keep the planes of a viewer upright from now on; it is done once for each viewer."""
    viewer = unwrap(viewer)
    if viewer not in _views:
        _views[viewer] = UprightView(viewer)
