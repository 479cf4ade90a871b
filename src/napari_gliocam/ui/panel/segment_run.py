"""One run of Segment in a viewer: from the click to maps and labels in the layers."""

from __future__ import annotations

from psygnal import Signal

from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.settings import Settings
from napari_gliocam.ui import work
from napari_gliocam.ui.engine import Job, engine
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.state import Record, State


class SegmentRun:
    """Runs Segment on one case at a time; a failure or Cancel leaves the layers as they are.

    Parameters
    ----------
    state : State
    desk : LayerDesk
    ingredients : Ingredients
        Shared with the refinement of the same panel.
    """

    finished = Signal(Record)

    def __init__(self, state: State, desk: LayerDesk, ingredients: work.Ingredients) -> None:
        self._state = state
        self._desk = desk
        self._ingredients = ingredients
        self._job: Job | None = None
        self._record: Record | None = None
        self._case: Case | None = None

    @property
    def busy(self) -> bool:
        """Whether Segment runs, or is about to stop."""
        return self._job is not None

    def start(self, record: Record) -> Job | None:
        """Run the networks on a case; None while another run is under way."""
        if self.busy:
            return None
        bundle = None if self._state.bundle is None else self._state.bundle.path
        case, device = record.case, self._state.device
        settings, refinement = _own(record), record.refined.wanted
        kept = self._ingredients
        job = engine().submit(
            lambda: work.segment_and_refine(case, bundle, device, settings, refinement, kept),
            "Segment",
        )
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_segmented)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._job, self._record, self._case = job, record, case
        self._state.message = None
        self._state.progress = None
        self._state.running = record
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
        self._job = self._record = self._case = None
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

    def _on_segmented(self, segmented: work.Segmented) -> None:
        record, case = self._record, self._case
        self._end()
        if record is None or case is None or record not in self._desk.records():
            return  # the case left the viewer meanwhile
        record.settings, record.networks = _own(record), None
        record.segmented = case
        record.start(segmented.maps)
        if segmented.refined is not None:
            record.refined.take(segmented.refined)
        self._desk.show_result(record)
        record.count()
        self.finished.emit(record)
        if segmented.failure:
            self._state.say(f"The result is not refined. {segmented.failure}", "warning")


def _own(record: Record) -> Settings:
    """The thresholds of the networks' maps, also where a comparison set those of a method."""
    return record.settings if record.networks is None else record.networks.settings
