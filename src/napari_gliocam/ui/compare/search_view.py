"""Paper 5's search for the thresholds of two maps, as a heat map.  Viewer-agnostic."""

# mypy: untyped-calls-exclude="pyqtgraph"

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtWidgets import QComboBox

from napari_gliocam.cams.compare.threshold_grid import GRID, ThresholdGrid
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.widgets.chart import ChartView
from napari_gliocam.ui.widgets.pieces import in_row, plain_label, push_button, tooltip

if TYPE_CHECKING:
    from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent

HEIGHT = 170
_STEP = GRID[1] - GRID[0]


class SearchView(ChartView):
    """Show the mIoU of every pair of thresholds; emit requests to search, and to take a pair."""

    search_requested = Signal(str)
    #: Method and its threshold.
    threshold_requested = Signal(str, float)

    def __init__(self) -> None:
        super().__init__(HEIGHT)
        self.button = push_button(
            "Search thresholds (uses pixel masks)",
            lambda: self.search_requested.emit(self.target.currentText()),
            "Try 0, 0.1 to 1 for the first two methods against the expert's outlines, combined by "
            "the rule above, or by intersection (paper 5). A result with these thresholds is not "
            "one of image-level labels alone",
        )
        self.target = QComboBox()
        self.target.addItems(TARGETS)
        self.target.setToolTip("Class whose maps are combined")
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setColorMap(pg.colormap.get("viridis"))
        self.best = pg.ScatterPlotItem(symbol="o", size=12, pen=pg.mkPen("w", width=2), brush=None)
        self.plot.addItem(self.image)
        self.plot.addItem(self.best)
        self.plot.setToolTip(
            tooltip("mIoU, brighter is higher; circle: the best. Click to take a pair")
        )
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.note = plain_label("", wrap=True)
        self.lay_out(in_row(self.button, self.target, grow=self.button), self.plot, self.note)
        self._methods: tuple[str, ...] = ()
        self.set_result((), None)

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Choose a class that was run, unless the one that is chosen was."""
        if targets and self.target.currentText() not in targets:
            self.target.setCurrentText(targets[0])

    def set_result(self, methods: tuple[str, ...], grid: ThresholdGrid | None) -> None:
        """Show a search; None for none.

        Parameters
        ----------
        methods : tuple of str
            The two methods: that of the upright axis first.
        grid : ThresholdGrid or None
            Every pair of their thresholds.
        """
        self._methods = methods
        self.plot.setVisible(grid is not None)
        if grid is None:
            self.note.setText("For the first two methods of a case with expert labels.")
            return
        self.image.setImage(grid.miou)
        low, size = -_STEP / 2, 1 + _STEP
        self.image.setRect(QRectF(low, low, size, size))
        first, second = grid.best
        self.best.setData([second], [first])
        self.plot.setLabel("left", methods[0])
        self.plot.setLabel("bottom", methods[1])
        self.note.setText(
            f"{grid.ensemble.title.capitalize()}: mIoU up to {grid.miou.max():.3f}, IoU of the "
            f"lesion there {grid.iou[grid.miou == grid.miou.max()][0]:.3f}. {grid.notice}"
        )

    def _on_click(self, event: MouseClickEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._methods:
            return
        point = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())
        for method, value in zip(self._methods, (point.y(), point.x()), strict=True):
            step = round(min(max(value, 0.0), 1.0) / _STEP)
            self.threshold_requested.emit(method, GRID[step])
