"""One run of Segment, or of a saved result that goes on: from the click to labels in layers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

from psygnal import Signal

from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.trust.statement import outside_of_training
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.continuing import continuing
from napari_gliocam.ui.jobs.engine import Job, Work
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.result import Result
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.session import CaseRun


class SegmentRun(CaseRun):
    """Makes the result of one case at a time; a failure or Cancel leaves the layers as they are."""

    finished = Signal(OpenCase)

    def __init__(
        self, state: State, layers: CaseLayers, jobs: Jobs, ingredients: work.Ingredients
    ) -> None:
        super().__init__(state, layers, jobs)
        self._ingredients = ingredients

    def start(self, opened: OpenCase) -> Job | None:
        """Run the networks on a case; None while another run is under way."""
        case, request = opened.case, self._state.request_for(opened)
        kept, usual = self._ingredients, self._state.usual
        settings = opened.thresholds_for(usual)

        def segmenting() -> Generator[Progress, None, tuple[work.SegmentOutcome, Result]]:
            segmented = yield from work.segment(case, request, kept)
            return segmented, _cut(segmented, case, settings, request.refinement)

        done = partial(self._on_segmented, opened, case, usual)
        return self._run("Segment", opened, segmenting, done)

    def continue_from(self, opened: OpenCase, path: Path) -> Job | None:
        """Make a saved result that of a case, live; None while another run is under way."""
        case, request = opened.case, self._state.request_for(opened)
        return self._run(
            "Continue",
            opened,
            lambda: continuing(path, case, request, self._ingredients),
            partial(self._on_continued, opened),
        )

    def _run(
        self, name: str, opened: OpenCase, work: Work, done: Callable[..., None]
    ) -> Job | None:
        if self._jobs.running("segment"):
            return None
        job = self._jobs.run(
            "segment",
            work,
            done,
            name=name,
            torch=True,
            shown=self._show,
            cancelled=lambda: self._state.say(f"{name} was cancelled; nothing changed."),
            task=f"{name} is under way",
        )
        self._state.message = None
        self._state.running = opened
        return job

    def _show(self, progress: Progress | None) -> None:
        self._state.progress = progress
        if progress is None:
            self._state.running = None

    def _on_continued(self, opened: OpenCase, result: Result) -> None:
        if opened in self._layers.open_cases():
            opened.continue_with(result)
            self._layers.show_result(opened)
            self.finished.emit(opened)

    def _on_segmented(
        self,
        opened: OpenCase,
        case: Case,
        usual: Thresholds,
        found: tuple[work.SegmentOutcome, Result],
    ) -> None:
        segmented, cut = found
        if opened not in self._layers.open_cases():
            return  # the case left the viewer meanwhile
        opened.follow(usual)
        opened.take(case, segmented.maps, segmented.refined, cut)
        assert opened.result is not None
        opened.result.warnings = cut.warnings
        self._layers.show_result(opened)
        self.finished.emit(opened)


def _cut(
    segmented: work.SegmentOutcome, case: Case, settings: Thresholds, refinement: Refinement
) -> Result:
    """Cut the maps, count voxels and look for warnings, which would hold up the window's thread."""
    cut = Result.of(case, segmented.maps, settings, refinement)
    if segmented.refined is not None:
        cut.take(segmented.refined)
    cut.count(None if case.expert is None else case.expert.labels)
    failed = (f"The result is not refined. {segmented.failure}",) if segmented.failure else ()
    cut.warnings = (*failed, *outside_of_training(case, cut.segmentation))
    return cut
