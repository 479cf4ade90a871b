"""A small table that shows texts and tells which row is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)


class TextTable(QTableWidget):
    """A table that is read, not written; as high as its rows.

    Parameters
    ----------
    most_rows : int
        It scrolls beyond these.
    """

    def __init__(self, most_rows: int = 14) -> None:
        super().__init__()
        self._most_rows = most_rows
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setWordWrap(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setMinimumSectionSize(30)

    def fill(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        tips: Sequence[Sequence[str]] = (),
    ) -> None:
        """Show these texts; the first column is the name of its row."""
        chosen = self.currentRow()
        blocked = self.blockSignals(True)
        self.setColumnCount(len(headings))
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(list(headings))
        for line, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                if tips:
                    item.setToolTip(tips[line][column])
                self.setItem(line, column, item)
        if 0 <= chosen < len(rows):
            self.setCurrentCell(chosen, 0)
        self.blockSignals(blocked)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        if headings:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._fit()

    def _fit(self) -> None:
        rows = min(self.rowCount(), self._most_rows)
        height = rows * self.verticalHeader().defaultSectionSize() + 2 * self.frameWidth()
        height += self.horizontalHeader().sizeHint().height()
        bar = self.horizontalScrollBar()
        self.setFixedHeight(height + (bar.sizeHint().height() if bar.isVisible() else 0))
