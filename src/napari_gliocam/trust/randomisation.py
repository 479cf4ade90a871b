"""Randomisation of the weights (Adebayo et al. 2018).

Would networks that know nothing draw the same map?
Weights are drawn anew from the last stage to the first, one after the other (cascading) or one
at a time.  A map that stays as it was shows the slice, and not what was learned from it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.run.explain import Explaining
from napari_gliocam.maps.class_maps import ClassMaps, Normalise
from napari_gliocam.progress import Progress, finished
from napari_gliocam.targets import Target
from napari_gliocam.trust.similarity import (
    Plane,
    Similarity,
    compare_planes,
    mean_similarity,
    planes_of,
    unrelated,
)

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.nets.gliocam import GliocamNet

#: From the answer back to the slice; ``heads`` are the exits and the attention networks.
Stage = Literal["heads", "stage 4", "stage 3", "stage 2", "stage 1", "stem"]
STAGES: tuple[Stage, ...] = ("heads", "stage 4", "stage 3", "stage 2", "stage 1", "stem")


@dataclass(frozen=True, eq=False)
class MapRecipe:
    """The way a method's map is made, so that it can be made again with other weights.

    Parameters
    ----------
    method : Method
        The method with its settings.
    explained : ExplainedLayer
        Layer and exits that are explained.
    normalise : {"slice", "volume", "none"}
        How maps come into [0, 1].
    """

    method: Method
    explained: ExplainedLayer = field(default_factory=ExplainedLayer)
    normalise: Normalise | None = None

    @classmethod
    def of(cls, work: Explaining) -> MapRecipe:
        """Return the recipe of a work."""
        return cls(work.method, work.explained, work.normalise)

    def making(
        self, prepared: Prepared, targets: Sequence[Target], slices: Sequence[int]
    ) -> Generator[Progress, None, ClassMaps]:
        """Make the maps of some slices, ungated, with whatever networks ``prepared`` holds."""
        work = Explaining(
            prepared,
            self.method,
            targets,
            explained=self.explained,
            scope=list(slices),
            normalise=self.normalise,
        )
        return (yield from work.run())


@dataclass(eq=False)
class Randomisation:
    """How much of a method's map stays without what the networks learned.

    Parameters
    ----------
    target : Target
        The target of the map.
    cascading : dict of Stage to Similarity
        With the trained map, after this stage and all after it were drawn anew.
    alone : dict of Stage to Similarity
        The same with this stage alone drawn anew.
    baseline : Similarity or None
        Of unrelated maps; None where the trained map is flat on every slice.
    """

    target: Target
    cascading: dict[Stage, Similarity] = field(default_factory=dict)
    alone: dict[Stage, Similarity] = field(default_factory=dict)
    baseline: Similarity | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the last map of the cascade is no more like the first than an unrelated one.

        None as long as that is not known.  A correlation below 0 counts by its size: a map turned
        upside down is no new map.
        """
        last = self.cascading.get(STAGES[-1])
        if last is None or self.baseline is None:
            return None
        return (
            last.ssim <= max(self.baseline.ssim, 0.0) + TOLERANCE
            and abs(last.rank_correlation) <= abs(self.baseline.rank_correlation) + TOLERANCE
        )

    def figures(self) -> dict[str, float]:
        """Return each figure by the name of its test."""
        found: dict[str, float] = {}
        for way, values in (("cascading", self.cascading), ("alone", self.alone)):
            for stage, one in values.items():
                name = f"randomisation-{way}-{stage.replace(' ', '-')}"
                found[f"{name}-ssim"] = one.ssim
                found[f"{name}-rank"] = one.rank_correlation
        if self.baseline is not None:
            found["randomisation-baseline-ssim"] = self.baseline.ssim
            found["randomisation-baseline-rank"] = self.baseline.rank_correlation
        if self.passed is not None:
            found["randomisation"] = float(self.passed)
        return found

    def reason(self) -> str:
        """Return the reason why there is no verdict; empty where there is one."""
        if self.passed is not None:
            return ""
        if self.baseline is None:
            return "the map is empty or the same everywhere on these slices"
        return "stopped before the last stage"


#: A similarity that is higher than that of unrelated maps by no more than this is as low.
TOLERANCE = 0.1


def randomising(
    prepared: Prepared,
    recipe: MapRecipe,
    target: Target,
    slices: Sequence[int],
    *,
    seed: int = 0,
    layer_by_layer: bool = True,
    into: Randomisation | None = None,
) -> Generator[Progress, None, Randomisation]:
    """Make a method's map with weights drawn anew, and compare it with the trained one.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks; they stay as they are.
    recipe : MapRecipe
        The method.
    target : Target
        Tumour, core or edema.
    slices : sequence of int
        Slices of the case; those with a flat map are left out.
    seed : int
        Of the new weights.
    layer_by_layer : bool
        Whether each stage is drawn anew alone, too.
    into : Randomisation, optional
        Takes each comparison as soon as it is made; a new one by default.
    """
    into = into or Randomisation(target)
    jobs = [("cascading", number) for number in range(len(STAGES))]
    if layer_by_layer:  # the first of the cascade is alone
        jobs += [("alone", number) for number in range(1, len(STAGES))]
    total, what = len(jobs) + 1, f"randomisation, {target}"
    trained: dict[int, Plane] = {}
    yield Progress(0, total, what)
    if slices:
        for _ in (work := _Making(recipe, prepared, target, slices)):
            yield Progress(0, total, what)
        planes = planes_of(work.maps, target, prepared.stack, slices)
        trained = {index: plane for index, plane in planes.items() if not plane.is_flat}
    into.baseline = unrelated(trained)
    for done, (way, number) in enumerate(jobs if trained else [], start=1):
        stages = STAGES[: number + 1] if way == "cascading" else STAGES[number : number + 1]
        net = randomised(prepared.bundle.net, stages, seed)
        other = replace(prepared, bundle=replace(prepared.bundle, net=net))
        for _ in (work := _Making(recipe, other, target, list(trained))):
            yield Progress(done, total, what)
        planes = planes_of(work.maps, target, prepared.stack, list(trained))
        alike = mean_similarity([compare_planes(trained[i], planes[i]) for i in trained])
        getattr(into, way)[STAGES[number]] = alike
        if way == "cascading" and number == 0:
            into.alone[STAGES[0]] = alike
    yield Progress(total, total, what)
    return into


randomise = finished(randomising, "randomise")


class _Making:
    """Iterate over the progress of making maps, and keep them."""

    maps: ClassMaps

    def __init__(
        self, recipe: MapRecipe, prepared: Prepared, target: Target, slices: Sequence[int]
    ) -> None:
        self._work = recipe.making(prepared, (target,), slices)

    def __iter__(self) -> Iterator[Progress]:
        self.maps = yield from self._work


def randomised(net: GliocamNet, stages: Sequence[Stage], seed: int = 0) -> GliocamNet:
    """Return a copy of the networks with some stages drawn anew, as before any training.

    Parameters
    ----------
    net : GliocamNet
        Stays as it is.
    stages : sequence of Stage
        Stages whose weights, and statistics of batch norm, are drawn anew.
    seed : int
        The same seed draws the same weights for a stage, whichever others are drawn.
    """
    copy = deepcopy(net)
    for stage in stages:
        with _seeded(seed + STAGES.index(stage)):
            for part in _modules_of(copy, stage):
                for module in part.modules():
                    reset = getattr(module, "reset_parameters", None)
                    if reset is not None:
                        reset()
    return copy.eval()


def _modules_of(net: GliocamNet, stage: Stage) -> list[nn.Module]:
    if stage == "heads":
        return [*(network.exits for network in net.networks), *net.attentions]
    if stage == "stem":
        return [network.stem for network in net.networks]
    return [network.stages[int(stage[-1]) - 1] for network in net.networks]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seed on the CPU and the GPU, and leave the generators as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
