"""Where it runs, with which weights, Segment, progress and Cancel.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.progress import Progress
from napari_gliocam.ui.widgets import SPACING, Choice, Elided, Section, row_label

NOTICE = "Research use, not a medical device"


class RunView(QWidget):
    """Emits what the user asks for; shows what it is told."""

    device_requested = Signal(str)
    bundle_requested = Signal()
    segment_requested = Signal()
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        section = Section("Segment")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)

        self.devices = Choice("The processor that runs the networks.")
        self.devices.activated.connect(self._on_device)
        self._device_names: list[str] = []
        self.bundle = Elided()
        self.bundle_button = QPushButton("Change…")
        self.bundle_button.setToolTip("Choose the folder of another bundle of weights")
        self.bundle_button.clicked.connect(self.bundle_requested)
        self.origin = Elided()
        self.notice = Elided()
        self.notice.set_text(NOTICE)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        grid.addWidget(row_label("Device"), 0, 0)
        grid.addWidget(self.devices, 0, 1, 1, 2)
        grid.addWidget(row_label("Bundle", "Weights with all that is needed to use them"), 1, 0)
        grid.addWidget(self.bundle, 1, 1)
        grid.addWidget(self.bundle_button, 1, 2)
        grid.addWidget(self.origin, 2, 0, 1, 3)
        grid.addWidget(self.notice, 3, 0, 1, 3)
        grid.setColumnStretch(1, 1)
        section.body.addLayout(grid)

        self.segment_button = QPushButton("Segment")
        self.segment_button.setToolTip("Find core and edema in the case chosen above")
        self.segment_button.setMinimumHeight(32)
        font = self.segment_button.font()
        font.setBold(True)
        self.segment_button.setFont(font)
        self.segment_button.clicked.connect(self.segment_requested)

        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stage = QLabel()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; the layers stay as they are")
        self.cancel_button.clicked.connect(self.cancel_requested)
        running = QWidget()
        row = QHBoxLayout(running)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(self.stage)
        column.addWidget(self.bar)
        row.addLayout(column, 1)
        row.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.segment_button)
        self.stack.addWidget(running)
        self.stack.setFixedHeight(34)
        section.body.addWidget(self.stack)

    def set_devices(self, names: Sequence[str], titles: Sequence[str], current: str) -> None:
        """Offer what this computer has."""
        self._device_names = list(names)
        index = self._device_names.index(current) if current in names else 0
        self.devices.fill(list(titles), index)

    def set_bundle(self, name: str, origin: str, licence: str) -> None:
        """Say which weights are in use and where they come from."""
        self.bundle.set_text(name)
        self.origin.set_text(origin)
        if licence:
            self.bundle.setToolTip(f"{name}; licence: {licence}")

    def set_ready(self, ready: bool) -> None:
        """Whether there is something to segment."""
        self.segment_button.setEnabled(ready)

    def set_running(self, running: bool) -> None:
        """Show the bar and Cancel instead of the button."""
        self.stack.setCurrentIndex(1 if running else 0)
        self.cancel_button.setEnabled(running)
        self.cancel_button.setText("Cancel")
        self.devices.setEnabled(not running)
        self.bundle_button.setEnabled(not running)
        self.bar.setRange(0, 0)
        self.stage.setText("Waiting for the engine" if running else "")

    def set_progress(self, progress: Progress) -> None:
        """Show real counts."""
        self.bar.setRange(0, max(progress.total, 1))
        self.bar.setValue(progress.done)
        what = progress.what[:1].upper() + progress.what[1:]
        counts = f": {progress.done} of {progress.total} slices" if progress.total > 1 else ""
        self.stage.setText(what + counts)

    def set_cancelling(self) -> None:
        """Cancel was clicked; the step under way is finished first."""
        self.cancel_button.setEnabled(False)
        self.stage.setText("Cancelling…")

    def _on_device(self, index: int) -> None:
        self.device_requested.emit(self._device_names[index])
