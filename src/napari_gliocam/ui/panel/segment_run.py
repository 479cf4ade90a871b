"""One run of Segment in a viewer: from the click to maps and labels in the layers."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from psygnal import Signal

from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs
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
    jobs : Jobs
        Those of the panel.
    """

    finished = Signal(OpenCase)

    def __init__(
        self,
        state: State,
        layers: CaseLayers,
        ingredients: work.Ingredients,
        jobs: Jobs,
    ) -> None:
        self._state = state
        self._layers = layers
        self._ingredients = ingredients
        self._jobs = jobs

    def start(self, opened: OpenCase) -> Job | None:
        """Run the networks on a case; None while another run is under way."""
        if self._jobs.running("segment"):
            return None
        case, request = opened.case, self._state.request_for(opened)
        kept, usual = self._ingredients, self._state.usual
        settings = opened.thresholds_for(usual)

        def segmenting() -> Generator[Progress, None, tuple[work.SegmentOutcome, Result]]:
            segmented = yield from work.segment(case, request, kept)
            return segmented, _cut(segmented, case, settings, request.refinement)

        job = self._jobs.run(
            "segment",
            segmenting,
            partial(self._on_segmented, opened, case, usual),
            torch=True,
            progressed=self._on_progress,
            ended=self._on_ended,
            cancelled=self._on_cancelled,
            task="Segment is under way",
        )
        self._state.message = None
        self._state.progress = None
        self._state.running = opened
        return job

    def _on_ended(self) -> None:
        self._state.running = None
        self._state.progress = None

    def _on_progress(self, progress: Progress) -> None:
        self._state.progress = progress

    def _on_cancelled(self) -> None:
        self._state.say("Segment was cancelled; nothing changed.")

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
        self._layers.show_result(opened)
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
