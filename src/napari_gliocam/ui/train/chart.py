"""Curves of a training: its losses and its AUC, an epoch a point."""

# mypy: untyped-calls-exclude="pyqtgraph"

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_gliocam.ui.widgets.pieces import SPACING, Choice

#: Stages as reports name them, in words.
STAGE_TITLES = {
    "pretrain.tumour": "Pre-training, tumour",
    "pretrain.classes": "Pre-training, core and edema",
    "classifier.tumour": "Classifier, tumour",
    "classifier.classes": "Classifier, core and edema",
    "aggregate.tumour": "Tumour aggregate",
    "aggregate.classes": "Class aggregate",
    "segmenter": "Segmentation network",
    "polarity": "Polarity of the exits",
    "maps": "Maps of the training slices",
}
#: Okabe and Ito's, in the order in which quantities come.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
_HEIGHT = 150


class TrainChart(QWidget):
    """Show the curves of one stage of a training, the newest unless another is chosen.

    A colour is a quantity; dashed lines are of the training slices, solid ones of the validation
    patients. The legend stands below the plots, so that it never covers a curve.
    """

    def __init__(self) -> None:
        super().__init__()
        #: Points by stage and curve: epoch to value.
        self.curves: dict[str, dict[str, dict[int, float]]] = {}
        self.stage = Choice("The stage whose curves are shown")
        self.stage.activated.connect(self._draw)
        self.plots = {kind: _plot(kind) for kind in ("Loss", "AUC")}
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for plot in self.plots.values():
            row.addWidget(plot, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING // 2)
        column.addWidget(self.stage)
        column.addLayout(row)
        column.addWidget(self.legend)
        self._draw()

    def clear(self) -> None:
        """Forget every curve: another training begins."""
        self.curves = {}
        self.stage.fill([], -1)
        self._draw()

    def set_colours(self, ink: str, paper: str) -> None:
        """Take the theme's colours of text and background."""
        for plot in self.plots.values():
            plot.setBackground(paper)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(ink)
                plot.getAxis(side).setTextPen(ink)

    def add(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """Add the points of an epoch.

        Parameters
        ----------
        stage : str
            Such as ``"classifier.tumour"``.
        epoch : int
            Epochs finished; within the first one there is nothing to draw.
        values : mapping of str to float
            By name; those that begin with ``train_`` or ``val_`` are drawn.
        """
        values = {k: v for k, v in values.items() if k.startswith(("train_", "val_"))}
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
        """Return the stage that is shown."""
        index = self.stage.currentIndex()
        return list(self.curves)[index] if 0 <= index < len(self.curves) else ""

    def _draw(self, index: int = 0) -> None:
        curves = self.curves.get(self._chosen(), {})
        quantities = list(dict.fromkeys(_quantity(name) for name in sorted(curves)))
        colours = {q: _COLOURS[place % len(_COLOURS)] for place, q in enumerate(quantities)}
        for kind, plot in self.plots.items():
            plot.clear()
            shown = {n: p for n, p in sorted(curves.items()) if ("auc" in n) == (kind == "AUC")}
            plot.setVisible(bool(shown) or kind == "Loss")
            for name, points in shown.items():
                _add_curve(plot, name, points, colours[_quantity(name)])
            if kind == "AUC":
                lowest = min((v for points in shown.values() for v in points.values()), default=0.5)
                plot.setYRange(min(lowest, 0.9), 1.0, padding=0.08)
        words = [
            f'<span style="color:{colours[q]}">⬤</span>&nbsp;{escape(q).replace(" ", "&nbsp;")}'
            for q in quantities
        ]
        self.legend.setText(" ".join(words) + "<br>dashed: training slices, solid: validation")
        self.legend.setVisible(bool(words))


def _quantity(name: str) -> str:
    """Return the quantity of a curve in words: ``"val_auc_core"`` is ``"AUC core"``."""
    return name.partition("_")[2].replace("auc", "AUC").replace("_", " ")


def _plot(kind: str) -> pg.PlotWidget:
    """Return an empty plot; its axes never show values by the thousandth."""
    plot = pg.PlotWidget(background=None)
    plot.setFixedHeight(_HEIGHT)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    plot.setLabel("left", kind)
    plot.setLabel("bottom", "epoch")
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
    return plot


def _add_curve(plot: pg.PlotWidget, name: str, points: dict[int, float], colour: str) -> None:
    validates = name.startswith("val")
    style = Qt.PenStyle.SolidLine if validates else Qt.PenStyle.DashLine
    epochs = sorted(points)
    plot.plot(
        epochs,
        [points[e] for e in epochs],
        pen=pg.mkPen(colour, width=2, style=style),
        symbol="o",
        symbolSize=5,
        symbolBrush=colour if validates else None,
        symbolPen=colour,
    )
