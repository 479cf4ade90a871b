"""A training while it runs, and the figures that it reached.  Viewer-agnostic."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_gliocam.progress import Progress
from napari_gliocam.train.run.events import BeforeAfter, BeforeAfterRow, End, Event, TrainingReport
from napari_gliocam.ui.train.chart import STAGE_TITLES, TrainChart
from napari_gliocam.ui.widgets.pieces import (
    Elided,
    Section,
    check_box,
    in_column,
    in_row,
    plain_label,
    push_button,
)
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import figure

_ENDS = {"done": "Done", "stopped": "Stopped; Resume goes on", "failed": "Failed"}
_UNDEFINED = "Not defined: the validation patients do not show both kinds of slices"


class PictureStrip(QWidget):
    """The pictures of a folder, one at a time, as wide as the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.caption = plain_label()
        self.next_button = push_button("Next", self._step)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.picture)
        layout.addWidget(in_row(self.caption, self.next_button, grow=self.caption))
        self._files: list[Path] = []
        self._index = 0
        self.hide()

    def show_folder(self, folder: Path) -> None:
        """Show what a training left there."""
        self._files, self._index = sorted(folder.glob("*.png")), 0
        self.setVisible(bool(self._files))
        self.next_button.setVisible(len(self._files) > 1)
        self._show()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
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


class TrainProgressView(Section):
    """Show the events of a training; emit when to stop it and whether to preview its results."""

    stop_requested = Signal()
    follow_requested = Signal(bool)
    use_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Progress")
        self.stage = Elided()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stop_button = push_button(
            "Stop", self._on_stop, "Stop after this step; the best weights so far are kept"
        )
        self.follow = check_box(
            "Show the newest result on the open case",
            "Segment the open case when the weights have become better, every half minute at most; "
            "not while a method of Compare CAMs is its result",
            checked=True,
        )
        self.follow.toggled.connect(self.follow_requested)
        self.chart = TrainChart()
        self.table = TextTable()
        self.pictures = PictureStrip()
        self.use_button = push_button(
            "Use this bundle", self.use_requested, "Segment with it from now on"
        )
        steps = in_column(self.stage, self.bar)
        self.add(
            in_row(steps, self.stop_button, grow=steps),
            self.follow,
            self.chart,
            self.table,
            self.pictures,
            self.use_button,
        )
        self.hide()
        self.set_running(False)
        self.table.hide()
        self.use_button.hide()

    def set_running(self, running: bool) -> None:
        """Show that a training starts, or that it has ended."""
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

    def show_event(self, event: Event) -> None:
        """Show an event of the training."""
        if isinstance(event, Progress):
            self._step(event.what, event.done, event.total, "")
        elif isinstance(event, TrainingReport):
            epoch = min(event.epoch + 1, event.epochs)
            words = f", epoch {epoch} of {event.epochs}" if event.steps > 1 else ""
            title = STAGE_TITLES.get(event.stage, event.stage) + words
            self._step(title, event.step, event.steps, "step ")
            self.chart.add(event.stage, event.epoch, event.values)
        elif isinstance(event, BeforeAfter):
            self._fill([row for row in event.rows if row.case == "all"])
        elif isinstance(event, End):
            self.stage.set_text(_ENDS[event.state])
            self.use_button.setVisible(event.state != "failed")

    def _step(self, what: str, done: int, total: int, unit: str) -> None:
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        counts = f": {unit}{done} of {total}" if total > 1 else ""
        self.stage.set_text(what[:1].upper() + what[1:] + counts)

    def _fill(self, rows: list[BeforeAfterRow]) -> None:
        pairs = [(row.before, row.after) for row in rows]
        titles = [f"{row.measure}, {row.target}" for row in rows]
        self.table.fill(
            ("Validation patients", "Before", "After"),
            [(t, *(figure(v, 3) for v in pair)) for t, pair in zip(titles, pairs, strict=True)],
            [("", *("" if v is not None else _UNDEFINED for v in pair)) for pair in pairs],
        )
        self.table.setVisible(bool(rows))

    def _on_stop(self) -> None:
        self.stop_button.setEnabled(False)
        self.stage.set_text("Stopping after this step…")
        self.stop_requested.emit()
