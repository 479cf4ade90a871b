"""Which sequence said so: for lesions on many slices, and for the slice of a voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_gliocam.measure.classes.voxel import VoxelReading
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.jobs.work import Ready
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.reading.work import Sharing

if TYPE_CHECKING:
    from napari_gliocam.trust.sequences import CaseSequences, Shares


class SequenceRun:
    """Shares out the classes of the networks' result; Cancel keeps the slices that are done.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    jobs : Jobs
        Those of the dock.
    """

    #: `Progress` of the lesions' shares; None at the end.
    progressed = Signal(object)
    #: The slice of a voxel is asked for, or done.
    slices_changed = Signal()

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs
        self._opened: OpenCase | None = None
        self._ready: Ready | None = None
        self._slices: dict[int, CaseSequences] = {}
        self._wanted: int | None = None
        self._under_way: Sharing | None = None  # written to by another thread

    def follow(self, opened: OpenCase | None) -> None:
        """Work on another case, or on other maps of the same."""
        self._opened = opened
        self._ready = self._wanted = self._under_way = None
        self._slices.clear()
        for name in ("sequences", "voxel"):
            self._jobs.drop(name)
        self.slices_changed.emit()

    @property
    def refusal(self) -> str:
        """Why the maps cannot be shared out, in a sentence; empty where they can."""
        own = None if self._opened is None else self._opened.networks.result
        if own is None or not own.maps.from_exits:
            return "Click Segment first; the shares are those of its maps."
        bundle, made_by = self._state.bundle, own.maps.provenance.get("bundle", {}).get("name")
        if bundle is not None and made_by not in (None, bundle.name):
            return f"These maps are of the bundle {made_by}; choose it, or click Segment again."
        return ""

    def _sharing(self, index: int | None = None) -> Sharing:
        opened = self._opened
        assert opened is not None
        own = opened.networks.result
        assert own is not None
        state = self._state
        self._ready = Ready.again(self._ready, own.case, state.bundle_path, state.device)
        return Sharing(self._ready, own.maps, index)

    def start(self) -> Job | None:
        """Share out the lesions, on slices at even distances; None where that cannot be."""
        opened = self._opened
        if opened is None or self.refusal:
            self._state.say(self.refusal)
            return None
        sharing = self._under_way = self._sharing()

        def show(progress: Progress | None) -> None:
            self.progressed.emit(progress)
            made = sharing.made
            ended = progress is None and sharing is self._under_way
            if ended and made is not None and not made.is_empty:
                opened.sequences = made

        def done(made: CaseSequences) -> None:
            if made.is_empty:
                self._state.say(f"The networks see {' or '.join(sharing.targets)} on no slice.")

        return self._jobs.run(
            "sequences", sharing.run, done, name="Sequences", torch=True, shown=show
        )

    # ---- the slice of a voxel

    def ask(self, voxel: VoxelReading) -> Job | None:
        """Share out the slice of a voxel, unless that is done; None where nothing is to be done."""
        index = voxel.voxel[0]
        if self.refusal or self.at(voxel) or index in (self._wanted, *self._slices):
            return None
        sharing = self._sharing(index)
        self._wanted = index

        def done(made: CaseSequences) -> None:
            self._slices[index] = made
            self.slices_changed.emit()

        def show(progress: Progress | None) -> None:
            if progress is None and self._wanted == index:
                self._wanted = None
            self.slices_changed.emit()

        return self._jobs.run(
            "voxel", sharing.run, done, name="Sequences", torch=True, urgent=True, shown=show
        )

    def at(self, voxel: VoxelReading | None) -> dict[Target, Shares]:
        """Return the contributions of the sequences at a voxel; empty where none are known."""
        if voxel is None or self._opened is None:
            return {}
        known = (self._opened.sequences, self._slices.get(voxel.voxel[0]))
        found = (one.at(voxel.voxel) for one in known if one is not None)
        return next(filter(None, found), {})

    def note(self, voxel: VoxelReading) -> str:
        """Return a sentence for a voxel without contributions."""
        index = voxel.voxel[0]
        if self.refusal or index in self._slices:
            return self.refusal or "The networks look at no brain here."
        if index == self._wanted:
            return f"Sequences on slice {index}: computing…"
        return "Click on a voxel to see which sequence said so."
