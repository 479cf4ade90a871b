"""Tests of the maps: curves, pictures, verdicts, sequences.  Viewer-agnostic."""

# mypy: untyped-calls-exclude="pyqtgraph"

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QComboBox, QLabel

from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.compare.trust_work import Direction, TrustRow
from napari_gliocam.ui.widgets.chart import ChartView
from napari_gliocam.ui.widgets.pieces import Choice, in_row, labelled, plain_label, tooltip
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import figure, percent

if TYPE_CHECKING:
    from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent

HEIGHT, WIDTH = 150, 96
#: Of the methods in turn (Okabe and Ito); the line of a deletion is whole, of an insertion dashed.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#999999")
#: What can be tested, by the words of the choice.
_SCOPES = {"This slice": "slice", "With lesion": "lesion", "Whole case": "case"}
#: Content that takes the place of deleted pixels, by the words of the choice.
_FILLS = {"Brain's mean": "mean", "Blur": "blur", "Mirrored side": "mirror"}
#: Title and meaning of each figure.
_FIGURES = {
    "deletion": (
        "Deletion",
        "Area under the probability while the map's pixels are deleted; lower is better",
    ),
    "insertion": (
        "Insertion",
        "Area under the probability while they are restored; higher is better",
    ),
    "road-most": (
        "ROAD, most",
        "Change of the probability with the most relevant pixels imputed; lower is better",
    ),
    "road-least": (
        "ROAD, least",
        "Change of the probability with the least relevant imputed; nearer to 0 is better",
    ),
    "average-drop": (
        "Average drop",
        "Part of the probability that is lost with the map's pixels alone; lower is better",
    ),
    "increase-in-confidence": (
        "Increase",
        "Part of the slices on which it rises instead; higher is better",
    ),
    "randomisation": (
        "Randomisation",
        "Whether networks with random weights draw another map (passed) or much the same (failed)",
    ),
    "repeatability-rank": (
        "Repeatability",
        "Rank correlation with the map by the other bundle; higher is better",
    ),
    "auprc": (
        "AUPRC",
        "Area under precision and recall with the expert's outline, without a threshold",
    ),
    "prevalence": ("AUPRC by chance", "That of a map that knows nothing"),
    "mass-accuracy": ("Mass accuracy", "Share of the map's sum inside the outline"),
    "rank-accuracy": (
        "Rank accuracy",
        "Part of as many highest values as the outline has voxels that lies inside it",
    ),
}


class TrustView(ChartView):
    """Show tests; emit requests to run them and to see the slice at a point of a curve."""

    #: "slice", "lesion" or "case"; "mean", "blur" or "mirror".
    test_requested = Signal(str, str)
    cancel_requested = Signal()
    #: Method, target, "deletion" or "insertion", fraction.
    step_requested = Signal(str, str, str, float)

    def __init__(self) -> None:
        super().__init__(HEIGHT)
        self.run = RunButton(
            "Test",
            "Does the networks' answer follow the map, would networks that know nothing draw the "
            "same, would another bundle, which sequence said so? Seconds for each map and slice",
        )
        self.run.requested.connect(
            lambda: self.test_requested.emit(
                _SCOPES[self.scope.currentText()], _FILLS[self.fill.currentText()]
            )
        )
        self.scope = Choice("Slices that are tested; of many no more than 12, at even distances")
        self.scope.fill(list(_SCOPES), 0)
        self.fill = Choice("Content that takes the place of deleted pixels")
        self.fill.fill(list(_FILLS), 0)
        self.run.cancel_requested.connect(self.cancel_requested)
        self.target = QComboBox()
        self.target.setToolTip("Class of the curves")
        self.target.currentIndexChanged.connect(self._show)
        self.plot.setLabel("left", "probability")
        self.plot.setLabel("bottom", "part of the brain changed")
        self.plot.setXRange(0, 1, padding=0.02)
        self.plot.setYRange(0, 1, padding=0.05)
        self.plot.setToolTip(
            tooltip(
                "Whole lines: deletion, which should fall early. Dashed: insertion, which should "
                "rise early. Click on a line to see the slice at that point"
            )
        )
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption, self.note = plain_label(wrap=True), plain_label(wrap=True)
        self.table = TextTable()
        self.lesions = TextTable()
        self.lesions.setToolTip(
            tooltip(
                "Share of each sequence in the map of a lesion (Shapley value), below 0 where it "
                "speaks against the class; lesions are numbered from the largest"
            )
        )
        self.lay_out(
            labelled("Slices", self.scope, self.target),
            labelled("Baseline", self.fill),
            self.run,
            in_row(self.plot, self.picture, grow=self.plot, spacing=2),
            self.caption,
            self.table,
            self.lesions,
            self.note,
            spacing=2,
        )
        self.rows: list[TrustRow] = []
        self.set_ready(False)
        self.set_rows([], "")

    def set_ready(self, ready: bool) -> None:
        """Show whether there are maps to test."""
        self.run.set_ready(ready)

    def set_rows(self, rows: Sequence[TrustRow], where: str) -> None:
        """Show what was found; nothing clears the view.

        Parameters
        ----------
        rows : sequence of TrustRow
            A row for each map.
        where : str
            A sentence that names the slices.
        """
        self.rows = list(rows)
        present = [t for t in TARGETS if any(row.target == t for row in rows)]
        chosen = self.target.currentText()
        self.target.blockSignals(True)
        self.target.clear()
        self.target.addItems(present)
        self.target.setCurrentIndex(present.index(chosen) if chosen in present else 0)
        self.target.blockSignals(False)
        self._where = where
        self.set_picture(None, "")
        self._show()

    def _shown(self) -> list[TrustRow]:
        return [row for row in self.rows if row.target == self.target.currentText()]

    def _show(self) -> None:
        self.plot.clear()
        rows = self._shown()
        for widget in (self.plot, self.table, self.target):
            widget.setVisible(bool(rows))
        known = [n for n in _FIGURES if any(n in row.figures for row in rows)]
        self.table.fill(
            ["", *(row.method for row in rows)],
            [[_FIGURES[n][0], *(_text(n, row.figures.get(n)) for row in rows)] for n in known],
            [[_FIGURES[n][1]] * (len(rows) + 1) for n in known],
        )
        for column, (row, colour) in enumerate(zip(rows, cycle(_COLOURS), strict=False), start=1):
            heading = self.table.horizontalHeaderItem(column)
            if heading is not None:
                heading.setForeground(pg.mkBrush(colour))
            for way, (fractions, scores) in row.lines.items():
                style = Qt.PenStyle.SolidLine if way == "deletion" else Qt.PenStyle.DashLine
                self.plot.plot(fractions, scores, pen=pg.mkPen(colour, width=2, style=style))
        self._show_lesions(rows)
        failed = [row.method for row in rows if row.fails]
        notes = [self._where] if rows else []
        if failed:
            names = ", ".join(failed)
            notes.append(f"Random networks draw much the same map: {names}; do not rely on it. ")
        shares = dict.fromkeys(row.sequences for row in rows if row.sequences)
        notes += [f"The networks' answer comes from {words}. " for words in shares]
        said = dict.fromkeys(one for row in rows for one in row.reasons)
        notes += [f"{one} " for one in said]
        self.note.setText("".join(notes).strip())
        self.note.setVisible(bool(notes))

    def _show_lesions(self, rows: Sequence[TrustRow]) -> None:
        """Show a line for each lesion of each map."""
        lines = [
            [f"Lesion {number}", row.method, *map(percent, shares.values())]
            for row in rows
            for number, shares in row.lesions
        ]
        sequences = next((list(shares) for row in rows for _, shares in row.lesions), [])
        self.lesions.fill(["", "", *(m.title for m in sequences)], lines)
        self.lesions.setVisible(bool(lines))

    def set_picture(self, grey: NDArray[np.uint8] | None, caption: str) -> None:
        """Show the slice at a point of a curve; None for none."""
        self.picture.setVisible(grey is not None)
        self.caption.setVisible(bool(caption))
        self.caption.setText(caption)
        if grey is None:
            return
        height, width = grey.shape
        image = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
        self.picture.setPixmap(
            QPixmap.fromImage(image.copy()).scaledToWidth(
                WIDTH, Qt.TransformationMode.SmoothTransformation
            )
        )

    def _on_click(self, event: MouseClickEvent) -> None:
        point = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())
        self.choose(float(point.x()), float(point.y()))

    def choose(self, fraction: float, score: float) -> None:
        """Ask for the slice at the point of a curve that is nearest, as a click does."""
        best: tuple[float, TrustRow, Direction] | None = None
        fraction = min(max(fraction, 0.0), 1.0)
        for row in self._shown():
            for way, (fractions, scores) in row.lines.items():
                distance = abs(float(np.interp(fraction, fractions, scores)) - score)
                if best is None or distance < best[0]:
                    best = distance, row, way
        if best is not None:
            _, row, way = best
            self.step_requested.emit(row.method, row.target, way, fraction)


def _text(name: str, value: float | None) -> str:
    """Return a figure as the table has it."""
    if name == "randomisation" and value is not None:
        return "passed" if value else "failed"
    return figure(value, 2)
