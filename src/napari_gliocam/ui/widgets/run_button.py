"""A button that becomes a bar with Cancel while its work runs."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.progress import Progress
from napari_gliocam.ui.widgets.pieces import SPACING, Elided, tooltip

HEIGHT = 34


class RunButton(QStackedWidget):
    """Emits when to start and when to stop; shows real counts.

    Parameters
    ----------
    title : str
        On the button.
    tip : str
        What it does.
    counted : str
        What its progress counts, in the plural.
    """

    requested = Signal()
    cancel_requested = Signal()

    def __init__(self, title: str, tip: str, counted: str = "slices") -> None:
        super().__init__()
        self.button = QPushButton(title)
        self._tip, self._counted = tip, counted
        self.button.setToolTip(tooltip(tip))
        self.button.clicked.connect(self.requested)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stage = Elided()
        self.stage.setElideMode(Qt.TextElideMode.ElideMiddle)  # the counts at the end stay
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; the layers stay as they are")
        self.cancel_button.clicked.connect(self._on_cancel)
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
        self.addWidget(self.button)
        self.addWidget(running)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_ready(self, ready: bool, reason: str = "") -> None:
        """Show whether there is something to do; the tooltip says why there is not."""
        self.button.setEnabled(ready)
        self.button.setToolTip(tooltip(reason or self._tip))

    def set_progress(self, progress: Progress | None) -> None:
        """Show the bar with real counts and Cancel; the button for None, where nothing runs."""
        running = progress is not None
        if running != bool(self.currentIndex()):
            focused = self.hasFocus() or self.isAncestorOf(QApplication.focusWidget())
            self.setCurrentIndex(int(running))
            self.cancel_button.setEnabled(running)
            if focused:
                (self.cancel_button if running else self.button).setFocus()
        if progress is None:
            return
        counts = progress.total > 1
        self.bar.setRange(0, progress.total if counts else 0)
        self.bar.setValue(progress.done)
        what = progress.what[:1].upper() + progress.what[1:]
        if counts:
            what += f": {progress.done} of {progress.total} {self._counted}".rstrip()
        self.stage.set_text(what)

    def _on_cancel(self) -> None:
        self.setFocus()  # a disabled button would pass it on to the next view
        self.cancel_button.setEnabled(False)
        self.stage.set_text("Cancelling…")  # the step under way is finished first
        self.cancel_requested.emit()
