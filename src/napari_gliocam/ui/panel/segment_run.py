"""One run of Segment in a viewer: from the click to maps and labels in the layers."""

from __future__ import annotations

from collections.abc import Callable, Generator

from psygnal import Signal

from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job, engine
from napari_gliocam.ui.jobs.tasks import begin_task
from napari_gliocam.ui.jobs.turns import Turns
from napari_gliocam.ui.model.result import Result
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.layers import CaseLayers


class SegmentRun:
    """Runs Segment on one case at a time; a failure or Cancel leaves the layers as they are.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    layers : CaseLayers
        The layers of the viewer's cases.
    ingredients : Ingredients
        Shared with the refinement of the same panel.
    turns : Turns
        Adds the layers of the result one after the other.
    """

    finished = Signal(OpenCase)

    def __init__(
        self, state: State, layers: CaseLayers, ingredients: work.Ingredients, turns: Turns
    ) -> None:
        self._state = state
        self._layers = layers
        self._ingredients = ingredients
        self._turns = turns
        self._job: Job | None = None
        self._end_task: Callable[[], None] | None = None
        self._opened: OpenCase | None = None
        self._case: Case | None = None
        self._usual = Thresholds()

    @property
    def busy(self) -> bool:
        """Whether Segment runs, or is about to stop."""
        return self._job is not None

    def start(self, opened: OpenCase) -> Job | None:
        """Run the networks on a case; None while another run is under way."""
        if self.busy:
            return None
        case, request = opened.case, self._state.request_for(opened)
        kept, usual = self._ingredients, self._state.usual
        settings = opened.thresholds_for(usual)

        def segmenting() -> Generator[Progress, None, tuple[work.SegmentOutcome, Result]]:
            segmented = yield from work.segment(case, request, kept)
            return segmented, _cut(segmented, case, settings, request.refinement)

        job = engine().submit(segmenting, "Segment")
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_segmented)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._job, self._opened, self._case, self._usual = job, opened, case, usual
        self._end_task = begin_task(self._layers.viewer, "Segment is under way", job.cancel)
        self._state.message = None
        self._state.progress = None
        self._state.running = opened
        return job

    def cancel(self) -> None:
        """Stop at the next step."""
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """Stop, and report nothing any more."""
        if self._job is not None:
            self._job.forget()
        self._end()

    def _end(self) -> None:
        self._job = self._opened = self._case = None
        if self._end_task is not None:
            self._end_task()
            self._end_task = None
        self._state.running = None
        self._state.progress = None

    def _on_progress(self, progress: Progress) -> None:
        self._state.progress = progress

    def _on_failed(self, sentence: str) -> None:
        self._end()
        self._state.say(sentence, "error")

    def _on_cancelled(self) -> None:
        self._end()
        self._state.say("Segment was cancelled; nothing changed.")

    def _on_segmented(self, found: tuple[work.SegmentOutcome, Result]) -> None:
        opened, case = self._opened, self._case
        segmented, cut = found
        self._end()
        if opened is None or case is None or opened not in self._layers.open_cases():
            return  # the case left the viewer meanwhile
        opened.follow(self._usual)
        opened.take(case, segmented.maps, segmented.refined, cut)
        self._turns.run(self._layers.showing_result(opened))
        self.finished.emit(opened)
        if segmented.failure:
            self._state.say(f"The result is not refined. {segmented.failure}", "warning")


def _cut(
    segmented: work.SegmentOutcome, case: Case, settings: Thresholds, refinement: Refinement
) -> Result:
    """Cut the maps and count voxels, which would hold up the window's thread."""
    cut = Result.of(case, segmented.maps, settings, refinement)
    if segmented.refined is not None:
        cut.take(segmented.refined)
    cut.count(None if case.expert is None else case.expert.labels)
    return cut
