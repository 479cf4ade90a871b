"""One run of a comparison: from the click to maps, which are handed over as they come."""

from __future__ import annotations

import time

from psygnal import Signal

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.progress import Progress
from napari_gliocam.ui.compare.work import Comparing, Place
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.jobs.work import Ready
from napari_gliocam.ui.model.state import Message, OpenCase, State
from napari_gliocam.wording import counted, duration

#: Work that takes longer is announced before most of it has gone by.
_LONG_SECONDS = 30.0
#: Maps are shown together that come within so many seconds: laying out takes time.
_PAUSE = 1.0


class CompareRun:
    """Runs methods on one case at a time; Cancel and failures keep what there is.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    jobs : Jobs
        Those of the dock.
    """

    #: `Progress`, `Place` and the seconds left; None for each at the end.
    progressed = Signal(object, object, object)
    ended = Signal()
    said = Signal(object)
    #: OpenCase, `Comparing` and the maps that are new.
    brought = Signal(object, object, object)

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs
        self._ready: Ready | None = None
        self._comparing: Comparing | None = None
        self.opened: OpenCase | None = None
        self._taken, self._looked = 0, 0.0
        self._announced: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether methods run, or are about to stop."""
        return self._jobs.running("compare") is not None

    def get_ready(self, opened: OpenCase | None) -> None:
        """Prepare a case while nobody waits for it: the first picture then comes at once."""
        if opened is None or not opened.case.volumes or self.busy:
            return
        ready = self._ready_for(opened)
        if ready.prepared is not None:
            return
        preparing = self._jobs.running("prepare")
        if preparing is None or preparing.name != ready.name:  # a run says what is wrong
            self._jobs.run("prepare", ready.getting, name=ready.name, torch=True, quiet=True)

    def _ready_for(self, opened: OpenCase) -> Ready:
        state = self._state
        self._ready = Ready.again(self._ready, opened.case, state.bundle_path, state.device)
        return self._ready

    def start(self, opened: OpenCase, request: CompareRequest) -> Job | None:
        """Run methods on a case; None while a run is under way."""
        if self.busy:
            return None
        own = opened.networks.result
        found = own.maps if own is not None and own.case is opened.case else None
        comparing = Comparing(self._ready_for(opened), request, found)
        job = self._jobs.run(
            "compare",
            comparing.run,
            self._on_finished,
            name="Compare CAMs",
            torch=True,
            shown=self._show,
            cancelled=self._on_cancelled,
        )
        self._comparing, self.opened = comparing, opened
        self._taken, self._looked = 0, time.monotonic()
        self._announced.clear()
        self.said.emit(None)
        return job

    def leave(self) -> None:
        """Stop a run on a case that is not in work any more; its maps are not shown."""
        assert self.opened is not None
        name = self.opened.case.name
        self._jobs.drop("compare")
        self._say(f"The comparison of {name} was stopped: another case is in work.")

    def _take(self) -> None:
        """Hand over the maps that have come since the last look."""
        comparing = self._comparing
        assert comparing is not None
        fresh = comparing.maps[self._taken :]
        self._taken += len(fresh)
        if fresh:
            self.brought.emit(self.opened, comparing, fresh)
        self._looked = time.monotonic()

    def _say(self, text: str) -> None:
        self.said.emit(Message(text))

    def _show(self, progress: Progress | None) -> None:
        """Show progress, and at the end what has come by then, also of a run that failed."""
        comparing = self._comparing
        if comparing is None:
            self.progressed.emit(progress, None, None)
            return
        if progress is None:
            self._take()
            self._comparing = self.opened = None
            self.progressed.emit(None, None, None)
            self.ended.emit()
            return
        if time.monotonic() - self._looked > _PAUSE:
            self._take()
        left, place = comparing.seconds_left, comparing.place(progress)
        self.progressed.emit(progress, place, left)
        self._warn(progress.what, place, left)

    def _warn(self, method: str, place: Place | None, left: float | None) -> None:
        """Say how long it takes, measured on a whole slice, before the others are begun."""
        if method in self._announced or place is None or left is None or place.slice == 1:
            return
        self._announced.add(method)
        if left > _LONG_SECONDS:
            self._say(
                f"{method} takes about {duration(left)} for "
                f"{counted(place.slices - 1, 'more slice')}, measured on the first; Cancel stops "
                "it and keeps what there is."
            )

    def _on_finished(self, result: object) -> None:
        if not self._taken:
            self._say("No slice that was asked for shows brain and the class; choose other slices.")

    def _on_cancelled(self) -> None:
        kept = "what was done by then is shown" if self._taken else "nothing changed"
        self._say(f"The comparison was cancelled; {kept}.")
