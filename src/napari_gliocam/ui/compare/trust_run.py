"""Tests of the maps that a comparison shows: run, cancelled, looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target
from napari_gliocam.ui.compare.trust_work import Direction, MapTests, TrustRow
from napari_gliocam.ui.compare.work import Comparing
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs

if TYPE_CHECKING:  # it would load torch
    from napari_gliocam.trust.fills import Fill


class TrustRun:
    """Tests the maps of one comparison at a time; Cancel keeps what is there.

    Parameters
    ----------
    jobs : Jobs
        Those of the dock.
    """

    #: `Progress`; None at the end.
    progressed = Signal(object)
    #: Rows, and the slices that they are of in words.
    found = Signal(object, object)
    #: A grey picture and its caption.
    pictured = Signal(object, str)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._tests: MapTests | None = None
        self._under_way: MapTests | None = None  # written to by another thread
        self.rows: list[TrustRow] = []

    def clear(self) -> None:
        """Forget what was found: the comparison is another one."""
        self._tests, self._under_way, self.rows = None, None, []
        self._jobs.drop("test")
        self._jobs.drop("picture")
        self.found.emit([], "")

    def start(
        self,
        comparing: Comparing,
        maps: Sequence[ClassMaps],
        scope: str | int,
        fill: Fill = "mean",
    ) -> Job | None:
        """Test the maps on some slices, see `MapTests`; None while tests run."""
        if self._jobs.running("test"):
            return None
        tests = self._under_way = MapTests(comparing, maps, scope, fill)
        return self._jobs.run(
            "test", tests.run, name="Tests of the maps", torch=True, shown=self._show
        )

    def _show(self, progress: Progress | None) -> None:
        """Show what was found, at the end; tests that were stopped at once leave those before."""
        self.progressed.emit(progress)
        tests = self._under_way
        if progress is not None or tests is None:  # dropped, and may not have noticed yet
            return
        self._under_way = None
        if not tests.rows:
            return
        self._tests, self.rows, slices = tests, tests.rows, tests.slices
        one = f"Slice {slices[0]}. " if slices else ""
        words = f"Mean of {len(slices)} slices, {slices[0]} to {slices[-1]}. " if slices else ""
        self.found.emit(self.rows, one if len(slices) == 1 else words)

    def look(
        self,
        method: str,
        target: Target,
        direction: Direction,
        fraction: float,
        in_view: int | None = None,
    ) -> None:
        """Make the picture of a slice at a point of a curve.

        Parameters
        ----------
        method, target : str
            Names of the method and of the target.
        direction : {"deletion", "insertion"}
            Which curve.
        fraction : float
            Part of the brain that is changed, in [0, 1].
        in_view : int, optional
            The slice in view; the middle one of those that were tested, where it is none of them.
        """
        tests = self._tests
        if tests is None or self._jobs.running("test"):
            return
        (row,) = (r for r in self.rows if (r.method, r.target) == (method, target))
        slices = tests.slices
        index = in_view if in_view in slices else slices[len(slices) // 2]
        probability = float(np.interp(fraction, *row.lines[direction]))
        word = "deleted" if direction == "deletion" else "restored"
        mean = "mean " if len(slices) > 1 else ""
        caption = (
            f"{method}, {target}, slice {index}: {100 * fraction:.0f} % of the brain {word}, "
            f"{mean}p = {probability:.2f}"
        )
        self._jobs.run(
            "picture",
            lambda: tests.picture(method, target, direction, fraction, index),
            lambda grey: self.pictured.emit(grey, caption),
            torch=True,
        )
