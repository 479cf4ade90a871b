"""Keeps strokes and settings of the case in work on disk, and offers them after a crash."""

from __future__ import annotations

from contextlib import suppress

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.unsaved import UnsavedWork, find_work, forget_work, keep_work
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.plugin import preference
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.session import CaseRun

#: Work is written when nothing was changed for so long.
REST_MS = 1000


class UnsavedRun(CaseRun):
    """Follows the case in work."""

    def __init__(self, state: State, layers: CaseLayers, jobs: Jobs) -> None:
        super().__init__(state, layers, jobs)
        self._rest = jobs.timer(REST_MS, self._keep)
        self._opened: OpenCase | None = None
        self._following = Connections()
        self._current = Connections((state.events.current, self._follow))
        self._follow(state.current)

    def close(self) -> None:
        """Follow no case any more."""
        self._current.close()
        self._following.close()

    def _follow(self, opened: OpenCase | None) -> None:
        if self._rest.isActive():
            self._rest.stop()
            self._keep()
        self._following.close()
        self._opened = opened
        if opened is None:
            return
        events = opened.events
        self._following = Connections(
            (events.settings, self._changed),
            (events.refinement, self._changed),
            (events.revision, self._changed),
        )
        if opened.result is None:
            case = opened.case

            def found(work: UnsavedWork | None) -> None:
                if opened.result is None:
                    opened.unsaved = work

            self._jobs.run("look for unsaved work", lambda: find_work(case), found, quiet=True)

    def _changed(self, value: object = None) -> None:
        self._rest.start()

    def _keep(self) -> None:
        """Write what was made by hand and is not saved; remove what was kept where nothing is."""
        opened = self._opened
        result = None if opened is None else opened.result
        if opened is None or result is None or opened.waiting_strokes is not None:
            return
        if (
            not opened.unsaved_strokes
            and opened.settings == opened.usual
            and opened.refinement == preference.get_defaults().wanted
        ):
            if opened.unsaved is None:  # else it is still offered to be restored
                self.forget(opened)
            return
        case, settings, refinement = opened.case, opened.settings, opened.refinement
        strokes = result.painted.strokes_copy()

        def keeping() -> None:
            with suppress(GliocamError):  # a full disk must not disturb the work itself
                keep_work(case, settings, refinement, strokes)

        self._jobs.run(("keep work", id(opened)), keeping, quiet=True)

    def forget(self, opened: OpenCase) -> None:
        """Remove what was kept of a case: it was saved, or closed on purpose."""
        self._rest.stop()
        opened.unsaved = None
        case = opened.case
        self._jobs.run(("keep work", id(opened)), lambda: forget_work(case), quiet=True)

    def restore(self, opened: OpenCase) -> None:
        """Take what was kept: settings now, strokes over the next result or the one there is."""
        work, opened.unsaved = opened.unsaved, None
        if work is None:
            return
        opened.settings = work.settings
        opened.choose(work.refinement)
        opened.waiting_strokes = work.strokes
