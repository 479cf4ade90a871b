"""One run of a comparison: from the click to maps, which are handed over as they come."""

from __future__ import annotations

import time

from psygnal import Signal

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.progress import Progress
from napari_gliocam.ui.compare.work import Comparing, Place, Ready
from napari_gliocam.ui.jobs.engine import Job, engine
from napari_gliocam.ui.model.state import Level, Message, OpenCase, State
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
    """

    running = Signal(bool)
    progressed = Signal(object, object, object)
    said = Signal(object)
    #: OpenCase, `Comparing` and the maps that are new.
    brought = Signal(object, object, object)

    def __init__(self, state: State) -> None:
        self._state = state
        self._ready: Ready | None = None
        self._preparing: Job | None = None
        self._comparing: Comparing | None = None
        self._opened: OpenCase | None = None
        self._job: Job | None = None
        self._taken, self._looked = 0, 0.0
        self._announced: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether methods run, or are about to stop."""
        return self._job is not None

    def close(self) -> None:
        """Stop, and report nothing any more."""
        for job in (self._job, self._preparing):
            if job is not None:
                job.forget()
        self._job = self._preparing = self._comparing = self._opened = None

    def get_ready(self, opened: OpenCase | None) -> None:
        """Prepare a case while nobody waits for it: the first picture then comes at once."""
        if opened is None or not opened.case.volumes or self.busy:
            return
        ready = self._ready_for(opened)
        if ready.prepared is not None:
            return
        if self._preparing is not None and not self._preparing.ended:
            if self._preparing.name == ready.name:
                return
            self._preparing.forget()
        self._preparing = engine().submit(ready.getting, ready.name)  # a run says what is wrong

    def _ready_for(self, opened: OpenCase) -> Ready:
        bundle = None if self._state.bundle is None else self._state.bundle.path
        ready = Ready(opened.case, bundle, self._state.device)
        if self._ready is None or self._ready.key != ready.key:
            self._ready = ready
        return self._ready

    def start(self, opened: OpenCase, request: CompareRequest) -> Job | None:
        """Run methods on a case; None while a run is under way."""
        if self.busy:
            return None
        own = opened.networks.result
        found = own.maps if own is not None and own.case is opened.case else None
        comparing = Comparing(self._ready_for(opened), request, found)
        job = engine().submit(comparing.run, "Compare CAMs")
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._job, self._comparing, self._opened = job, comparing, opened
        self._taken, self._looked = 0, time.monotonic()
        self._announced.clear()
        self.said.emit(None)
        self.running.emit(True)
        return job

    def cancel(self) -> None:
        """Stop at the next step; what there is by then is kept."""
        if self._job is not None:
            self._job.cancel()

    def _take(self) -> None:
        """Hand over the maps that have come since the last look."""
        comparing = self._comparing
        assert comparing is not None
        fresh = comparing.maps[self._taken :]
        self._taken += len(fresh)
        if fresh:
            self.brought.emit(self._opened, comparing, fresh)
        self._looked = time.monotonic()

    def _end(self) -> int:
        """End the run; return how many methods it brought."""
        self._take()
        made, self._job = self._taken, None
        self._comparing = self._opened = None
        self.running.emit(False)
        return made

    def _say(self, text: str, level: Level = "info") -> None:
        self.said.emit(Message(text, level))

    def _on_progress(self, progress: Progress) -> None:
        comparing = self._comparing
        if comparing is None:
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
        if not self._end():
            self._say("No slice that was asked for shows brain and the class; choose other slices.")

    def _on_failed(self, sentence: str) -> None:
        self._end()
        self._say(sentence, "error")

    def _on_cancelled(self) -> None:
        kept = "what was done by then is shown" if self._end() else "nothing changed"
        self._say(f"The comparison was cancelled; {kept}.")
