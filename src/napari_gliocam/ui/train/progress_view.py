"""A training while it runs, and what it reached.  Viewer-agnostic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.ui.train.chart import STAGE_TITLES, TrainChart
from napari_gliocam.ui.widgets.pieces import SPACING, Elided, Section

_ROW_HEIGHT = 22


class PictureStrip(QWidget):
    """The pictures of a folder, one at a time, as wide as the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.caption = QLabel()
        self.next_button = QPushButton("Next")
        self.next_button.clicked.connect(self._step)
        row = QHBoxLayout()
        row.addWidget(self.caption, 1)
        row.addWidget(self.next_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.picture)
        layout.addLayout(row)
        self._files: list[Path] = []
        self._index = 0
        self.hide()

    def show_folder(self, folder: Path) -> None:
        """Show what a training left there."""
        self._files, self._index = sorted(folder.glob("*.png")), 0
        self.setVisible(bool(self._files))
        self.next_button.setVisible(len(self._files) > 1)
        self._show()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Draw the picture anew in the new width."""
        super().resizeEvent(event)
        self._show()

    def _step(self) -> None:
        self._index = (self._index + 1) % len(self._files)
        self._show()

    def _show(self) -> None:
        if not self._files:
            return
        pixmap = QPixmap(str(self._files[self._index]))
        pixmap = pixmap.scaledToWidth(
            max(self.width(), 100), Qt.TransformationMode.SmoothTransformation
        )
        self.picture.setPixmap(pixmap)
        self.picture.setFixedHeight(pixmap.height())
        number = f"{self._index + 1} of {len(self._files)}"
        self.caption.setText(f"Patient {number}: FLAIR, before, after")


class TrainProgressView(QWidget):
    """Emits when to stop and whether to follow; shows events as they come."""

    stop_requested = Signal()
    follow_requested = Signal(bool)
    use_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        section = Section("Progress")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        self.stage = Elided()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Stop after this step; the best weights so far are kept")
        self.stop_button.clicked.connect(self._on_stop)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(self.stage)
        column.addWidget(self.bar)
        row.addLayout(column, 1)
        row.addWidget(self.stop_button)
        section.body.addLayout(row)
        self.follow = QCheckBox("Show the newest result on the open case")
        self.follow.setToolTip("Every half minute at most, when the weights have become better")
        self.follow.setChecked(True)
        self.follow.toggled.connect(self.follow_requested)
        section.body.addWidget(self.follow)
        self.chart = TrainChart()
        section.body.addWidget(self.chart)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Validation patients", "Before", "After"])
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        section.body.addWidget(self.table)
        self.pictures = PictureStrip()
        section.body.addWidget(self.pictures)
        self.use_button = QPushButton("Use this bundle")
        self.use_button.setToolTip("Segment with it from now on")
        self.use_button.clicked.connect(self.use_requested)
        section.body.addWidget(self.use_button)
        self.hide()
        self.set_running(False)
        self.table.hide()
        self.use_button.hide()

    def set_running(self, running: bool) -> None:
        """A training starts or has ended."""
        if running:
            self.show()
            self.chart.clear()
            self.table.hide()
            self.pictures.hide()
            self.use_button.hide()
            self.bar.setRange(0, 0)
            self.stage.set_text("Starting")
        self.stop_button.setEnabled(running)
        self.stop_button.setVisible(running)
        self.bar.setVisible(running)

    def show_event(self, event: dict[str, Any]) -> None:
        """Show what the training tells."""
        kind = event["kind"]
        if kind == "progress":
            self._step(event["what"], event["done"], event["total"], "")
        elif kind == "training":
            epoch = min(event["epoch"] + 1, event["epochs"])
            words = f", epoch {epoch} of {event['epochs']}" if event["steps"] > 1 else ""
            title = STAGE_TITLES.get(event["stage"], event["stage"]) + words
            self._step(title, event["step"], event["steps"], "step ")
            self.chart.add(event["stage"], event["epoch"], event["values"])
        elif kind == "table":
            self._fill([row for row in event["rows"] if row["case"] == "all"])
        elif kind == "end":
            words = {"done": "Done", "stopped": "Stopped; Resume goes on", "failed": "Failed"}
            self.stage.set_text(words[event["state"]])
            self.use_button.setVisible(event["state"] != "failed")
            if event["state"] == "done" and event.get("bundle"):
                self.pictures.show_folder(Path(event["bundle"]) / "pictures")

    def _step(self, what: str, done: int, total: int, unit: str) -> None:
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        counts = f": {unit}{done} of {total}" if total > 1 else ""
        self.stage.set_text(what[:1].upper() + what[1:] + counts)

    def _fill(self, rows: list[dict[str, Any]]) -> None:
        self.table.setRowCount(len(rows))
        for line, row in enumerate(rows):
            figures = ("–" if v is None else f"{v:.3f}" for v in (row["before"], row["after"]))
            for column, text in enumerate((f"{row['measure']}, {row['target']}", *figures)):
                self.table.setItem(line, column, QTableWidgetItem(text))
        self.table.setFixedHeight(_ROW_HEIGHT * (len(rows) + 1) + 8)
        self.table.setVisible(bool(rows))

    def _on_stop(self) -> None:
        self.stop_button.setEnabled(False)
        self.stage.set_text("Stopping after this step…")
        self.stop_requested.emit()
