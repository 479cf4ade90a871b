"""Labels that follow the thresholds on screen: the slice in view now, the rest in idle time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_gliocam.settings import Settings
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.navigate import part_in_view
from napari_gliocam.ui.state import Record


class Follower:
    """Applies new settings to the labels of a case.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    desk : LayerDesk
    parent : QObject
        The panel; the timer dies with it.
    """

    def __init__(self, viewer: Any, desk: LayerDesk, parent: QObject) -> None:
        self._viewer = viewer
        self._desk = desk
        self._record: Record | None = None
        self._idle = QTimer(parent)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._step)

    def change(self, record: Record, settings: Settings) -> None:
        """Take new settings; nothing but NumPy runs, and one slice of it now."""
        if self._record is not record:
            self.settle()
        if record.live is None:
            record.settings = settings
            return
        self._record = record
        part = part_in_view(self._viewer, record.case.grid)
        record.live.change(settings, part)
        record.settings = settings  # who hears of it finds the labels changed
        if self._desk.result(record) is None:
            self._desk.show_labels(record)
        elif part is not None:
            self._desk.repaint_labels(record, part)
        self._idle.start()

    def look(self) -> None:
        """Another slice came into view: it must not show older settings."""
        record = self._record
        if record is None or record.live is None or not record.live.pending:
            return
        part = part_in_view(self._viewer, record.case.grid)
        if part is not None:
            record.live.show(part)
            self._desk.repaint_labels(record, part)

    def settle(self) -> None:
        """Bring every slice and the thumbnail up to date now."""
        record = self._record
        self._record = None
        self._idle.stop()
        if record is not None and record.live is not None:
            record.live.finish()
            if self._desk.result(record) is not None:
                self._desk.show_labels(record)
            record.count()

    def close(self) -> None:
        """Stop; the panel, and the timer with it, may be gone already."""
        with suppress(RuntimeError):
            self._idle.stop()
        if self._record is not None and self._record.live is not None:
            self._record.live.finish()
        self._record = None

    def _step(self) -> None:
        record = self._record
        if record is None or record.live is None:
            self._idle.stop()
        elif not record.live.step():
            self._idle.stop()
            if self._desk.result(record) is not None:
                self._desk.repaint_labels(record)
            record.count()
