"""The time that a training would take, from a few timed steps of each of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.device import choose_device
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import Progress
from napari_gliocam.train.data.batches import SliceBatch, SliceDataset
from napari_gliocam.train.data.case_set import CaseSet
from napari_gliocam.train.data.mask_batches import MaskBatch
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.run.events import Plan
from napari_gliocam.train.run.named_stages import make_stage
from napari_gliocam.train.run.segmenter_training import GatheredMasks
from napari_gliocam.train.stages.exit_map_cache import MapBatch
from napari_gliocam.train.stages.segmenter import SegmenterStage
from napari_gliocam.train.stages.stage import Stage

#: Number of timed steps, after one that is not.
_TIMED = 2


def estimating_time(
    cases: CaseSet, plan: Plan, recipe: Recipe, net: GliocamNet, device: str = "auto"
) -> Generator[Progress, None, float]:
    """Estimate the seconds that all steps of a plan take here; the networks stay as they are.

    Parameters
    ----------
    cases : CaseSet
        The slices.
    plan : Plan
        The number of steps of each stage.
    recipe : Recipe
        The settings of the stages.
    net : GliocamNet
        Networks of the size that is trained.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to train on.

    Yields
    ------
    Progress
        Stages timed.

    Returns
    -------
    float
        Seconds, without preparing cases and without the comparison at the end.
    """
    where, seconds = choose_device(device), 0.0
    for done, (name, steps) in enumerate(plan.steps.items()):
        yield Progress(done, len(plan.steps), "timing a few steps")
        seconds += steps * _seconds_a_step(name, cases, recipe, net, where)
    return seconds


def estimating_segmenter(
    given: GatheredMasks, device: str = "auto"
) -> Generator[Progress, None, float]:
    """Estimate the seconds that all steps of a segmentation network's training take here.

    Parameters
    ----------
    given : GatheredMasks
        The input of the training; its networks stay as they are.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to train on.

    Yields
    ------
    Progress

    Returns
    -------
    float
        Seconds, without preparing cases and without the comparison at the end.
    """
    where = choose_device(device)
    yield Progress(0, 1, "timing a few steps")
    stage = SegmenterStage(given.network(), given.recipe).to(where)
    data = given.dataset(given.train, augmented=True)
    keys = [(0, place) for place in range(min(stage.fit.batch, len(data)))]

    def batch() -> MaskBatch:
        return MaskBatch(*(field.to(where) for field in data.__getitems__(keys)))

    (steps,) = given.plan.steps.values()
    return steps * _timed(stage, batch, where)


def _seconds_a_step(
    name: str, cases: CaseSet, recipe: Recipe, net: GliocamNet, device: torch.device
) -> float:
    fresh = GliocamNet.of(cases.slices.images.shape[1], net.design)  # a timed step must not teach
    stage = make_stage(name, fresh, recipe).to(device)
    fit = stage.fit
    if name.startswith("aggregate"):
        stride = net.design.attention_stride
        maps = _map_batch(min(fit.batch, len(cases.slices)), cases, stride, device)
        return _timed(stage, lambda: maps, device)
    rows = np.arange(len(cases.slices))
    kind, network = name.split(".")
    how = getattr(getattr(recipe, kind), network).augment
    data = SliceDataset(cases.slices, rows, how, views=2 if kind == "pretrain" else 1)
    chosen = np.random.default_rng(0).permutation(rows)[: fit.batch]
    keys = [(0, int(row)) for row in np.sort(chosen)]

    def batch() -> SliceBatch:
        return SliceBatch(*(field.to(device) for field in data.__getitems__(keys)))

    return _timed(stage, batch, device)


def _timed(stage: Stage, batch: Callable[[], object], device: torch.device) -> float:
    learned = [p for p in stage.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, 0.0)
    started = 0.0
    for step in range(1 + _TIMED):
        if step == 1:
            _wait(device)
            started = time.perf_counter()
        given = batch()
        with torch.autocast(
            device.type, torch.bfloat16, enabled=stage.fit.precision == "bf16-mixed"
        ):
            loss: Tensor = torch.stack(list(stage.terms(given).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    _wait(device)
    return (time.perf_counter() - started) / _TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _map_batch(count: int, cases: CaseSet, stride: int, device: torch.device) -> MapBatch:
    channels, height, width = (
        cases.slices.images.shape[1],
        *(side // stride for side in cases.slices.images.shape[2:]),
    )
    made = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=made).to(device)

    return MapBatch(
        images=noise(channels, height, width),
        brain=torch.ones(count, 1, height, width, device=device),
        maps=noise(4, 3, height, width),
        tumour=noise(1, height, width),
        features=noise(64, height // 2, width // 2),
        labels=torch.ones(count, 3, device=device),
    )
