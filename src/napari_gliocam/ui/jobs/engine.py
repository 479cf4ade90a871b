"""Threads that outlive every window: one owns torch, one reads and writes files.

A job is a callable that returns a value or a generator of `Progress`.  It runs on the
engine's thread; what it reports arrives in the GUI thread as psygnal signals of its `Job`.
Cancel closes the generator between two steps.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from functools import lru_cache, partial
from itertools import count
from typing import TypeVar, cast

from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QEventLoop, QObject, Qt
from qtpy.QtCore import Signal as QtSignal

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finish

logger = logging.getLogger("napari_gliocam")

T = TypeVar("T")
Work = Callable[[], object]

_numbers = count(1)


class _CancelledError(Exception):
    """Cancel was asked for between two steps."""


class _Relay(QObject):
    """Carries calls from an engine's thread to the thread it was made in."""

    _posted = QtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        queued = Qt.ConnectionType.QueuedConnection
        self._posted.connect(self._call, queued)  # type: ignore[call-arg]

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` run in the relay's own thread; dropped when Qt is gone."""
        try:
            self._posted.emit(call)
        except RuntimeError:
            logger.debug("a report came after Qt had ended")

    def _call(self, call: Callable[[], None]) -> None:
        call()


class Job:
    """One piece of work; its signals come in the GUI thread, exactly one of the last three.

    Parameters
    ----------
    name : str
        What it is called in messages, such as ``"Segment"``.
    work : callable
        Returns the result, or a generator of `Progress` that returns it.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, name: str, work: Work) -> None:
        self.number = next(_numbers)
        self.name = name
        self.work: Work | None = work
        self.ended = False
        self.error: GliocamError | None = None
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Ask for an end at the next step; the result, if it is already under way, is dropped."""
        self._cancel.set()

    def forget(self) -> None:
        """Cancel without a signal: the owner of the job is gone."""
        self.cancel()
        for signal in (self.progressed, self.succeeded, self.failed, self.cancelled):
            signal.disconnect()

    @property
    def cancelling(self) -> bool:
        """Whether Cancel was asked for."""
        return self._cancel.is_set()

    def _report(self, progress: Progress) -> None:
        if not self.ended and not self.cancelling:
            self.progressed.emit(progress)

    def _end(self, result: object = None, failure: str | None = None) -> None:
        self.ended = True
        if self.cancelling:
            self.cancelled.emit()
        elif failure is not None:
            self.failed.emit(failure)
        else:
            self.succeeded.emit(result)


class _Errand:
    """A blocking call that another thread waits for."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: object = None
        self.error: BaseException | None = None

    def abandon(self) -> None:
        self.error = RuntimeError("the engine was shut down")
        self.done.set()

    def execute(self) -> None:
        try:
            outcome = self.work()
            self.result = finish(outcome) if isinstance(outcome, Generator) else outcome
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


class Engine:
    """One persistent daemon thread with a queue of jobs.

    Parameters
    ----------
    name : str
        The thread's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: deque[Job] = deque()
        self._urgent: deque[Job] = deque()
        self._errands: deque[_Errand] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._current: Job | None = None
        self._relay: _Relay | None = None
        self._thread: threading.Thread | None = None

    def submit(self, work: Work, name: str = "The job", *, urgent: bool = False) -> Job:
        """Queue a job; call from the GUI thread and connect to the job's signals at once.

        Parameters
        ----------
        work : callable
            See `Job`.
        name : str
            See `Job`.
        urgent : bool
            True for what a user waits for, such as the slice in view: it goes before the other
            jobs, and runs between two steps of the one that is under way.
        """
        if self._relay is None:
            self._relay = _Relay()
        job = Job(name, work)
        with self._wake:
            (self._urgent if urgent else self._jobs).append(job)
            self._start()
            self._wake.notify()
        return job

    def run(self, work: Callable[[], T]) -> T:
        """Run on the engine's thread and wait, between two steps of the job that runs there.

        Raises
        ------
        Exception
            Whatever the work raised.
        """
        errand = _Errand(work)
        if threading.current_thread() is self._thread:
            errand.execute()
        else:
            with self._wake:
                self._errands.append(errand)
                self._start()
                self._wake.notify()
            errand.done.wait()
        if errand.error is not None:
            try:
                raise errand.error
            finally:
                errand.error = None  # its traceback holds frames
        return cast(T, errand.result)

    def run_alive(self, work: Callable[[], T], name: str) -> T:
        """Run on the engine's thread and wait; called in the GUI thread, the window stays alive.

        Mouse and keys wait until then, so that nothing is changed meanwhile.

        Raises
        ------
        GliocamError
            What the work raised, or with a sentence for what was not expected.
        """
        app = QCoreApplication.instance()
        if app is None or threading.current_thread() is not threading.main_thread():
            return self.run(work)
        results: list[T] = []
        failures: list[str] = []
        job = self.submit(work, name)
        job.succeeded.connect(results.append)
        job.failed.connect(failures.append)
        while not job.ended:
            app.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents, 20)
            time.sleep(0.002)
        if not results:
            raise job.error or GliocamError([*failures, f"{name} was cancelled."][0])
        return results[0]

    @property
    def thread_id(self) -> int | None:
        """The thread's identifier, None before the first job."""
        return None if self._thread is None else self._thread.ident

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        with self._wake:
            return self._is_idle()

    def _is_idle(self) -> bool:
        return self._current is None and not (self._jobs or self._urgent or self._errands)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing runs; False when that took longer than ``timeout`` seconds."""
        with self._wake:
            return self._wake.wait_for(self._is_idle, timeout)

    def cancel_all(self) -> None:
        """Cancel what runs and what waits."""
        with self._wake:
            for job in (*self._urgent, *self._jobs, *([self._current] if self._current else [])):
                job.cancel()

    def shutdown(self, timeout: float = 5.0) -> None:
        """Cancel everything and end the thread; a later `submit` starts a new one."""
        self.cancel_all()
        thread = self._thread
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        with self._wake:
            self._closing = False
            self._thread = None
            while self._errands:
                self._errands.popleft().abandon()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._current = None
                self._wake.notify_all()
                self._wake.wait_for(
                    lambda: self._urgent or self._jobs or self._errands or self._closing
                )
                if self._closing:
                    return
                if not self._errands:
                    self._current = (self._urgent or self._jobs).popleft()
            if self._current is None:
                self._run_errands()
            else:
                self._execute(self._current)

    def _run_errands(self) -> None:
        while self._errands:
            self._errands.popleft().execute()

    def _execute(self, job: Job) -> None:
        assert self._relay is not None
        work, job.work = job.work, None  # nothing outlives its run
        try:
            result = None if job.cancelling else self._steps(job, work)
        except _CancelledError:
            self._relay.post(job._end)
        except GliocamError as error:
            job.error = error.with_traceback(None)
            sentence = str(error)
            self._relay.post(lambda: job._end(failure=sentence))
        except BaseException as error:
            logger.exception("%s failed", job.name)
            sentence = _sentence(job.name, error)
            self._relay.post(lambda: job._end(failure=sentence))
        else:
            self._relay.post(lambda: job._end(result))

    def _steps(self, job: Job, work: Work | None) -> object:
        assert self._relay is not None
        assert work is not None
        outcome = work()
        if not isinstance(outcome, Generator):
            return outcome
        try:
            while True:
                if job.cancelling or self._closing:
                    raise _CancelledError
                try:
                    progress = next(outcome)
                except StopIteration as stop:
                    return stop.value
                self._relay.post(partial(job._report, progress))
                self._run_errands()
                while self._urgent and not self._closing:
                    self._execute(self._urgent.popleft())
        finally:
            outcome.close()


def _sentence(name: str, error: BaseException) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"{name} ran out of memory; close other programs or choose another device."
    return (
        f"{name} failed unexpectedly ({type(error).__name__}); "
        "the log of napari_gliocam in the terminal has the details."
    )


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return the one thread that owns torch."""
    return _persistent("gliocam engine")


@lru_cache(maxsize=1)
def files() -> Engine:
    """Return the thread that reads and writes files; torch is never used there."""
    return _persistent("gliocam files")


def _persistent(name: str) -> Engine:
    made = Engine(name)
    atexit.register(made.shutdown)
    return made
