"""Refinement in a viewer: the whole case on demand, the slice in view while choices change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QObject

from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job, engine, files
from napari_gliocam.ui.jobs.latest import rest_timer
from napari_gliocam.ui.jobs.tasks import begin_task
from napari_gliocam.ui.model.result import Change, Result, measuring_change, title_of
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.panel.cluster_overlay import ClusterOverlay
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.navigate import part_in_view

#: A preview is made when nothing was changed for so long.
PAUSE_MS = 150
#: A case that was refined once is refined anew when nothing was changed for so long.
REST_MS = 600


class RefineRun:
    """Refines one case at a time; a failure or Cancel leaves the layers as they are.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    layers : CaseLayers
        The layers of the viewer's cases.
    parent : QObject
        The panel; the timer dies with it.
    ingredients : Ingredients
        Shared with Segment, which refines as well.
    """

    def __init__(
        self, state: State, layers: CaseLayers, parent: QObject, ingredients: work.Ingredients
    ) -> None:
        self._state = state
        self._layers = layers
        self._ingredients = ingredients
        self.overlay = ClusterOverlay(state, layers, self._ingredients)
        self._applying: Job | None = None
        self._end_task: Callable[[], None] | None = None
        self._following = False
        self._previewing: Job | None = None
        self._measuring: Job | None = None
        self._pause = rest_timer(parent, PAUSE_MS, self._preview)
        self._rest = rest_timer(parent, REST_MS, self._follow)

    @property
    def busy(self) -> bool:
        """Whether a case is being refined, or that is about to stop."""
        return self._applying is not None

    def choose(self, opened: OpenCase, refinement: Refinement) -> None:
        """Take a choice: at once where nothing has to run, else as a preview."""
        if refinement != opened.refinement:
            opened.choose(refinement)
            self.show(opened)
            self.changed()

    def show(self, opened: OpenCase) -> None:
        """Bring the layer and the volumes up to date."""
        if opened.result is not None:
            if self._layers.result(opened) is not None:
                self._layers.show_labels(opened)
            opened.count()

    def changed(self) -> None:
        """Thresholds or parameters moved: preview, then follow, when they have come to rest."""
        if self._following and self._applying is not None:
            self._applying.forget()
            self._end()
        self.look()
        self._rest.start()

    # ---- the slice in view

    def look(self) -> None:
        """Another slice or other labels came into view: preview it when that is at rest."""
        self._drop_preview()
        self._pause.start()

    def _drop_preview(self) -> None:
        if self._previewing is not None:
            self._previewing.forget()
            self._previewing = None

    def _preview(self) -> None:
        opened = self._state.current
        if opened is not None:
            part = part_in_view(self._layers.viewer, opened.case.grid)
            if part is not None and len(part) == 1:
                self.overlay.draw(opened, part[0].start)
        result = None if opened is None else opened.result
        if opened is None or result is None:
            return
        if not opened.refinement.changes_something or result.current is not None:
            return
        if opened.refinement.method == "none":
            self.apply(opened)  # components take no longer than a preview, and need the case
            return
        part = part_in_view(self._layers.viewer, opened.case.grid)
        if part is None or len(part) != 1:
            return
        index, known = part[0].start, result.previewed
        if known is not None and index in known.slices:
            return
        job = self._submit(opened, "The preview", [index], urgent=True)
        job.succeeded.connect(lambda made: self._on_preview(opened, made, index))
        job.failed.connect(self._on_preview_failed)
        self._previewing = job

    def _on_preview(self, opened: OpenCase, made: Segmentation, index: int) -> None:
        self._previewing = None
        result = opened.result
        if result is None or result.current is not None or made.maps is not result.maps:
            return
        asked = result.thresholded.settings, result.refinement
        if asked == (made.settings, made.refinement):
            result.take_slice(made, index)
            self.show(opened)

    def _on_preview_failed(self, sentence: str) -> None:
        self._previewing = None
        self._state.say(sentence, "error")

    # ---- the whole case

    def _follow(self) -> None:
        """Refine anew what was refined before: a case keeps what was once applied to it."""
        opened = self._state.current
        result = None if opened is None else opened.result
        if opened is not None and result is not None and result.refined is not None:
            self._following = not self._state.running and self._start(opened) is not None

    def apply(self, opened: OpenCase) -> Job | None:
        """Refine the whole case; None where there is nothing to do, or something else is done."""
        if self._following and self._applying is not None and self._state.refining is opened:
            self._following = False
            return self._applying
        job = self._start(opened)
        if job is not None:
            self._state.message = None
        return job

    def _start(self, opened: OpenCase) -> Job | None:
        result = opened.result
        if self.busy or result is None or result.current is not None:
            return None
        if not opened.refinement.changes_something:
            return None
        self._rest.stop()
        name = title_of(opened.refinement)
        job = self._submit(opened, name[:1].upper() + name[1:], None)
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(lambda made: self._on_applied(opened, made))
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._applying = job
        self._end_task = begin_task(self._layers.viewer, "A refinement is under way", job.cancel)
        self._state.refining_progress = None
        self._state.refining = opened
        return job

    def _submit(
        self, opened: OpenCase, name: str, slices: list[int] | None, *, urgent: bool = False
    ) -> Job:
        assert opened.result is not None
        cut, case = opened.result.thresholded.segmentation(), opened.result.case
        wanted, device, kept = opened.refinement, self._state.device, self._ingredients
        return engine().submit(
            lambda: work.refine(cut, case, wanted, device, slices=slices, ingredients=kept),
            name,
            urgent=urgent,
        )

    def cancel(self) -> None:
        """Stop at the next step."""
        if self._applying is not None:
            self._applying.cancel()

    def close(self) -> None:
        """Stop, and report nothing any more; the timer may be gone already."""
        with suppress(RuntimeError):
            self._pause.stop()
            self._rest.stop()
        self._drop_preview()
        for job in (self._applying, self._measuring):
            if job is not None:
                job.forget()
        self._measuring = None
        self.overlay.close()
        self._end()

    def _end(self) -> None:
        self._applying, self._following = None, False
        if self._end_task is not None:
            self._end_task()
            self._end_task = None
        self._state.refining = None
        self._state.refining_progress = None

    def _on_progress(self, progress: Progress) -> None:
        self._state.refining_progress = progress

    def _on_failed(self, sentence: str) -> None:
        self._end()
        self._state.say(sentence, "error")

    def _on_cancelled(self) -> None:
        self._end()
        self._state.say("The refinement was cancelled; nothing changed.")

    def _on_applied(self, opened: OpenCase, made: Segmentation) -> None:
        result, following = opened.result, self._following
        self._end()
        gone = opened not in self._layers.open_cases()
        if gone or result is None or made.maps is not result.maps:
            return  # the case left the viewer, or was segmented again
        flipped = following and result.flipped
        result.take(made)
        result.flipped = flipped
        self.show(opened)
        self.measure(opened)
        self.changed()  # thresholds may have moved meanwhile

    # ---- what it changed

    def measure(self, opened: OpenCase) -> None:
        """Compare before and after with the expert labels, where there are some."""
        result, case = opened.result, opened.case
        if result is None or case.expert is None:
            return
        made, change = result.refined, result.change
        if made is None or change is None:
            return
        if self._measuring is not None:
            self._measuring.forget()
        job = files().submit(lambda: measuring_change(made, change, case), "Comparing")
        job.succeeded.connect(_taker(result, made))
        job.failed.connect(lambda sentence: self._state.say(sentence, "error"))
        self._measuring = job


def _taker(result: Result, made: Segmentation) -> Callable[[Change], None]:
    """Take the figures, unless another result came meanwhile."""

    def take(change: Change) -> None:
        if result.refined is made:
            result.change = change

    return take
