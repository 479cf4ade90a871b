"""A comparison on the engine's thread: methods one after the other, kept as they come."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.volume import Target
from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.slices import SliceFrame
from napari_gliocam.ui import work
from napari_gliocam.ui.two_llvms import keep_triton_out


@dataclass(frozen=True)
class MethodInfo:
    """A method as a list shows it.

    Parameters
    ----------
    name, title : str
        As typed and as read.
    tip : str
        What it does, in one sentence.
    slow : bool
        Whether it takes seconds a slice.
    """

    name: str
    title: str
    tip: str
    slow: bool


@dataclass(frozen=True)
class Request:
    """What one comparison is asked for.

    Parameters
    ----------
    methods : tuple of str
        Names of the registry.
    targets : tuple of Target
    layer : int
        Residual stage, or exit, that is explained.
    scope : "case", "lesion" or int
        An int is a slice of the case.
    """

    methods: tuple[str, ...]
    targets: tuple[Target, ...]
    layer: int = 4
    scope: Literal["case", "lesion"] | int = "lesion"


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
        Slices that were asked for, and those of them that have a map.
    complete : bool
        False where the work was stopped before its end.
    frame : SliceFrame
        Where the slices that were asked for lie.
    provenance : mapping
    """

    method: str
    target: Target
    volume: NDArray[np.float32]
    asked: NDArray[np.bool_]
    made: NDArray[np.bool_]
    complete: bool
    frame: SliceFrame
    provenance: Any

    @property
    def key(self) -> tuple[str, Target]:
        """What tells it from the other cells of a comparison."""
        return self.method, self.target


def methods() -> tuple[MethodInfo, ...]:
    """Every method of the registry, in its order."""
    keep_triton_out()
    from napari_gliocam.cams.registry import METHODS

    return tuple(
        MethodInfo(m.name, m.title, (m.__doc__ or "").partition("\n")[0], m.unit is not None)
        for m in METHODS.values()
    )


class Comparing:
    """The work of one comparison; its cells are there as soon as each is made.

    Parameters
    ----------
    case : Case
    bundle : Path or None
    device : str
    request : Request
    prepared : Prepared, optional
        Of the run before; used again where case, bundle and device are the same.

    Attributes
    ----------
    cells : list of Cell
        Only grows; holds what is finished, and after Cancel what was under way.
    unit : str
        What the progress of the present method counts.
    seconds_left : float or None
        Expected of the present method.
    """

    def __init__(
        self, case: Case, bundle: Path | None, device: str, request: Request, prepared: Any = None
    ) -> None:
        self.case = case
        self.request = request
        self.cells: list[Cell] = []
        self.prepared = prepared
        self._bundle = bundle
        self._device = device
        self._work: Any = None

    @property
    def unit(self) -> str:
        """What the present progress counts."""
        return "slice" if self._work is None or self._work.method.unit is None else "channel"

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
        keep_triton_out()
        yield Progress(0, 1, "loading the bundle")
        from napari_gliocam.cams.explain import Explaining
        from napari_gliocam.cams.prepare import asking, preparing
        from napari_gliocam.cams.site import Site
        from napari_gliocam.device import choose_device

        bundle, device = work.loaded(self._bundle), choose_device(self._device)
        known = self.prepared
        if known is None or (known.case, known.bundle, known.device) != (self.case, bundle, device):
            known = yield from preparing(self.case, bundle, self._device)
        self.prepared = known
        request = self.request
        made = [
            Explaining(known, name, request.targets, site=Site(request.layer), scope=request.scope)
            for name in request.methods
        ]
        if request.scope == "lesion":
            self.prepared = yield from asking(known)
        for one in made:
            one.prepared = self.prepared
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
        result = one.result
        if result is None:
            return
        name = one.method.title + (f" {one.site.layer}" if one.method.layered else "")
        asked = np.zeros(self.case.grid.shape[0], dtype=np.bool_)
        asked[list(result.frame.indices)] = True
        for target in result.targets:
            begun = result.finished | result.raw[target].any(axis=(1, 2))
            made = np.zeros_like(asked)
            made[list(result.frame.indices)] = begun
            if result.finished.all() or begun.any():
                self.cells.append(
                    Cell(
                        name,
                        target,
                        result.volume(target),
                        asked,
                        made,
                        bool(result.finished.all()),
                        result.frame,
                        result.provenance,
                    )
                )
