"""Work of which only the newest of a kind is of use."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

from napari_gliocam.ui.jobs.engine import Job, Work, engine, files
from napari_gliocam.ui.model.state import State


def rest_timer(parent: QObject, milliseconds: int, act: Callable[[], object]) -> QTimer:
    """Return a timer that acts once, when it was not started again for a while.

    Parameters
    ----------
    parent : QObject
        The timer dies with it.
    milliseconds : int
        How long nobody must start it again.
    act : callable
        Called without arguments when the timer has rested.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(act)
    return timer


class Latest:
    """Runs jobs beside the GUI; a newer one of the same name takes the place of an older one.

    Parameters
    ----------
    state : State
        What fails is said there.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._jobs: dict[str, Job] = {}

    def run(
        self, name: str, work: Work, done: Callable[..., object], *, torch: bool = False
    ) -> Job:
        """Run this; ``torch``: on the thread that owns it."""
        self.drop(name)
        job = (engine() if torch else files()).submit(work, name.capitalize())
        job.succeeded.connect(done)
        job.failed.connect(self._on_failed)
        self._jobs[name] = job
        return job

    def running(self, name: str) -> bool:
        """Whether one of this name is under way."""
        return name in self._jobs and not self._jobs[name].ended

    def cancel(self, name: str) -> None:
        """Ask it to stop."""
        if name in self._jobs:
            self._jobs[name].cancel()

    def drop(self, name: str) -> None:
        """Stop it and hear no more of it."""
        job = self._jobs.pop(name, None)
        if job is not None:
            job.forget()

    def close(self) -> None:
        """Drop them all."""
        for name in list(self._jobs):
            self.drop(name)

    def _on_failed(self, sentence: str) -> None:
        self._state.say(sentence, "error")
