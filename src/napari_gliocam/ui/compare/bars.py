"""Bars of the sequences' shares on the pictures of a comparison, drawn above napari's canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

from napari_gliocam.ui.compare.work import Key
from napari_gliocam.ui.widgets.share_bar import Portions, ShareBar

if TYPE_CHECKING:
    from napari.components import ViewerModel

_MARGIN = 6


class CellBars(QObject):
    """Keeps a bar at the lower left of each cell that has shares; none without a window.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or napari.components.ViewerModel
        The viewer of the comparison.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        window = getattr(viewer, "window", None)
        central = None if window is None else window._qt_window.centralWidget()
        self._canvas: QWidget | None = central and central.findChild(QOpenGLWidget)
        self._bars: dict[Key, ShareBar] = {}
        self._keys: list[Key] = []
        self._shape = (1, 1)
        if self._canvas is not None:
            self._canvas.installEventFilter(self)

    def show(self, rows: Mapping[Key, Mapping[str, Portions]]) -> None:
        """Show these rows, see `ShareBar.set_rows`; other cells show none."""
        for key in [key for key in self._bars if key not in rows]:
            self._bars.pop(key).deleteLater()
        if self._canvas is None:
            return
        for key, one in rows.items():
            if key not in self._bars:
                self._bars[key] = ShareBar(self._canvas)
            self._bars[key].set_rows(one)
        self._place()

    def lay_out(self, keys: Sequence[Key], shape: tuple[int, int]) -> None:
        """Follow the cells, row by row, to other places of a grid of rows and columns."""
        self._keys, self._shape = list(keys), shape
        self._place()

    def _place(self) -> None:
        if self._canvas is None:
            return
        rows, columns = self._shape
        height, width = self._canvas.height() / rows, self._canvas.width() / columns
        for key, bar in self._bars.items():
            if key not in self._keys:
                bar.hide()
                continue
            row, column = divmod(self._keys.index(key), columns)
            size = bar.sizeHint()
            bar.resize(min(size.width(), int(width) - 2 * _MARGIN), size.height())
            bar.move(
                int(column * width) + _MARGIN, int((row + 1) * height) - bar.height() - _MARGIN
            )

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the canvas to another size."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._place()
        return False
