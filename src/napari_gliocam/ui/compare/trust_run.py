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
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs


class TrustRun:
    """Tests one slice at a time; Cancel keeps what is there.

    Parameters
    ----------
    jobs : Jobs
        Those of the dock.
    """

    running = Signal(bool)
    progressed = Signal(object)
    #: Rows and the slice.
    found = Signal(object, object)
    #: A grey picture and its caption.
    pictured = Signal(object, str)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._tests: SliceTests | None = None

    def clear(self) -> None:
        """Forget what was found: the comparison is another one."""
        self._tests = None
        self._jobs.drop("test")
        self._jobs.drop("picture")
        self.found.emit([], None)

    def start(self, comparing: Comparing, maps: Sequence[ClassMaps], index: int) -> Job | None:
        """Test the maps on a slice; None while tests run."""
        if self._jobs.running("test"):
            return None
        tests = self._tests = SliceTests(comparing, maps, index)
        job = self._jobs.run(
            "test",
            tests.run,
            name="Test on this slice",
            torch=True,
            progressed=self._on_progress,
            ended=self._on_ended,
        )
        self.running.emit(True)
        return job

    def _on_ended(self) -> None:
        self.running.emit(False)
        if self._tests is not None:
            self.found.emit(self._tests.rows, self._tests.index)

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def look(self, method: str, target: Target, direction: Direction, fraction: float) -> None:
        """Make the picture of the slice at a point of a curve."""
        tests = self._tests
        if tests is None or self._jobs.running("test"):
            return
        (row,) = (r for r in tests.rows if (r.method, r.target) == (method, target))
        probability = float(np.interp(fraction, *row.lines[direction]))
        word = "deleted" if direction == "deletion" else "restored"
        caption = (
            f"{method}, {target}: {100 * fraction:.0f} % of the brain {word}, p = {probability:.2f}"
        )
        self._jobs.run(
            "picture",
            lambda: tests.picture(method, target, direction, fraction),
            lambda grey: self.pictured.emit(grey, caption),
            torch=True,
        )
