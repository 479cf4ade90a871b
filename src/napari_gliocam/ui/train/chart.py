"""Curves of a training: its losses and its AUC, an epoch a point."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from qtpy import API_NAME
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_gliocam.ui.widgets.pieces import SPACING, Choice

#: Stages as reports name them, in words.
STAGE_TITLES = {
    "pretrain.tumour": "Pre-training, tumour",
    "pretrain.classes": "Pre-training, core and edema",
    "classifier.tumour": "Classifier, tumour",
    "classifier.classes": "Classifier, core and edema",
    "aggregate.tumour": "Tumour aggregate",
    "aggregate.classes": "Class aggregate",
    "polarity": "Polarity of the exits",
    "maps": "Maps of the training slices",
}
#: Okabe and Ito's, in the order in which curves come.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
_HEIGHT = 150


class TrainChart(QWidget):
    """Takes the reports of a training; shows one stage of it, the newest unless another is chosen.

    Without pyqtgraph (the extra "train") a sentence stands in its place.
    """

    def __init__(self) -> None:
        super().__init__()
        #: Points by stage and curve: epoch to value.
        self.curves: dict[str, dict[str, dict[int, float]]] = {}
        self.stage = Choice("The stage whose curves are shown")
        self.stage.activated.connect(self._draw)
        self._body = QStackedWidget()
        self._body.setFixedHeight(_HEIGHT)
        self._plots: dict[str, Any] = {}
        self._ink = self._paper = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING // 2)
        column.addWidget(self.stage)
        column.addWidget(self._body)

    def clear(self) -> None:
        """Another training begins."""
        self.curves = {}
        self.stage.fill([], -1)
        self._draw()

    def set_colours(self, ink: str, paper: str) -> None:
        """Take the theme's colours of text and background."""
        self._ink, self._paper = ink, paper
        self._colour()
        self._draw()

    def add(self, event: dict[str, Any]) -> None:
        """Take a report; those within an epoch say nothing new."""
        stage, epoch = event["stage"], event["epoch"]
        values = {k: v for k, v in event["values"].items() if k.startswith(("train_", "val_"))}
        if not values or not epoch:
            return
        follows = not self.curves or self._chosen() == list(self.curves)[-1]
        known = self.curves.setdefault(stage, {})
        before = {name: points.get(epoch) for name, points in known.items()}
        if before and all(before.get(name) == value for name, value in values.items()):
            return
        for name, value in values.items():
            known.setdefault(name, {})[epoch] = value
        current = stage if follows else self._chosen()
        titles = [STAGE_TITLES.get(name, name) for name in self.curves]
        self.stage.fill(titles, list(self.curves).index(current))
        self._draw()

    def _chosen(self) -> str:
        """The stage that is shown."""
        index = self.stage.currentIndex()
        return list(self.curves)[index] if 0 <= index < len(self.curves) else ""

    def _draw(self, index: int = 0) -> None:
        if not self.curves or (not self._plots and not self._make()):
            return
        curves = self.curves.get(self._chosen(), {})
        for kind, plot in self._plots.items():
            shown = {n: p for n, p in sorted(curves.items()) if ("auc" in n) == (kind == "AUC")}
            plot.clear()
            plot.setVisible(bool(shown) or kind == "Loss")
            for place, (name, points) in enumerate(shown.items()):
                self._curve(plot, name.replace("_", " "), points, place)

    def _curve(self, plot: Any, name: str, points: dict[int, float], place: int) -> None:
        import pyqtgraph as pg
        from qtpy.QtCore import Qt

        validates = name.startswith("val")
        style = Qt.PenStyle.SolidLine if validates else Qt.PenStyle.DashLine
        colour = _COLOURS[place % len(_COLOURS)]
        epochs = sorted(points)
        plot.plot(
            epochs,
            [points[e] for e in epochs],
            name=name,
            pen=pg.mkPen(colour, width=2, style=style),
            symbol="o",
            symbolSize=5,
            symbolBrush=colour,
            symbolPen=None,
        )

    def _make(self) -> bool:
        """The plots, when there is something to draw for the first time."""
        if self._body.count() and not self._plots:
            return False
        if find_spec("pyqtgraph") is None:
            missing = QLabel(
                'Curves need pyqtgraph, which is not installed: pip install "napari-gliocam[train]"'
            )
            missing.setWordWrap(True)
            self._body.addWidget(missing)
            return False
        os.environ.setdefault("PYQTGRAPH_QT_LIB", API_NAME)  # the one that napari runs on
        import pyqtgraph as pg

        page = QWidget()
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        for kind in ("Loss", "AUC"):
            plot = pg.PlotWidget(background=None)
            item = plot.getPlotItem()
            item.setLabel("left", kind)
            item.setLabel("bottom", "epoch")
            item.addLegend(offset=(-1, 1), labelTextSize="7pt", verSpacing=-6)
            item.setMenuEnabled(False)
            item.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
            self._plots[kind] = plot
            row.addWidget(plot, 1)
        self._colour()
        self._body.addWidget(page)
        self._body.setCurrentWidget(page)
        return True

    def _colour(self) -> None:
        for plot in self._plots.values() if self._ink else ():
            plot.setBackground(self._paper)
            item = plot.getPlotItem()
            item.legend.setLabelTextColor(self._ink)
            for side in ("left", "bottom"):
                item.getAxis(side).setPen(self._ink)
                item.getAxis(side).setTextPen(self._ink)
