"""Stages 2 and 3: the attention aggregators, on frozen exits, without any mask.

The papers' loss alone inflates the tumour map (its foreground term is happiest with everything
bright), so the tumour stage asks that the map part the image into two phases near the lesion;
the class stage is paper 1's, on deep features and with geometric guidance.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.aggregator import ATTENTION_STRIDE, exit_maps, guide, shrink
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.losses import (
    Bank,
    agreement_loss,
    class_loss,
    separability_loss,
    two_phase_contrast,
    uniformity,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AggregatorRecipe:
    """How the aggregators are trained.

    Parameters
    ----------
    steps, batch : int
        For each stage; only slices that show tumour are used.
    rate : float
        Peak of the one-cycle schedule (Adam).
    weight_class, weight_separate, weight_agree : float
        lambda of paper 1, section 3: 1, 1, 5.
    weight_uniform, weight_uniform_class : float
        Pull towards equal weights of the exits, for each stage.  At 0.1 attention ran to the
        widest exit and the tumour map grew to twice its size; at these values it sharpens the
        average (measured, see the bundle's model card).
    ring_px : int
        The region around the lesion, in pixels of the attention grid.
    seed : int
    """

    steps: int = 400
    batch: int = 32
    rate: float = 1e-3
    weight_class: float = 1.0
    weight_separate: float = 1.0
    weight_agree: float = 5.0
    weight_uniform: float = 1.0
    weight_uniform_class: float = 20.0
    ring_px: int = 5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cache:
    """What the frozen networks say of the training slices, on the attention grid.

    Parameters
    ----------
    images : Tensor float16, (N, 3, h, w)
    brain : Tensor float16, (N, 1, h, w)
    maps : Tensor float16, (N, 4, 3, h, w)
        Sigmoid maps of tumour, core, edema.
    features : Tensor float16, (N, D, h', w')
        Stage 2 of the class network, standardised over brains.
    labels : Tensor float32, (N, 3)
    """

    images: Tensor
    brain: Tensor
    maps: Tensor
    features: Tensor
    labels: Tensor


@torch.inference_mode()
def cache_maps(
    net: GliocamNet, images: NDArray[np.float16], labels: NDArray[np.float32], batch: int = 64
) -> Cache:
    """Run the frozen classifiers once over slices that show tumour."""
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(images), batch):
        x = torch.from_numpy(images[start : start + batch]).float()
        brain = (x != 0).any(dim=1, keepdim=True).float()
        x = x.to(memory_format=torch.channels_last)
        features = net.classes.features(x)
        class_logits = [e(f) for e, f in zip(net.classes.exits, features, strict=True)]
        logits = [torch.cat(p, 1) for p in zip(net.tumour(x), class_logits, strict=True)]
        maps = exit_maps(logits, brain)
        parts.append(
            (
                F.avg_pool2d(x, ATTENTION_STRIDE).half(),
                (F.avg_pool2d(brain, ATTENTION_STRIDE) > 0.5).half(),
                shrink(maps).half(),
                features[1].half(),
            )
        )
    x, brain, maps, features_ = (torch.cat(p) for p in zip(*parts, strict=True))
    height, width = features_.shape[-2:]
    inside = (F.adaptive_avg_pool2d(brain.float(), (height, width)) > 0.5)[:, 0]
    values = features_.permute(0, 2, 3, 1)[inside].float()
    mean, std = values.mean(0), values.std(0) + 1e-3
    features_ = ((features_.float() - mean[:, None, None]) / std[:, None, None]).half()
    return Cache(x, brain, maps, features_, torch.from_numpy(labels))


def train_aggregators(net: GliocamNet, cache: Cache, recipe: AggregatorRecipe) -> None:
    """Train the tumour attention, then the class attention, in place."""
    _train_tumour(net, cache, recipe)
    _train_classes(net, cache, recipe)


def _train_tumour(net: GliocamNet, cache: Cache, recipe: AggregatorRecipe) -> None:
    attention = net.tumour_attention.train()
    for batch in _batches(cache, recipe, attention, stage=0):
        weights = attention(batch.images, batch.maps[:, :, :1])
        tumour = (weights * batch.maps[:, :, :1]).sum(dim=1)
        contrast = two_phase_contrast(tumour, batch.images, batch.region)
        even = uniformity(weights, batch.brain)
        batch.step(contrast + recipe.weight_uniform * even, contrast=contrast, even=even)
    attention.eval()


def _train_classes(net: GliocamNet, cache: Cache, recipe: AggregatorRecipe) -> None:
    attention, bank = net.class_attention.train(), Bank()
    for batch in _batches(cache, recipe, attention, stage=1):
        with torch.no_grad():
            weights = net.tumour_attention(batch.images, batch.maps[:, :, :1])
            tumour = (weights * batch.maps[:, :, :1]).sum(dim=1)
        guided = guide(batch.maps[:, :, 1:], tumour, net.design.guidance)
        weights = attention(batch.images, guided)
        classes = (weights * guided).sum(dim=1) * batch.brain
        foregrounds, l_class = [], classes.sum() * 0.0
        for k, key in enumerate(("core", "edema")):
            shown = batch.labels[:, k + 1] > 0
            f, b = _pool(classes[shown, k : k + 1], batch.features[shown], batch.region[shown])
            foregrounds.append(f)
            if len(f) > 2:
                l_class = l_class + class_loss(f, b, bank, key)
        enough = min(len(f) for f in foregrounds) > 0
        l_separate = separability_loss(*foregrounds) if enough else l_class * 0
        l_agree = agreement_loss(classes, tumour, batch.labels[:, 1:], batch.brain)
        even = uniformity(weights, batch.brain)
        loss = (
            recipe.weight_class * l_class
            + recipe.weight_separate * l_separate
            + recipe.weight_agree * l_agree
            + recipe.weight_uniform_class * even
        )
        batch.step(loss, l_class=l_class, l_separate=l_separate, l_agree=l_agree, even=even)
    attention.eval()


def _pool(map_: Tensor, features: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Mean features inside and outside a map (paper 1, Eq. 6, on deep features)."""
    height, width = features.shape[-2:]
    size = (height, width)
    inside = F.adaptive_avg_pool2d(map_ * region, size)
    outside = F.adaptive_avg_pool2d((1 - map_) * region, size)

    def mean(weight: Tensor) -> Tensor:
        return (features * weight).sum(dim=(2, 3)) / (weight.sum(dim=(2, 3)) + 1e-2)

    return mean(inside), mean(outside)


@dataclass(eq=False)
class _Batch:
    images: Tensor
    brain: Tensor
    region: Tensor
    maps: Tensor
    features: Tensor
    labels: Tensor
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    number: int
    every: int

    def step(self, loss: Tensor, **terms: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.schedule.step()
        if self.number % self.every == 0:
            log.info(
                "step %d: %s",
                self.number,
                ", ".join(f"{k} {float(v.detach()):.3f}" for k, v in terms.items()),
            )


def _batches(
    cache: Cache, recipe: AggregatorRecipe, attention: nn.Module, stage: int
) -> Iterator[_Batch]:
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng([recipe.seed, stage])
    optimiser = torch.optim.Adam(attention.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, recipe.steps, pct_start=0.1
    )
    for number in range(recipe.steps):
        chosen = torch.from_numpy(
            rng.choice(len(cache.labels), min(recipe.batch, len(cache.labels)), replace=False)
        )
        brain, maps = cache.brain[chosen].float(), cache.maps[chosen].float()
        near = (maps[:, :, 0].mean(dim=1, keepdim=True) > 0.4).float()
        size = 2 * recipe.ring_px + 1
        ring = brain * F.max_pool2d(near, size, 1, recipe.ring_px)
        region = torch.where(ring.sum(dim=(1, 2, 3), keepdim=True) > 20, ring, brain)
        yield _Batch(
            cache.images[chosen].float(),
            brain,
            region,
            maps,
            cache.features[chosen].float(),
            cache.labels[chosen],
            optimiser,
            schedule,
            number,
            max(1, recipe.steps // 8),
        )
