"""A method over the slices of a case: in one call, or as work that can be stopped."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.registry import SEGMENTER, make_method
from napari_gliocam.cams.run.prepare import Prepared, asking, check_targets, prepare
from napari_gliocam.case import Case
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps, Normalise
from napari_gliocam.maps.raw_maps import GATE, RawMaps
from napari_gliocam.progress import Progress, finish
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.compare.request import Scope
    from napari_gliocam.cams.run.batch import Batch
    from napari_gliocam.nets.bundle import Bundle


def explain(
    case: Case | Prepared,
    method: str | Method = "gradcam",
    targets: Target | Sequence[Target] = "tumour",
    *,
    bundle: Bundle | None = None,
    layer: int = 4,
    score: int | Literal["mean"] | None = None,
    scope: Scope = "case",
    normalise: Normalise | None = None,
    gate: bool = False,
    device: str = "auto",
) -> ClassMaps:
    """Explain a case by one method.

    Parameters
    ----------
    case : Case or Prepared
        Prepared once, a case need not be cut into slices for every method.
    method : str or Method
        A name in `napari_gliocam.cams.methods.registry.METHODS`, or a method with its own
        settings.
    targets : {"tumour", "core", "edema"} or several
        Targets to explain.
    bundle : Bundle, optional
        The one that ships with the package by default; a `Prepared` brings its own.
    layer, score
        See `ExplainedLayer`.
    scope : "case", "lesion", int or sequence of int
        Every slice with brain, those with lesion, or these slices of the case.
    normalise : {"slice", "volume", "none"}, optional
        Each slice by itself by default; maps that are probabilities are left as they are.
    gate : bool
        Whether slices on which the networks deny the class are 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs; the fastest there is by default.

    Returns
    -------
    ClassMaps
        ``explain(case).tumour`` is the map on the case's grid, in [0, 1]; its ``raw`` holds the
        maps at the layer's resolution.

    Raises
    ------
    GliocamError
        If there is no such method, layer or slice.

    Examples
    --------
    >>> explain(case, "layercam", "core", layer=3).core  # doctest: +SKIP
    """
    prepared = case if isinstance(case, Prepared) else prepare(case, bundle, device)
    work = Explaining(
        prepared,
        method,
        targets,
        explained=ExplainedLayer(layer, score),
        scope=scope,
        normalise=normalise,
        gate=gate,
    )
    return finish(work.run())


class Explaining:
    """One method over some slices, as work that can be stopped and keeps what it has.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    method, targets, scope, normalise, gate
        As in `explain`.
    explained : ExplainedLayer, optional
        Layer and exits that are explained; the last by default.

    Attributes
    ----------
    raw : RawMaps or None
        The maps made by now; whole after `run` has ended, a part after it was closed.
    slices : int
        How many are asked for; 0 before the work begins.
    seconds : float
        Time that the method took where it took turns with others, see `explaining_together`.
    seconds_left : float or None
        Expected from the slices, or steps, that are done; None before the first one.
    """

    def __init__(
        self,
        prepared: Prepared,
        method: str | Method = "gradcam",
        targets: Target | Sequence[Target] = "tumour",
        *,
        explained: ExplainedLayer | None = None,
        scope: Scope = "case",
        normalise: Normalise | None = None,
        gate: bool = False,
    ) -> None:
        self.prepared = prepared
        self.method = make_method(method) if isinstance(method, str) else method
        self.targets = _check_targets(targets)
        self.explained = explained or ExplainedLayer()
        self.scope = scope
        self.normalise: Normalise = normalise or ("none" if self.method.bounded else "slice")
        self.gate = gate
        self.raw: RawMaps | None = None
        self.slices = 0
        self.seconds = 0.0
        self.seconds_left: float | None = None
        info = prepared.bundle.info
        check_targets(info, self.targets)
        for target in self.targets if self.method.layered else ():
            self.explained.check(prepared.bundle.net.network_of(target))
        if self.method.name == SEGMENTER and prepared.bundle.segmenter is None:
            raise GliocamError(
                f'The bundle "{info.name}" has no segmentation network; choose '
                "another method, or a bundle that has one."
            )
        if self.normalise == "none" and not self.method.bounded:
            raise GliocamError(
                f"The maps of {self.method.title} have no scale of their own; normalise them by "
                "slice or by volume."
            )

    def run(self) -> Generator[Progress, None, ClassMaps]:
        """Do the work; can be closed at any yield, ``raw`` then holds the slices that are finished.

        Yields
        ------
        Progress
            Slices, or the steps of a long method over all slices.
        """
        if self.scope == "lesion":
            self.prepared = yield from asking(self.prepared, self.targets)
        from napari_gliocam.device import enough_memory

        rows = self._rows()
        self.slices = len(rows)
        size = self.prepared.batch_size if self.method.unit is None else 1
        self._started = time.perf_counter()
        yield Progress(0, max(len(rows), 1), self.method.title)
        if not rows:
            self.raw = self._empty(rows, (1, 1))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            batch = self.prepared.batch(part)
            steps = self.method.steps(batch, self.targets, self.explained)
            step, units = None, 1
            try:
                while True:
                    with enough_memory(self.prepared.device):
                        step = next(steps)
                    units = step.total
                    done = start * units + step.done * len(part)
                    yield self._report(done, len(rows) * units)
            except StopIteration as end:
                where = slice(start, start + len(part))
                self._keep(rows, where, end.value, batch, finished=True)
            except (GeneratorExit, KeyboardInterrupt):
                if step is not None:
                    where = slice(start, start + len(part))
                    self._keep(rows, where, step.so_far(), batch, finished=False)
                raise
            yield self._report((start + len(part)) * units, len(rows) * units)
        maps = self.so_far()
        assert maps is not None
        return maps

    @property
    def remade(self) -> bool:
        """True if the map can be made again with other weights of the maps' networks."""
        return self.method.name != SEGMENTER

    @property
    def done(self) -> int:
        """Slices that are finished."""
        return 0 if self.raw is None else int(self.raw.finished.sum())

    @property
    def name(self) -> str:
        """The method as a reader sees it, with its layer."""
        return (
            f"{self.method.title} {self.explained.layer}"
            if self.method.layered
            else self.method.title
        )

    def so_far(self) -> ClassMaps | None:
        """Return the maps made by now on the case's grid; None before the first slice."""
        return None if self.raw is None else self.raw.class_maps()

    def _report(self, done: int, total: int) -> Progress:
        elapsed = time.perf_counter() - self._started
        self.seconds_left = elapsed * (total / done - 1) if done else None
        return Progress(done, total, self.method.title)

    def _keep(
        self, rows: list[int], where: slice, maps: Tensor, batch: Batch, *, finished: bool
    ) -> None:
        """Put the maps of some slices, (T, B, h, w), into the result."""
        height, width = maps.shape[-2:]
        if self.raw is None:
            self.raw = self._empty(rows, (height, width))
        for target, values in zip(self.targets, maps, strict=True):
            self.raw.raw[target][where] = values.float().cpu().numpy()
            if self.gate and self.prepared.probabilities is None:  # the features are there
                asked = batch.probabilities(target).cpu().numpy()
                self.raw.probabilities[target][where] = asked
        self.raw.finished[where] = finished

    def _empty(self, rows: list[int], size: tuple[int, int]) -> RawMaps:
        """Return a result with no slice finished, for maps of a size."""
        from torch import from_numpy

        from napari_gliocam.cams.run.batch import inside_of

        prepared, info = self.prepared, self.prepared.bundle.info
        frame, known = prepared.stack.frame, prepared.probabilities
        brain = from_numpy(prepared.stack.brain[rows]).float()[:, None]
        if known is not None:
            probabilities = {t: known[rows, TARGETS.index(t)] for t in self.targets}
        elif self.gate:
            probabilities = {t: np.zeros(len(rows), dtype=np.float32) for t in self.targets}
        else:
            probabilities = {}
        return RawMaps(
            name=self.name,
            grid=prepared.case.grid,
            frame=replace(frame, indices=tuple(frame.indices[row] for row in rows)),
            brain=prepared.case.brain,
            raw={t: np.zeros((len(rows), *size), dtype=np.float32) for t in self.targets},
            inside=inside_of(brain, size).numpy(),
            finished=np.zeros(len(rows), dtype=np.bool_),
            probabilities=probabilities,
            whole=isinstance(self.scope, str),
            normalise=self.normalise,
            gate=self.gate,
            provenance={
                "method": self.method.describe(),
                "targets": list(self.targets),
                **asdict(self.explained),
                "bundle": {"name": info.name, "origin": info.origin, "licence": info.licence},
                "device": str(prepared.device),
            },
        )

    def _rows(self) -> list[int]:
        """Return the positions in the stack of the slices that are asked for."""
        indices = self.prepared.stack.frame.indices
        if self.scope == "case":
            return list(range(len(indices)))
        if self.scope == "lesion":
            assert self.prepared.probabilities is not None
            columns = [TARGETS.index(target) for target in self.targets]
            shows = (self.prepared.probabilities[:, columns] >= GATE).any(axis=1)
            return [int(row) for row in np.flatnonzero(shows)]
        asked = [self.scope] if isinstance(self.scope, int) else list(self.scope)
        count = self.prepared.case.grid.shape[0]
        for index in asked:
            if not 0 <= index < count:
                raise GliocamError(
                    f"The case has no slice {index}; choose one between 0 and {count - 1}."
                )
        return [indices.index(index) for index in sorted(set(asked)) if index in indices]


def explaining_together(works: Sequence[Explaining]) -> Generator[Progress, None, None]:
    """Run several methods over the same slices, so that features of a batch are computed once.

    The methods take turns, a batch each.  Their maps are in ``raw`` and `Explaining.so_far`.

    Parameters
    ----------
    works : sequence of Explaining
        Methods with one `Prepared`, which know the slices that show lesion if they ask for them.
    """
    last: dict[tuple[int, ...], Batch] = {}
    for work in works:
        work.prepared = replace(work.prepared, last=last)
    running = [(work, work.run()) for work in works]
    while running:
        number = min(range(len(running)), key=lambda index: running[index][0].done)
        work, run = running[number]
        started = time.perf_counter()
        progress = next(run, None)
        work.seconds += time.perf_counter() - started
        if progress is None:
            del running[number]
        else:
            yield progress
    for work in works:
        work.prepared = replace(work.prepared, last=None)


def _check_targets(targets: Target | Sequence[Target]) -> tuple[Target, ...]:
    asked: tuple[Target, ...] = (targets,) if isinstance(targets, str) else tuple(targets)
    for target in asked:
        if target not in TARGETS:
            raise GliocamError(no_such(target, TARGETS, "class"))
    if not asked:
        raise GliocamError(f"No class was named; choose one or more of {', '.join(TARGETS)}.")
    return tuple(dict.fromkeys(asked))
