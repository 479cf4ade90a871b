"""Thresholds and figures of a comparison; tables that sort.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider
from superqt.utils import qthrottled

from napari_gliocam.ui.compare_figures import MethodRow, PairRow
from napari_gliocam.ui.palette import TARGET_COLOURS
from napari_gliocam.ui.threshold_view import FRAME_MS
from napari_gliocam.ui.widgets import SPACING, Elided, Section, swatch

_METHOD_COLUMNS = (
    ("Method", "", "method"),
    ("Dice", "With the expert's labels, at the threshold", "dice"),
    ("IoU", "With the expert's labels, at the threshold", "iou_expert"),
    ("Energy", "Share of the map's sum inside the expert's outline", "energy_inside"),
    (
        "Point",
        "Pointing game: share of lesion slices whose highest voxel lies in the outline",
        "pointing_game",
    ),
    ("Result", "IoU with the result of Segment, at the threshold", "iou_result"),
    ("Overlap", "IoU of the method's core and edema, at the threshold", "overlap"),
    ("ml", "Volume above the threshold", "volume_ml"),
)
_PAIR_COLUMNS = (
    ("Method", "", "method"),
    ("Other", "", "other"),
    ("IoU", "Agreement of the two at their thresholds", "iou"),
)


class _Number(QTableWidgetItem):
    """A figure that sorts as a number; nothing sorts below everything."""

    def __init__(self, value: float | None, digits: int) -> None:
        nothing = value is None or isnan(value)
        super().__init__("–" if nothing else f"{value:.{digits}f}")
        self.value = float("-inf") if nothing else float(value or 0.0)
        self.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return self.value < getattr(other, "value", float("-inf"))


class _Table(QTableWidget):
    """A read-only table of figures that sorts by a click on a heading."""

    def __init__(self, columns: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(0, len(columns))
        self._columns = columns
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setAlternatingRowColors(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(150)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        for column, (title, tip, _) in enumerate(columns):
            item = QTableWidgetItem(title)
            item.setToolTip(tip or title)
            self.setHorizontalHeaderItem(column, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(30)
        self.setSortingEnabled(True)
        self.sortItems(len(columns), Qt.SortOrder.AscendingOrder)

    def show_rows(self, rows: Sequence[MethodRow | PairRow]) -> None:
        """Show these; the order that the user chose stays."""
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        for line, row in enumerate(rows):
            for column, (_, _, name) in enumerate(self._columns):
                value = getattr(row, name)
                if isinstance(value, str):
                    item = QTableWidgetItem(value)
                    item.setToolTip(f"{value}, {row.target}")
                    if name == "method":
                        item.setIcon(swatch(TARGET_COLOURS[row.target]))
                else:
                    item = _Number(value, 1 if name == "volume_ml" else 2)
                self.setItem(line, column, item)
        self.setSortingEnabled(True)


class FiguresView(QWidget):
    """Emits thresholds while they are dragged, and what is to become of a method."""

    threshold_requested = Signal(str, float)
    use_requested = Signal(str)
    undo_requested = Signal()
    export_requested = Signal()
    close_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(SPACING + SPACING // 2)
        thresholds = Section("Thresholds", "A voxel counts where the map exceeds this")
        self.undo_button = QPushButton("Undo result")
        self.undo_button.setToolTip("Back to the result of Segment")
        self.undo_button.clicked.connect(self.undo_requested)
        thresholds.head.addWidget(self.undo_button)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACING)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(0, 3)
        self._grid.setColumnStretch(1, 4)
        thresholds.body.addLayout(self._grid)
        outer.addWidget(thresholds)
        self.sliders: dict[str, QLabeledDoubleSlider] = {}
        self.use_buttons: dict[str, QPushButton] = {}

        figures = Section("Figures", "At the thresholds above, on the slices that were asked for")
        self.table, self.pairs = _Table(_METHOD_COLUMNS), _Table(_PAIR_COLUMNS)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.table, "Methods")
        self.tabs.addTab(self.pairs, "Agreement")
        figures.body.addWidget(self.tabs, 1)
        self.export_button = QPushButton("Export csv…")
        self.export_button.clicked.connect(self.export_requested)
        self.close_button = QPushButton("Close comparison")
        self.close_button.setToolTip("The viewer as it was before")
        self.close_button.clicked.connect(self.close_requested)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.export_button, 1)
        row.addWidget(self.close_button, 1)
        figures.body.addLayout(row)
        outer.addWidget(figures, 1)
        self.rows: list[MethodRow] = []
        self.pair_rows: list[PairRow] = []
        self.set_tables([], [], lambda _: False, False)

    def set_tables(
        self,
        rows: list[MethodRow],
        pairs: list[PairRow],
        can_use: Callable[[str], bool],
        can_undo: bool,
    ) -> None:
        """Show these figures."""
        self.rows, self.pair_rows = rows, pairs
        self._set_sliders({row.method: row.threshold for row in rows})
        for method, button in self.use_buttons.items():
            button.setEnabled(can_use(method))
            button.setToolTip(
                "Make core and edema of this method the result"
                if can_use(method)
                else "Run it with the class core or edema first"
            )
        self.table.show_rows(rows)
        self.pairs.show_rows(pairs)
        for column, (_, _, name) in enumerate(_METHOD_COLUMNS[1:], start=1):
            known = any(getattr(row, name) is not None for row in rows)
            self.table.setColumnHidden(column, not known)
        self.undo_button.setVisible(can_undo)
        for widget in (self.tabs, self.export_button, self.close_button):
            widget.setEnabled(bool(rows))

    def _set_sliders(self, thresholds: dict[str, float]) -> None:
        """A row for each method; those that are there stay, a drag goes on."""
        if list(thresholds) == list(self.sliders):
            return
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            widget.setParent(None)
            widget.deleteLater()
        self.sliders.clear()
        self.use_buttons.clear()
        for line, (method, threshold) in enumerate(thresholds.items()):
            name = Elided()
            name.set_text(method)
            slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
            slider.setRange(0.0, 1.0)
            slider.setSingleStep(0.01)
            slider.setDecimals(2)
            slider.setValue(threshold)
            emit = qthrottled(self._emitter(method), timeout=FRAME_MS)
            slider.valueChanged.connect(emit)
            use = QPushButton("Use")
            use.setMinimumWidth(44)
            use.clicked.connect(lambda _=False, method=method: self.use_requested.emit(method))
            self.sliders[method], self.use_buttons[method] = slider, use
            for column, widget in enumerate((name, slider, use)):
                self._grid.addWidget(widget, line, column)

    def _emitter(self, method: str) -> Callable[[float], None]:
        def emit(value: float) -> None:
            self.threshold_requested.emit(method, round(float(value), 3))

        return emit
