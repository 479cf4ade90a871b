"""The time that a training would take, from a few timed steps of each of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.device import choose_device
from napari_gliocam.nets.design import ATTENTION_STRIDE
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import Progress
from napari_gliocam.train.data.batches import SliceDataset
from napari_gliocam.train.data.case_set import CaseSet
from napari_gliocam.train.recipe.fields import Fit, Recipe
from napari_gliocam.train.run.events import Plan
from napari_gliocam.train.stages.aggregator import ClassStage, TumourStage
from napari_gliocam.train.stages.classifier import ClassifierStage
from napari_gliocam.train.stages.contrastive import PretrainStage
from napari_gliocam.train.stages.exit_map_cache import MapBatch
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


def _seconds_a_step(
    name: str, cases: CaseSet, recipe: Recipe, net: GliocamNet, device: torch.device
) -> float:
    kind, network = name.split(".")
    part: Fit
    stage: Stage
    columns = (0,) if network == "tumour" else (1, 2)
    fresh = GliocamNet.of(cases.slices.images.shape[1], net.design)  # a timed step must not teach
    if kind == "aggregate":
        part = getattr(recipe.aggregate, network).fit
        attention = fresh.tumour_attention if network == "tumour" else fresh.class_attention
        chosen = TumourStage if network == "tumour" else ClassStage
        stage = chosen(attention, net.design, getattr(recipe.aggregate, network))
        maps = _map_batch(min(part.batch, len(cases.slices)), cases, device)
        return _timed(stage.to(device), lambda: maps, part, device)
    settings = getattr(getattr(recipe, kind), network)
    part = settings.fit
    backbone = getattr(fresh, network)
    if kind == "pretrain":
        stage = PretrainStage(backbone, columns, replace(settings))
    else:
        stage = ClassifierStage(backbone, columns, settings, net.design.pooling)
    rows = np.arange(len(cases.slices))
    data = SliceDataset(cases.slices, rows, settings.augment, views=2 if kind == "pretrain" else 1)
    chosen_rows = np.random.default_rng(0).permutation(rows)[: part.batch]
    keys = [(0, int(row)) for row in np.sort(chosen_rows)]

    def batch() -> object:
        made = data.__getitems__(keys)
        return type(made)(*(field.to(device) for field in made))

    return _timed(stage.to(device), batch, part, device)


def _timed(stage: Stage, batch: Callable[[], object], fit: Fit, device: torch.device) -> float:
    learned = [p for p in stage.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, 0.0)
    started = 0.0
    for step in range(1 + _TIMED):
        if step == 1:
            _wait(device)
            started = time.perf_counter()
        given = batch()
        with torch.autocast(device.type, torch.bfloat16, enabled=fit.precision == "bf16-mixed"):
            loss: Tensor = torch.stack(list(stage.terms(given).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    _wait(device)
    return (time.perf_counter() - started) / _TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _map_batch(count: int, cases: CaseSet, device: torch.device) -> MapBatch:
    channels, height, width = (
        cases.slices.images.shape[1],
        *(side // ATTENTION_STRIDE for side in cases.slices.images.shape[2:]),
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
