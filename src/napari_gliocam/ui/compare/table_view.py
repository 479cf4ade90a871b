"""Figures of a comparison: tables that sort.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QSizePolicy, QTableWidgetItem, QTabWidget

from napari_gliocam.colours import TARGET_COLOURS
from napari_gliocam.ui.compare.figures import MethodRow, PairRow
from napari_gliocam.ui.compare.search_view import SearchView
from napari_gliocam.ui.compare.trust_view import TrustView
from napari_gliocam.ui.widgets.pieces import Section, in_row, push_button, swatch, tooltip
from napari_gliocam.ui.widgets.tables import ReadTable
from napari_gliocam.wording import figure

Columns = tuple[tuple[str, str, str], ...]
_EXPERT: Columns = (
    ("Method", "", "method"),
    ("Dice", "With the expert's labels, at the threshold", "dice"),
    ("IoU", "With the expert's labels, at the threshold", "iou_expert"),
    ("HD95, mm", "95th percentile of surface distances to the expert's labels, in mm", "hd95"),
    ("Energy", "Share of the map's sum inside the expert's outline", "energy_inside"),
    (
        "Point",
        "Pointing game: share of lesion slices whose highest voxel lies in the outline",
        "pointing_game",
    ),
)
_RESULT: Columns = (
    ("Method", "", "method"),
    ("ml", "Volume above the threshold", "volume_ml"),
    ("Overlap", "IoU of the method's core and edema, at the threshold", "overlap"),
    ("Result", "IoU with the result of the case, at the threshold", "iou_result"),
)
_PAIRS: Columns = (
    ("Method", "", "method"),
    ("Other", "", "other"),
    ("IoU", "Agreement of the two at their thresholds", "iou"),
)
_DIGITS = {"volume_ml": 1, "hd95": 1}


class _Number(QTableWidgetItem):
    """A figure that sorts as a number; one that is missing sorts below all others."""

    def __init__(self, value: float | None, digits: int) -> None:
        super().__init__(figure(value, digits))
        undefined = value is not None and isnan(value)
        self.value = float("-inf") if value is None or undefined else float(value)
        if undefined:
            self.setToolTip(tooltip("Not defined: neither side shows anything here"))
        self.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return self.value < getattr(other, "value", float("-inf"))


class FigureTable(ReadTable):
    """A read-only table of figures that sorts by a click on a heading.

    Parameters
    ----------
    columns : tuple of (title, tip, attribute)
        Head, tooltip and attribute of each column.
    """

    def __init__(self, columns: Columns) -> None:
        super().__init__(len(columns))
        self._columns = columns
        self.setShowGrid(False)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(130)
        header = self._header
        self.setStyleSheet("QHeaderView::section { padding: 1px 3px; }")
        for column, (title, tip, name) in enumerate(columns):
            item = QTableWidgetItem(title)
            item.setToolTip(tooltip(tip or title))
            self.setHorizontalHeaderItem(column, item)
            if name in ("method", "other"):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
            else:  # no room kept for the sign of the order, which names need more
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
                header.resizeSection(column, self.fontMetrics().horizontalAdvance(title) + 14)
        self.setSortingEnabled(True)
        self.sortItems(len(columns), Qt.SortOrder.AscendingOrder)

    def show_rows(self, rows: Sequence[MethodRow | PairRow]) -> None:
        """Show rows in the order that the user chose."""
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        for line, row in enumerate(rows):
            for column, (_, _, name) in enumerate(self._columns):
                value = getattr(row, name)
                if isinstance(value, str):
                    item = QTableWidgetItem(value)
                    item.setToolTip(tooltip(f"{value}, {row.target}"))
                    if name == "method":
                        item.setIcon(swatch(TARGET_COLOURS[row.target]))
                else:
                    item = _Number(value, _DIGITS.get(name, 2))
                self.setItem(line, column, item)
        self.setSortingEnabled(True)


class FiguresView(Section):
    """Show the figures; emit requests to export them and to close the comparison."""

    export_requested = Signal()
    close_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Figures", "At the thresholds above, on the slices that were asked for")
        self.expert, self.result, self.pairs = (
            FigureTable(columns) for columns in (_EXPERT, _RESULT, _PAIRS)
        )
        self.tabs = QTabWidget()
        self.tabs.addTab(self.expert, "Expert")
        self.tabs.addTab(self.result, "Volume")
        self.tabs.addTab(self.pairs, "Agreement")
        self.trust = TrustView()
        self.tabs.addTab(self.trust, "Trust")
        self.search = SearchView()
        self.tabs.addTab(self.search, "Search")
        self.body.addWidget(self.tabs, 1)
        self.export_button = push_button("Export csv…", self.export_requested)
        self.close_button = push_button(
            "Close comparison",
            self.close_requested,
            "Remove the pictures; the viewer is then as it was before",
        )
        self.add(in_row(self.export_button, self.close_button))
        self.rows: list[MethodRow] = []
        self.pair_rows: list[PairRow] = []
        self.set_tables([], [])

    def set_tables(self, rows: list[MethodRow], pairs: list[PairRow]) -> None:
        """Show these figures."""
        self.rows, self.pair_rows = rows, pairs
        self.expert.show_rows(rows)
        self.result.show_rows(rows)
        self.pairs.show_rows(pairs)
        self.search.set_targets([row.target for row in rows])
        with_expert = not rows or any(row.dice is not None for row in rows)
        for tab in (self.expert, self.search):
            self.tabs.setTabVisible(self.tabs.indexOf(tab), with_expert)
        for widget in (self.tabs, self.export_button, self.close_button):
            widget.setEnabled(bool(rows))
