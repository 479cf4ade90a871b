"""A chart over the slices: areas of core, edema and their overlap, image-level probabilities."""

# mypy: untyped-calls-exclude="pyqtgraph"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_gliocam.colours import CLASS_COLOURS, TARGET_COLOURS
from napari_gliocam.measure.lesion.slice_areas import SliceAreas
from napari_gliocam.targets import (
    BOTH,
    CORE,
    EDEMA,
    TARGETS,
    TUMOUR,
    TUMOUR_ALONE,
    Target,
    parts_of,
)
from napari_gliocam.ui.widgets.chart import ChartView
from napari_gliocam.ui.widgets.pieces import tooltip

if TYPE_CHECKING:
    from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent

HEIGHT = 185
_NAMES = {CORE: "core", EDEMA: "edema", BOTH: "overlap"}


class SliceChart(ChartView):
    """Show areas and probabilities over the slices; emit the slice that is clicked on."""

    slice_requested = Signal(int)

    def __init__(self) -> None:
        super().__init__(HEIGHT)
        self.plot.setToolTip(tooltip("Axial slices from feet to head; click to go to one"))
        self.plot.getPlotItem().showAxis("right")
        self.plot.setLabel("left", "mm²")
        self.plot.setLabel("right", "probability")
        for name in ("left", "right", "bottom"):
            self.plot.getAxis(name).enableAutoSIPrefix(False)
        self.probabilities = {
            target: self._curve(TARGET_COLOURS[target], width=2, style=Qt.PenStyle.DotLine)
            for target in TARGETS
        }
        self.areas = {
            label: self._curve(CLASS_COLOURS[label], 2) for label in (EDEMA, CORE, BOTH, TUMOUR)
        }
        fill = pg.mkColor(CLASS_COLOURS[BOTH])
        fill.setAlpha(90)
        self.areas[BOTH].setFillLevel(0)
        self.areas[BOTH].setBrush(fill)
        self.line = pg.InfiniteLine(angle=90, movable=False)
        self.plot.addItem(self.line)
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self._slices = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.plot)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setToolTip(
            tooltip(
                "Solid: area on each slice, scale at the left. Dotted: probability, by the "
                "networks, that the slice shows the class, scale at the right"
            )
        )
        layout.addWidget(self.legend)
        self._take_theme()
        self.set_areas(None)

    def _curve(
        self, colour: str, width: int, style: Qt.PenStyle = Qt.PenStyle.SolidLine
    ) -> pg.PlotDataItem:
        return self.plot.plot(pen=pg.mkPen(colour, width=width, style=style))

    def set_ink(self, ink: QColor) -> None:
        """Draw axes and the line of the slice in view in the theme's colour of text."""
        super().set_ink(ink)
        self.line.setPen(pg.mkPen(ink, width=1))

    def set_areas(
        self,
        areas: SliceAreas | None,
        overlap: NDArray[np.floating] | None = None,
        probabilities: NDArray[np.floating] | None = None,
        targets: Sequence[Target] = TARGETS,
    ) -> None:
        """Draw a result.

        Parameters
        ----------
        areas : SliceAreas or None
            Areas in mm² on each of S slices; None empties the chart.
        overlap : ndarray of float, (S,), optional
            mm² that both classes claim; of the labels by default.
        probabilities : ndarray of float, (S, 3), optional
            Image-level probability of tumour, core, edema, in [0, 1].
        targets : sequence of Target
            Targets of the result: the classes are drawn, or the tumour alone.
        """
        alone = tuple(targets) == TUMOUR_ALONE
        self.legend.setText(_legend({TUMOUR: "tumour"} if alone else _NAMES))
        curves = (*self.areas.values(), *self.probabilities.values())
        for curve in curves:
            curve.setData([], [])
        self._slices = 0 if areas is None else len(areas.core)
        if areas is None:
            self.line.hide()
            return
        self.line.show()
        both = areas.both if overlap is None else overlap
        drawn = {CORE: areas.core, EDEMA: areas.edema, BOTH: both}
        if alone:
            drawn = {TUMOUR: areas.tumour}
        top = max(1.0, *(float(values.max()) for values in drawn.values())) * 1.05
        at = np.arange(self._slices)
        for label, values in drawn.items():
            self.areas[label].setData(at, values)
        if probabilities is not None:
            for target in parts_of(targets):
                values = probabilities[:, TARGETS.index(target)]
                self.probabilities[target].setData(at, values * top)
        self.plot.getAxis("right").setScale(1.0 / top)
        shown = np.flatnonzero((areas.tumour > 0) | (both > 0))
        first, last = (shown[0], shown[-1]) if shown.size else (0, self._slices - 1)
        margin = max(5, (last - first) // 8)
        self.plot.setRange(
            xRange=(max(0, first - margin), min(self._slices - 1, last + margin)),
            yRange=(0, top),
            padding=0.02,
        )

    def set_slice(self, index: int | None) -> None:
        """Draw the line at the slice in view; None leaves it."""
        if index is not None:
            self.line.setValue(index)

    def _on_click(self, event: MouseClickEvent) -> None:
        point = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())
        self.go(point.x())

    def go(self, at: float) -> None:
        """Ask for the slice at this place of the chart."""
        if self._slices:
            self.slice_requested.emit(int(np.clip(round(at), 0, self._slices - 1)))


def _legend(names: Mapping[int, str]) -> str:
    """Return the legend, areas first."""
    solid = [
        f'<span style="color:{CLASS_COLOURS[label]}">⬤</span>&nbsp;{name}'
        for label, name in names.items()
    ]
    dotted = [
        f'<span style="color:{TARGET_COLOURS[target]}"><b>┄</b></span>&nbsp;p({target})'
        for target in TARGETS
        if target in names.values()
    ]
    return " &nbsp;".join(solid + dotted)
