"""Tests of the maps that a comparison shows: run, cancelled, looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from psygnal import Signal

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target
from napari_gliocam.ui.compare.trust_work import Direction, SliceTests
from napari_gliocam.ui.compare.work import Comparing
from napari_gliocam.ui.jobs.engine import Job, engine


class TrustRun:
    """Tests one slice at a time; Cancel keeps what is there."""

    running = Signal(bool)
    progressed = Signal(object)
    #: Rows and the slice.
    found = Signal(object, object)
    #: A grey picture and its caption.
    pictured = Signal(object, str)
    failed = Signal(str)

    def __init__(self) -> None:
        self._job: Job | None = None
        self._looking: Job | None = None
        self._tests: SliceTests | None = None

    @property
    def busy(self) -> bool:
        """Whether tests run, or are about to stop."""
        return self._job is not None

    def close(self) -> None:
        """Stop, and report nothing any more."""
        for job in (self._job, self._looking):
            if job is not None:
                job.forget()
        self._job = self._looking = self._tests = None

    def clear(self) -> None:
        """Forget what was found: the comparison is another one."""
        busy = self.busy
        self.close()
        if busy:
            self.running.emit(False)
        self.found.emit([], None)

    def start(self, comparing: Comparing, maps: Sequence[ClassMaps], index: int) -> Job | None:
        """Test the maps on a slice; None while tests run."""
        if self.busy:
            return None
        tests = SliceTests(comparing, maps, index)
        job = engine().submit(tests.run, "Test on this slice")
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(lambda result: self._end())
        job.cancelled.connect(self._end)
        job.failed.connect(self._on_failed)
        self._job, self._tests = job, tests
        self.running.emit(True)
        return job

    def cancel(self) -> None:
        """Stop at the next step; what there is by then is kept."""
        if self._job is not None:
            self._job.cancel()

    def _end(self) -> None:
        self._job = None
        self.running.emit(False)
        if self._tests is not None:
            self.found.emit(self._tests.rows, self._tests.index)

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_look_failed(self, sentence: str) -> None:
        self.failed.emit(sentence)

    def _on_failed(self, sentence: str) -> None:
        self._end()
        self.failed.emit(sentence)

    def look(self, method: str, target: Target, direction: Direction, fraction: float) -> None:
        """Make the picture of the slice at a point of a curve."""
        tests = self._tests
        if tests is None or self.busy:
            return
        (row,) = (r for r in tests.rows if (r.method, r.target) == (method, target))
        probability = float(np.interp(fraction, *row.lines[direction]))
        word = "deleted" if direction == "deletion" else "restored"
        caption = (
            f"{method}, {target}: {100 * fraction:.0f} % of the brain {word}, p = {probability:.2f}"
        )
        if self._looking is not None:
            self._looking.forget()
        self._looking = engine().submit(
            lambda: tests.picture(method, target, direction, fraction), "Picture"
        )
        self._looking.succeeded.connect(lambda grey: self.pictured.emit(grey, caption))
        self._looking.failed.connect(self._on_look_failed)
