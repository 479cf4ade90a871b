"""Refinement in a viewer: the whole case on demand, the slice in view while choices change."""

from __future__ import annotations

from functools import partial

from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job, Work
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.result import Change, measuring_change, title_of
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.panel.cluster_overlay import ClusterOverlay
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.navigate import part_in_view
from napari_gliocam.ui.viewer.session import CaseRun

#: A preview is made when nothing was changed for so long.
PAUSE_MS = 150
#: A case that was refined once is refined anew when nothing was changed for so long.
REST_MS = 600


class RefineRun(CaseRun):
    """Refines one case at a time; a failure or Cancel leaves the layers as they are."""

    def __init__(
        self, state: State, layers: CaseLayers, jobs: Jobs, ingredients: work.Ingredients
    ) -> None:
        super().__init__(state, layers, jobs)
        self._ingredients = ingredients
        self.overlay = ClusterOverlay(state, layers, jobs, ingredients)
        #: Whether the refinement under way, or the last one, was not asked for.
        self._following = False
        self._pause = jobs.timer(PAUSE_MS, self._preview)
        self._rest = jobs.timer(REST_MS, self._follow)

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
        """Preview, then follow, when thresholds or parameters have come to rest."""
        if self._following:
            self._jobs.drop("refine")
        self.look()
        self._rest.start()

    # ---- the slice in view

    def look(self) -> None:
        """Another slice or other labels came into view: preview it when that is at rest."""
        self._jobs.drop("preview")
        self._pause.start()

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
        if result.thresholded.pending:
            self._pause.start()  # else all slices are cut at once, which holds up the window
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
        self._jobs.run(
            "preview",
            self._refining(opened, [index]),
            partial(self._on_preview, opened, index),
            name="The preview",
            torch=True,
            urgent=True,
        )

    def _on_preview(self, opened: OpenCase, index: int, made: Segmentation) -> None:
        result = opened.result
        if result is None or result.current is not None or made.maps is not result.maps:
            return
        asked = result.thresholded.settings, result.refinement
        if asked == (made.settings, made.refinement):
            result.take_slice(made, index)
            self.show(opened)

    # ---- the whole case

    def _follow(self) -> None:
        """Refine anew what was refined before: a case keeps what was once applied to it."""
        opened = self._state.current
        result = None if opened is None else opened.result
        if opened is not None and result is not None and result.refined is not None:
            if result.thresholded.pending:
                self._rest.start()
                return
            self._following = not self._state.running and self._start(opened) is not None

    def apply(self, opened: OpenCase) -> Job | None:
        """Refine the whole case; None where there is nothing to do, or something else is done."""
        if self._following and self._state.refining is opened:
            self._following = False
            return self._jobs.running("refine")
        self._following = False
        job = self._start(opened)
        if job is not None:
            self._state.message = None
        return job

    def _start(self, opened: OpenCase) -> Job | None:
        result = opened.result
        if self._jobs.running("refine") or result is None or result.current is not None:
            return None
        if not opened.refinement.changes_something:
            return None
        self._rest.stop()
        name = title_of(opened.refinement)
        job = self._jobs.run(
            "refine",
            self._refining(opened, None),
            partial(self._on_applied, opened),
            name=name[:1].upper() + name[1:],
            torch=True,
            shown=self._show,
            cancelled=lambda: self._state.say("The refinement was cancelled; nothing changed."),
            task="A refinement is under way",
        )
        self._state.refining = opened
        return job

    def _refining(self, opened: OpenCase, slices: list[int] | None) -> Work:
        assert opened.result is not None
        cut, case = opened.result.thresholded.segmentation(), opened.result.case
        wanted, device, kept = opened.refinement, self._state.device, self._ingredients
        return partial(work.refine, cut, case, wanted, device, slices=slices, ingredients=kept)

    def _show(self, progress: Progress | None) -> None:
        self._state.refining_progress = progress
        if progress is None:
            self._state.refining = None

    def _on_applied(self, opened: OpenCase, made: Segmentation) -> None:
        result = opened.result
        gone = opened not in self._layers.open_cases()
        if gone or result is None or made.maps is not result.maps:
            return  # the case left the viewer, or was segmented again
        flipped = self._following and result.flipped
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

        def take(change: Change) -> None:
            if result.refined is made:  # no other result came meanwhile
                result.change = change

        self._jobs.run("comparing", lambda: measuring_change(made, change, case), take)
