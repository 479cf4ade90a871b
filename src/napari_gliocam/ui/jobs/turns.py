"""Work of the GUI thread in small steps, one in each turn of the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from qtpy.QtCore import QObject, QTimer

#: Between two steps; with 0 Qt would run all of them before it paints.
PAUSE_MS = 5


class Turns:
    """Runs iterators a step at a time, one iterator after the other.

    Between two steps the window paints and takes keys and clicks: each step has to check that
    the objects that it works on are still there.

    Parameters
    ----------
    parent : QObject
        The timer ends with it.
    """

    def __init__(self, parent: QObject) -> None:
        self._waiting: deque[Iterator[object]] = deque()
        self._timer = QTimer(parent)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._step)

    @property
    def idle(self) -> bool:
        """Whether no step is left."""
        return not self._waiting

    def run(self, steps: Iterator[object]) -> None:
        """Take the first step now, and each of the others in a turn of its own."""
        self._waiting.append(steps)
        if len(self._waiting) == 1:
            self._step()

    def close(self) -> None:
        """Drop the steps that are left; the parent, and the timer with it, may be gone."""
        self._waiting.clear()
        with suppress(RuntimeError):
            self._timer.stop()

    def _step(self) -> None:
        if self._waiting:
            steps = self._waiting[0]
            ended = True
            try:
                ended = next(steps, _END) is _END
            finally:
                if ended and self._waiting and self._waiting[0] is steps:
                    self._waiting.popleft()
        if self._waiting:
            self._timer.start()
        else:
            self._timer.stop()


_END = object()
