"""Tables that are read, not written: one of texts, as high as its rows, and their base."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)
from superqt.utils import signals_blocked

from napari_gliocam.ui.widgets.pieces import tooltip

#: A name is cut beyond so many pixels, where the figures need the room.
_NAME_WIDTH = 170


class ReadTable(QTableWidget):
    """A table that is read, not written; one row can be chosen.

    Parameters
    ----------
    columns : int
        How many it starts with.
    """

    def __init__(self, columns: int = 0) -> None:
        super().__init__(0, columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leads on to the next widget
        self.setWordWrap(False)
        lines, header = self.verticalHeader(), self.horizontalHeader()
        assert lines is not None
        assert header is not None
        self._lines, self._header = lines, header
        lines.setVisible(False)
        lines.setDefaultSectionSize(self.fontMetrics().height() + 6)
        header.setMinimumSectionSize(30)


class TextTable(ReadTable):
    """A table of texts, as high as its rows.

    Parameters
    ----------
    most_rows : int
        It scrolls beyond these.
    """

    def __init__(self, most_rows: int = 14) -> None:
        super().__init__()
        self._most_rows = most_rows
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._header.setHighlightSections(False)
        bar = self.horizontalScrollBar()
        assert bar is not None
        self._bar = bar
        bar.rangeChanged.connect(self._fit)

    def fill(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        tips: Sequence[Sequence[str]] = (),
    ) -> None:
        """Show these texts; the first column is the name of its row."""
        chosen = self.currentRow()
        with signals_blocked(self):
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
                    if tips or not column:  # names may be cut
                        item.setToolTip(tooltip(tips[line][column] if tips else text))
                    self.setItem(line, column, item)
            if 0 <= chosen < len(rows):
                self.setCurrentCell(chosen, 0)
        self._header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._fit_names()
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Give the names the room that there is now."""
        super().resizeEvent(event)
        self._fit_names()

    def _fit_names(self) -> None:
        """Let the names take the room that is left; the table scrolls where they need more."""
        viewport, header = self.viewport(), self._header
        if not self.columnCount() or viewport is None:
            return
        names, *figures = (
            max(self.sizeHintForColumn(column), header.sectionSizeHint(column))
            for column in range(self.columnCount())
        )
        names = min(names, _NAME_WIDTH)
        if sum(figures) + names <= viewport.width():
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        else:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(0, names)

    def _fit(self) -> None:
        rows = min(self.rowCount(), self._most_rows)
        height = rows * self._lines.defaultSectionSize() + 2 * self.frameWidth()
        height += self._header.sizeHint().height()
        self.setFixedHeight(height + (self._bar.sizeHint().height() if self._bar.maximum() else 0))
