"""Views beside the canvas: the two other planes, or another modality of the same slice.

They are linked to the canvas: they show its layers at its point, and a click moves that point.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QHideEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QShowEvent
from qtpy.QtWidgets import QDockWidget, QHBoxLayout, QMainWindow, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import qthrottled

from napari_gliocam.case import Modality
from napari_gliocam.ui.model.connections import Connections, Emitter
from napari_gliocam.ui.model.state import OpenCase, SideKind, state_of, unwrap
from napari_gliocam.ui.viewer import navigate
from napari_gliocam.ui.viewer.layer_data import STACKING, tag_of
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.planes import ORDERS, PLANES, Plane, marks_of, plane_of
from napari_gliocam.ui.widgets.dock import ViewerWidget
from napari_gliocam.ui.widgets.pieces import SPACING, Choice

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.window import Window

TITLE = "Side views"
FRAME_MS = 33
#: Until the canvas has its new size beside a dock that was opened or closed.
RESIZED_MS = 100
#: Of the view of another modality, in pixels, where the canvas leaves room.
WIDTH_BESIDE = 300
#: Between docks, in pixels.
_SEPARATORS = 12
_MARK = QColor("#FFD54F")


def compose(
    layers: CaseLayers, opened: OpenCase, plane: Plane, index: int, modality: Modality | None = None
) -> NDArray[np.uint8]:
    """Return a slice of a case as the canvas would show it, upright, as (rows, columns, RGB).

    Parameters
    ----------
    layers : CaseLayers
        The layers of the viewer's cases.
    opened : OpenCase
        The case of the layer.
    plane : {"axial", "coronal", "sagittal"}
        The plane that is drawn.
    index : int
        Of the slice, within the case.
    modality : Modality or None
        Shown instead of the images in the canvas.
    """
    across, rows, columns = ORDERS[plane]
    shape = opened.case.grid.shape
    picture = np.zeros((shape[rows], shape[columns], 3), dtype=np.float32)
    for layer, tag in layers.tagged(opened):
        if not isinstance(layer, Image | Labels):
            continue
        image = tag.role in ("modality", "volume")
        shown = tag.what == modality if image and modality is not None else layer.visible
        if shown and layer.data.shape == shape:
            colours = _coloured(layer, np.asarray(layer.data).take(index, axis=across))
            alpha = colours[..., 3:] * layer.opacity
            picture = picture * (1 - alpha) + colours[..., :3] * alpha
    if rows == 0:
        picture = picture[::-1]
    return np.ascontiguousarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))


def _coloured(layer: Image | Labels, part: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return a slice of a layer as RGBA in [0, 1]."""
    if isinstance(layer, Labels):
        if layer.contour:
            inside = np.ones(part.shape, dtype=np.bool_)
            for axis in (0, 1):
                for step in (1, -1):
                    inside &= part == np.roll(part, step, axis)
            part = np.where(inside, 0, part)
        return np.asarray(layer.colormap.map(part), dtype=np.float32)
    low, high = layer.contrast_limits
    grey = np.clip((part.astype(np.float32) - low) / (high - low), 0, 1) ** layer.gamma
    coloured = layer.colormap.map(grey.ravel()).reshape(*part.shape, 4)
    return np.asarray(coloured, dtype=np.float32)


class SideView(QWidget):
    """One picture with marks and a cross; emits where it was clicked, as fractions of it."""

    pointed = Signal(float, float)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setMinimumSize(120, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.picture: NDArray[np.uint8] | None = None
        self.marks: dict[str, str] = {}
        self._sides = (1.0, 1.0)
        self._cross = (0.5, 0.5)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size as large as a glance needs."""
        return QSize(240, 240)

    def show_picture(
        self,
        picture: NDArray[np.uint8] | None,
        sides_mm: tuple[float, float] = (1.0, 1.0),
        cross: tuple[float, float] = (0.5, 0.5),
        marks: dict[str, str] | None = None,
    ) -> None:
        """Show a picture of this height and width in mm, with a cross at fractions of them."""
        self.picture, self._sides, self._cross = picture, sides_mm, cross
        self.marks = marks or {}
        self.update()

    def _frame(self) -> QRectF:
        height, width = self._sides
        scale = min(self.width() / width, self.height() / height)
        size = width * scale, height * scale
        return QRectF((self.width() - size[0]) / 2, (self.height() - size[1]) / 2, *size)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw picture, cross and marks."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        if self.picture is None:
            painter.end()
            return
        rows, columns, _ = self.picture.shape
        image = QImage(
            self.picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888
        )
        frame = self._frame()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(frame, image)
        x = frame.left() + self._cross[1] * frame.width()
        y = frame.top() + self._cross[0] * frame.height()
        painter.setPen(QColor(255, 255, 255, 90))
        painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
        painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
        painter.setPen(_MARK)
        for side, flag in (
            ("left", Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
            ("right", Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
            ("top", Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter),
            ("bottom", Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter),
        ):
            painter.drawText(
                self.rect().adjusted(4, 2, -4, -2), int(flag), self.marks.get(side, "")
            )
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Go to the point under the mouse."""
        if event is not None and self.picture is not None:
            frame, at = self._frame(), event.position()
            self.pointed.emit(
                min(max((at.y() - frame.top()) / frame.height(), 0.0), 1.0),
                min(max((at.x() - frame.left()) / frame.width(), 0.0), 1.0),
            )

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Go on while the mouse is dragged."""
        self.mousePressEvent(event)


class SideViews(ViewerWidget):
    """The dock with the two planes that the canvas does not show, or with another modality.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    kind : {"planes", "modality"}
        The two other planes, or the plane of the canvas in another modality.
    """

    def __init__(self, viewer: ViewerModel, kind: SideKind) -> None:
        super().__init__()
        self.setObjectName("gliocam-side-views")
        planes = kind == "planes"
        self._viewer = unwrap(viewer)
        self._state, self._kind = state_of(viewer), kind
        self._layers = CaseLayers(viewer)
        self._planes = planes
        self._closed = False
        self.views = [SideView(f"view {n}") for n in range(2 if planes else 1)]
        self.modalities = Choice("The modality beside the canvas")
        self.modalities.activated.connect(self.refresh)
        self.modalities.setVisible(not planes)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for number, view in enumerate(self.views):
            view.pointed.connect(partial(self._on_pointed, number))
            row.addWidget(view)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.modalities)
        outer.addLayout(row, 1)
        self._later = qthrottled(self.refresh, timeout=FRAME_MS)
        dims, layers = self._viewer.dims.events, self._viewer.layers.events
        self._connections = Connections(
            (dims.point, self._on_changed),
            (dims.order, self._on_changed),
            (layers.inserted, self._on_layers),
            (layers.removed, self._on_layers),
            (self._state.events.current, self._on_layers),
        )
        self._watching = Connections()
        self._on_layers()
        self._state.side_views = kind
        self.end_with(self.close_views)

    def undocked(self) -> None:
        """Look away from the viewer."""
        self.close_views()
        self._state.side_views = None

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Say that they are shown."""
        super().showEvent(event)
        self._state.side_views = self._kind

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Say that they are hidden, unless the whole window is."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self._state.side_views = None

    def close_views(self) -> None:
        """Hear nothing of the viewer any more."""
        if self._closed:
            return
        self._closed = True
        self._connections.close()
        self._watching.close()

    def _on_layers(self, event: object = None) -> None:
        self._watching.close()
        self._watching = Connections(
            *(
                (signal, self._on_changed)
                for layer, _ in self._layers.tagged()
                if isinstance(layer, Image | Labels)
                for signal in _changes(layer)
            )
        )
        opened = self._state.current
        there = [] if opened is None else [m for m in Modality if m in opened.case.volumes]
        chosen, titles = self.modalities.currentText(), [m.title for m in there]
        if opened is not None and chosen not in titles:
            seen = self._layers.image_in_view(opened)
            tag = None if seen is None else tag_of(seen)
            others = [m for m in STACKING if m in there and (tag is None or m != tag.what)]
            chosen = others[-1].title if others else ""
        self.modalities.fill(titles, titles.index(chosen) if chosen in titles else 0)
        self._on_changed()

    def _on_changed(self, event: object = None) -> None:
        if not self._closed:
            self._later()

    def shown(self) -> list[Plane]:
        """Return the plane of each view."""
        canvas = plane_of(self._viewer.dims.order) if self._viewer.dims.ndim == 3 else "axial"
        return [plane for plane in PLANES if (plane != canvas) == self._planes]

    def refresh(self, event: object = None) -> None:
        """Draw all views at the point of the canvas."""
        if self._closed:
            return
        opened, dims = self._state.current, self._viewer.dims
        if opened is None or dims.ndim != 3:
            for view in self.views:
                view.show_picture(None)
            return
        grid = opened.case.grid
        at = np.round((np.asarray(dims.point) - grid.origin) / grid.spacing).astype(int)
        at = np.clip(at, 0, np.subtract(grid.shape, 1))
        title = self.modalities.currentText()
        modality = None if self._planes else next((m for m in Modality if m.title == title), None)
        for view, plane in zip(self.views, self.shown(), strict=True):
            across, rows, columns = ORDERS[plane]
            picture = compose(self._layers, opened, plane, int(at[across]), modality)
            down = (at[rows] + 0.5) / grid.shape[rows]
            view.show_picture(
                picture,
                (
                    grid.shape[rows] * grid.spacing[rows],
                    grid.shape[columns] * grid.spacing[columns],
                ),
                (1 - down if rows == 0 else down, (at[columns] + 0.5) / grid.shape[columns]),
                marks_of(ORDERS[plane], "up" if rows == 0 else "down", "right"),
            )

    def _on_pointed(self, number: int, down: float, right: float) -> None:
        opened = self._state.current
        if opened is None:
            return
        grid = opened.case.grid
        _, rows, columns = ORDERS[self.shown()[number]]
        for axis, fraction in ((rows, 1 - down if rows == 0 else down), (columns, right)):
            index = min(int(fraction * grid.shape[axis]), grid.shape[axis] - 1)
            self._viewer.dims.set_point(axis, grid.origin[axis] + index * grid.spacing[axis])


def _changes(layer: Image | Labels) -> list[Emitter]:
    events = layer.events
    return [events.visible, events.opacity, events.set_data] + (
        [events.contour] if isinstance(layer, Labels) else [events.contrast_limits, events.gamma]
    )


def toggle_side_views(viewer: ViewerModel, kind: SideKind) -> None:
    """Open the dock of the other planes or of another modality, or close it again."""
    window = getattr(unwrap(viewer), "window", None)
    if window is None:
        return
    QTimer.singleShot(RESIZED_MS, partial(_fit, ref(unwrap(viewer))))
    main, planes, shown = window._qt_window, kind == "planes", state_of(viewer).side_views
    open_one = next((w for w in _open_views(window)), None)
    panels = [d for d in main.findChildren(QDockWidget) if _on_the_right(main, d, open_one)]
    widths = [panel.width() for panel in panels]
    if open_one is not None:
        window.remove_dock_widget(open_one)
        main.resizeDocks(panels, widths, Qt.Orientation.Horizontal)
    if shown == kind:
        return
    area = "bottom" if planes else "right"
    widget, canvas = SideViews(viewer, kind), main.centralWidget()
    room = canvas.width() - canvas.minimumSizeHint().width() - _SEPARATORS
    half = max(min(canvas.width() // 2, room), 1)
    if not planes:  # Qt gives a new dock no more than it needs
        widget.setMinimumWidth(min(half, WIDTH_BESIDE))
    dock = window.add_dock_widget(widget, name=TITLE, area=area, tabify=False)
    if planes:  # the panels keep their height
        for corner, side in (
            (Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea),
            (Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea),
        ):
            main.setCorner(corner, side)
    elif panels:  # as wide as the canvas, between it and the panels
        first, mates = panels[0], main.tabifiedDockWidgets(panels[0])
        front = next((p for p in (first, *mates) if not p.visibleRegion().isEmpty()), first)
        for mate in mates:  # splitting would take the first out of its tabs
            main.removeDockWidget(mate)
        main.splitDockWidget(dock, first, Qt.Orientation.Horizontal)
        for mate in mates:
            main.tabifyDockWidget(first, mate)
            mate.show()
        front.raise_()
        main.resizeDocks([dock, *panels], [half, *widths], Qt.Orientation.Horizontal)


def _fit(viewer: ReferenceType[ViewerModel]) -> None:
    """Fit the case in work to the canvas, unless the viewer is gone."""
    found = viewer()
    opened = None if found is None else state_of(found).current
    if found is not None and opened is not None:
        navigate.fit_case(found, opened)


def _on_the_right(main: QMainWindow, dock: QDockWidget, view: SideViews | None) -> bool:
    """Return True for a panel on the right of the canvas, other than the dock of the view."""
    right = Qt.DockWidgetArea.RightDockWidgetArea
    there = main.dockWidgetArea(dock) == right and dock.isVisible()
    return bool(there and (view is None or not dock.isAncestorOf(view)))


def _open_views(window: Window) -> list[SideViews]:
    widgets = window._qt_window.findChildren(SideViews)
    return [widget for widget in widgets if not widget._closed]
