"""A comparison on the engine's thread: methods one after the other, kept as they come."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.slices import SliceFrame
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.triton_guard import keep_triton_out


@dataclass(frozen=True)
class Request:
    """What one comparison is asked for.

    Parameters
    ----------
    methods : tuple of str
        Names for `napari_gliocam.cams.methods.registry.make_method`.
    targets : tuple of Target
    layers : tuple of int
        Residual stages, or exits, that are explained; methods without a layer run once.
    score : int, "mean" or None
        The logit that is explained, see `ExplainedLayer`.
    scope : "case", "lesion" or int
        An int is a slice of the case.
    gate : bool
        Whether slices on which the networks deny the class are 0.
    """

    methods: tuple[str, ...]
    targets: tuple[Target, ...]
    layers: tuple[int, ...] = (4,)
    score: int | Literal["mean"] | None = None
    scope: Literal["case", "lesion"] | int = "lesion"
    gate: bool = True


@dataclass(frozen=True, eq=False)
class Cell:
    """The map of one method and class.

    Parameters
    ----------
    method : str
        As read, such as ``"GradCAM 4"``.
    target : Target
    volume : ndarray of float32, (S, P, L)
        In [0, 1].
    asked, made : ndarray of bool, (S,)
        Slices that the map was to speak for, and those of them that it speaks for.
    complete : bool
        False where the work was stopped before its end.
    frame : SliceFrame
        Where the slices lie that the networks saw.
    provenance : mapping
    is_mask : bool
        Whether it is 0 or 1 everywhere, so that there is nothing to cut.
    """

    method: str
    target: Target
    volume: NDArray[np.float32]
    asked: NDArray[np.bool_]
    made: NDArray[np.bool_]
    complete: bool
    frame: SliceFrame
    provenance: Any
    is_mask: bool = False

    @property
    def key(self) -> tuple[str, Target]:
        """What tells it from the other cells of a comparison."""
        return self.method, self.target


@dataclass(frozen=True)
class Place:
    """Where long work is.

    Parameters
    ----------
    slice, slices : int
        The slice under way, from 1, and how many there are.
    channel, channels : int
        Channels scored on that slice, and how many there are.
    """

    slice: int
    slices: int
    channel: int
    channels: int


class Ready:
    """A case made ready for the networks; made once, used by every run on the same case.

    Parameters
    ----------
    case : Case
    bundle : Path or None
    device : str
    """

    def __init__(self, case: Case, bundle: Path | None, device: str) -> None:
        self.key = (case, bundle, device)
        self.name = f"Preparing {case.name}"
        self.prepared: Any = None

    def getting(self) -> Generator[Progress, None, Any]:
        """Load the bundle and cut the case into slices, unless both is done."""
        keep_triton_out()
        yield Progress(0, 1, "loading the bundle")
        from napari_gliocam.cams.run.prepare import preparing

        case, path, device = self.key
        bundle = work.loaded(path)
        if self.prepared is None or self.prepared.bundle is not bundle:
            self.prepared = yield from preparing(case, bundle, device)
        return self.prepared


class Comparing:
    """The work of one comparison; its cells are there as soon as each is made.

    Parameters
    ----------
    ready : Ready
    request : Request
    maps : ClassMaps, optional
        What Segment found on the same case; the networks need not be asked again.

    Attributes
    ----------
    cells : list of Cell
        Only grows; holds what is finished, and after Cancel what was under way.
    keys : list of (str, Target)
        What they will be, in order; empty until that is known.
    """

    def __init__(self, ready: Ready, request: Request, maps: ClassMaps | None = None) -> None:
        self.ready = ready
        self.request = request
        self.cells: list[Cell] = []
        self.keys: list[tuple[str, Target]] = []
        self._maps = maps
        self._work: Any = None

    def place(self, progress: Progress) -> Place | None:
        """Slice and channel of the method under way, None where it takes slices in batches."""
        made = self._work
        if made is None or made.method.unit is None or not made.slices or progress.total <= 1:
            return None
        channels = progress.total // made.slices
        slice_ = min(progress.done // channels, made.slices - 1)
        return Place(slice_ + 1, made.slices, progress.done - slice_ * channels, channels)

    @property
    def seconds_left(self) -> float | None:
        """Expected of the present method; None before its first step."""
        left: float | None = None if self._work is None else self._work.seconds_left
        return left

    def run(self) -> Generator[Progress, None, None]:
        """Do it; can be closed at any yield.

        Raises
        ------
        GliocamError
            For a wrong setting, before the first method runs.
        """
        known = yield from self.ready.getting()
        from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
        from napari_gliocam.cams.methods.registry import make_method
        from napari_gliocam.cams.run.explain import Explaining
        from napari_gliocam.cams.run.prepare import asking, with_probabilities

        request = self.request
        if self._maps is not None:
            known = with_probabilities(known, self._maps)
        methods = [make_method(name) for name in request.methods]
        works = [
            Explaining(
                known,
                m,
                request.targets,
                explained=explained,
                scope=request.scope,
                gate=request.gate,
            )
            for m in methods
            for explained in (
                [ExplainedLayer(layer, request.score) for layer in request.layers]
                if m.layered
                else [ExplainedLayer()]
            )
        ]
        self.keys = [(one.name, target) for one in works for target in one.targets]
        if request.scope == "lesion":
            known = yield from asking(known)
        self.ready.prepared = known
        for one in works:
            one.prepared = known
            self._work = one
            try:
                yield from one.run()
            except GeneratorExit:
                self._keep(one)
                raise
            self._keep(one)
        self._work = None

    def _keep(self, one: Any) -> None:
        """Take what a method has by now."""
        maps = one.so_far()
        if maps is None or not len(one.raw.frame) or not maps.spoken_slices.any():
            return
        for target in maps.targets:
            self.cells.append(
                Cell(
                    *(maps.name, target, maps.of(target), maps.asked_slices, maps.spoken_slices),
                    *(maps.complete, one.raw.frame, maps.provenance),
                )
            )
