"""A chart in the colours of napari's theme."""

# mypy: untyped-calls-exclude="pyqtgraph"

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QEvent
from qtpy.QtGui import QColor, QPalette, QShowEvent

from napari_gliocam.ui.widgets.pieces import Page

_AXES = ("left", "right", "bottom")
#: Else the number at the top and the letters of the label below lose half of their height.
_EDGE_PX = 5


class ChartView(Page):
    """A view with a chart, ``plot``, that takes the colours of the theme whenever it changes.

    Parameters
    ----------
    height : int
        Of the chart in pixels.
    """

    def __init__(self, height: int) -> None:
        super().__init__()
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(height)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.getPlotItem().setContentsMargins(0, _EDGE_PX, 0, _EDGE_PX)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Follow napari's theme."""
        if event is not None and event.type() in (
            QEvent.Type.PaletteChange,
            QEvent.Type.StyleChange,
        ):
            self._take_theme()
        super().changeEvent(event)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Take the theme's colours: the style sheet is known now."""
        self._take_theme()
        super().showEvent(event)

    def _take_theme(self) -> None:
        self.ensurePolished()
        self.plot.setBackground(None)
        self.set_ink(self.palette().color(QPalette.ColorRole.WindowText))

    def set_ink(self, ink: QColor) -> None:
        """Draw axes and their texts in the theme's colour of text."""
        for name in _AXES:
            self.plot.getAxis(name).setPen(ink)
            self.plot.getAxis(name).setTextPen(ink)
