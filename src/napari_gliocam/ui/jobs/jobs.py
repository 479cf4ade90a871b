"""The jobs and timers of one owner, such as a dock, which may be closed before they end."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_gliocam.progress import Progress
from napari_gliocam.ui.jobs.engine import Job, Work, engine, files
from napari_gliocam.ui.jobs.tasks import begin_task

if TYPE_CHECKING:
    from napari.components import ViewerModel

Call = Callable[..., object]


class Jobs:
    """Runs jobs beside the window; a newer one takes the place of an older one of its kind.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or napari.components.ViewerModel
        The viewer that the owner belongs to.
    parent : QObject
        The timers die with it.
    failed : callable
        Called with the sentence of a job that failed.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject, failed: Call) -> None:
        self._viewer = viewer
        self._parent = parent
        self._failed = failed
        self._running: dict[Hashable, tuple[Job, Call | None, Call | None]] = {}
        self._timers: list[QTimer] = []

    def run(
        self,
        kind: Hashable,
        work: Work,
        done: Call | None = None,
        *,
        name: str = "",
        torch: bool = False,
        urgent: bool = False,
        shown: Call | None = None,
        cancelled: Call | None = None,
        quiet: bool = False,
        task: str = "",
    ) -> Job:
        """Run work on another thread, instead of the work of the same kind that is under way.

        Parameters
        ----------
        kind : hashable
            A job of the same kind is dropped: its result is of no use any more.
        work : callable
            See `Job`.
        done : callable, optional
            Called with the result. Neither it nor ``shown`` may be the ``emit`` of a signal:
            psygnal calls that with made-up values to find out its arguments.
        name : str
            What the job is called in messages; the kind by default.
        torch : bool
            True for the thread that owns torch; it runs on that of the files by default.
        urgent : bool
            See `Engine.submit`.
        shown : callable, optional
            Called at once and then with each `Progress`, and with None however the job ends, before
            the other calls; not by `close`.
        cancelled : callable, optional
            Called without arguments when the job was cancelled.
        quiet : bool
            True for work that nobody asked for: its failure is not reported.
        task : str
            What is under way, for napari, which then asks before it closes the window.
        """
        self.drop(kind)
        title = name or str(kind).capitalize()
        job = (engine() if torch else files()).submit(work, title, urgent=urgent)
        close_task = begin_task(self._viewer, task, job.cancel) if task else None
        ended: Call | None = None if shown is None else lambda: shown(None)
        for signal in (job.succeeded, job.failed, job.cancelled):
            for call in (close_task, ended):
                if call is not None:
                    signal.connect(call, max_args=0)
        for signal, call in (
            (job.progressed, shown),
            (job.succeeded, done),
            (job.failed, None if quiet else self._failed),
            (job.cancelled, cancelled),
        ):
            if call is not None:
                signal.connect(call)
        self._running = {k: known for k, known in self._running.items() if not known[0].ended}
        self._running[kind] = job, close_task, ended
        if shown is not None:
            shown(Progress(0, 1, "queued"))
        return job

    def running(self, kind: Hashable) -> Job | None:
        """Return the job of a kind that is under way, or about to stop; None without one."""
        job = self._running[kind][0] if kind in self._running else None
        return None if job is None or job.ended else job

    def cancel(self, kind: Hashable) -> None:
        """Stop the job of a kind at its next step."""
        job = self.running(kind)
        if job is not None:
            job.cancel()

    def drop(self, kind: Hashable) -> None:
        """Stop the job of a kind, and take nothing of it any more."""
        job, close_task, ended = self._running.pop(kind, (None, None, None))
        if job is not None and not job.ended:
            job.forget()
            for call in (close_task, ended):
                if call is not None:
                    call()

    def timer(self, milliseconds: int, act: Call) -> QTimer:
        """Return a timer that acts once, when it was not started again for a while.

        Parameters
        ----------
        milliseconds : int
            How long nobody must start it again.
        act : callable
            Called without arguments when the timer has rested.
        """
        timer = QTimer(self._parent)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(act)
        self._timers.append(timer)
        return timer

    def close(self) -> None:
        """Stop jobs and timers; the owner, which may be gone already, hears nothing of it."""
        for timer in self._timers:
            with suppress(RuntimeError):  # it died with its parent
                timer.stop()
        for job, close_task, _ in self._running.values():
            if not job.ended:
                job.forget()
                if close_task is not None:
                    close_task()
        self._running.clear()
