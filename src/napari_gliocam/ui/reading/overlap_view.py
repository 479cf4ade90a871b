"""Overlap of core and edema by method.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from superqt.utils import signals_blocked

from napari_gliocam.colours import CLASS_COLOURS
from napari_gliocam.measure.classes.class_overlap import MethodOverlap
from napari_gliocam.targets import BOTH, CORE, EDEMA
from napari_gliocam.ui.widgets.pieces import (
    Choice,
    Page,
    in_column,
    in_row,
    labelled,
    plain_label,
    push_button,
    swatch_label,
    threshold_slider,
    tooltip,
)
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import figure

_HEADINGS = ("Method", "ml", "% of union", "Dice", "Slices")
_UNDEFINED = "Not defined: the method finds neither core nor edema"
_LEGEND = {CORE: "core only", EDEMA: "edema only", BOTH: "overlap"}


class OverlapView(Page):
    """Show the overlap by method; emit the method to draw, its threshold, the methods to add."""

    method_requested = Signal(str)
    threshold_requested = Signal(float)
    shown_requested = Signal(bool)
    add_requested = Signal(str)
    cancel_requested = Signal()
    slice_requested = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.methods = Choice("The method whose core, edema and overlap are drawn")
        self.methods.activated.connect(
            lambda index: self.method_requested.emit(self.methods.itemText(index))
        )
        self.show_button = push_button(
            "Show",
            self.shown_requested,
            "Core only, edema only and their overlap as three colours on the slice",
            checkable=True,
        )
        self.threshold = threshold_slider(
            "A voxel belongs to a class where its map exceeds this; follows the panel's class "
            "threshold"
        )
        self.threshold.valueChanged.connect(lambda value: self.threshold_requested.emit(value))
        self.add = Choice("Methods that run the networks, for core and edema on every slice")
        self.add_button = push_button("Add", self._on_add)
        self.table = TextTable()
        self.table.setToolTip(
            tooltip("Slices with the largest overlap; double-click goes to the first")
        )
        self.table.cellDoubleClicked.connect(self._on_double_click)
        self.stage = plain_label(wrap=True)
        legend = (swatch_label(text, CLASS_COLOURS[label]) for label, text in _LEGEND.items())
        self.lay_out(
            in_column(
                labelled("Method", self.methods, self.show_button),
                labelled("Threshold", self.threshold),
                labelled("More", self.add, self.add_button),
            ),
            in_row(*legend),
            self.table,
            self.stage,
        )
        self._rows: Sequence[MethodOverlap] = ()
        self.set_threshold(0.5)
        self.set_methods([], "")
        self.set_rows([])
        self.set_stage("")

    def set_methods(self, names: Sequence[str], chosen: str) -> None:
        """Offer the methods that are there."""
        index = list(names).index(chosen) if chosen in names else 0
        self.methods.fill(list(names) or ["–"], index)
        for widget in (self.methods, self.show_button, self.threshold, self.add, self.add_button):
            widget.setEnabled(bool(names))

    def set_threshold(self, value: float) -> None:
        """Show this threshold; emit nothing."""
        with signals_blocked(self.threshold):
            self.threshold.setValue(value)

    def set_rows(self, rows: Sequence[MethodOverlap]) -> None:
        """Show the table."""
        self._rows = rows
        tips = [
            [row.method, *[_UNDEFINED if t == "–" else "" for t in _texts(row)[1:]]] for row in rows
        ]
        self.table.fill(_HEADINGS, [_texts(row) for row in rows], tips)
        self.table.setVisible(bool(rows))

    def set_stage(self, text: str) -> None:
        """Show what runs, and offer to cancel it; empty for nothing."""
        self.stage.setText(text)
        self.stage.setVisible(bool(text))
        self.add_button.setText("Cancel" if text else "Add")

    def set_addable(self, titles: Sequence[str]) -> None:
        """Offer methods that run the networks, by their titles."""
        self.add.fill(list(titles), 0)

    def _on_add(self) -> None:
        if self.stage.text():
            self.cancel_requested.emit()
        else:
            self.add_requested.emit(self.add.currentText())

    def _on_double_click(self, line: int, column: int) -> None:
        if self._rows[line].worst:
            self.slice_requested.emit(self._rows[line].worst[0].index)


def _texts(row: MethodOverlap) -> tuple[str, ...]:
    overlap = row.overlap
    union = overlap.union_fraction
    worst = ", ".join(str(one.index) for one in row.worst) or "no overlap"
    return (
        row.method,
        f"{overlap.ml:.1f}",
        figure(None if union is None else 100 * union, 0),
        figure(overlap.dice, 2),
        worst,
    )
