"""Stages 3 and 4: the attention aggregators, on frozen exits, without any mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.aggregator import VolumeAttention, guide, seen_by_attention
from napari_gliocam.nets.design import Design
from napari_gliocam.train.recipe.stages import ClassAggregate, TumourAggregate
from napari_gliocam.train.stages.distributed import gather_rows
from napari_gliocam.train.stages.exit_map_cache import MapBatch
from napari_gliocam.train.stages.losses import (
    Bank,
    agreement_loss,
    class_loss,
    separability_loss,
    two_phase_contrast,
    uniformity,
)
from napari_gliocam.train.stages.stage import Stage, Terms


class _AggregateStage(Stage):
    """The common part of both stages: fore- and background of a map, the bank of vectors.

    Parameters
    ----------
    attention : Module
        The network that learns.
    design : Design
        Design of the networks.
    recipe : TumourAggregate or ClassAggregate
        Weights of the terms, features, optimisation.
    channels : int
        Modalities.
    """

    batch_type = MapBatch

    def __init__(
        self,
        attention: nn.Module,
        design: Design,
        recipe: TumourAggregate | ClassAggregate,
        channels: int = 3,
    ) -> None:
        super().__init__(recipe.fit)
        self.network, self.design, self.recipe = attention, design, recipe
        self.features = features = recipe.features
        self.bank = Bank(features.bank)
        self.projection: nn.Module | None = None
        compares = recipe.weight_class > 0
        compares |= isinstance(recipe, ClassAggregate) and recipe.weight_separate > 0
        if compares and features.projection == "image":
            own = isinstance(attention, VolumeAttention)
            self.projection = attention.project if own else nn.Conv2d(channels, 1, 1)  # type: ignore[assignment]

    def attend(self, batch: MapBatch, maps: Tensor) -> Tensor:
        """Return the weights of the exits for some maps, (B, 4, C, h, w)."""
        weights: Tensor = self.network(
            batch.images, seen_by_attention(maps, batch.brain, self.design.map_range)
        )
        return weights

    def region(self, batch: MapBatch) -> Tensor:
        """Return the part of the slice whose fore- and background are compared, (B, 1, h, w)."""
        if self.features.region == "image":
            return torch.ones_like(batch.brain)
        if self.features.region == "brain":
            return batch.brain
        near = (batch.maps[:, :, 0].mean(dim=1, keepdim=True) > 0.4).float()
        reach = self.features.ring_px
        ring = batch.brain * F.max_pool2d(near, 2 * reach + 1, 1, reach)
        return torch.where(ring.sum(dim=(1, 2, 3), keepdim=True) > 20, ring, batch.brain)

    def compared(self, map_: Tensor, batch: MapBatch, region: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors (B, D) of fore- and background of a map (B, 1, h, w): paper 1, Eq. 6."""
        if self.projection is not None:
            image = self.projection(batch.images) * region
            return (image * map_).flatten(1), (image * (1 - map_)).flatten(1)
        size = (batch.features.shape[-2], batch.features.shape[-1])
        inside = F.adaptive_avg_pool2d(map_ * region, size)
        outside = F.adaptive_avg_pool2d((1 - map_) * region, size)

        def mean(weight: Tensor) -> Tensor:
            return (batch.features * weight).sum(dim=(2, 3)) / (weight.sum(dim=(2, 3)) + 1e-2)

        return mean(inside), mean(outside)

    def apart(self, foreground: Tensor, background: Tensor, key: str) -> Tensor:
        """Return L_c of one class; validation leaves the bank alone."""
        if len(foreground) < 3:
            return foreground.sum() * 0.0
        bank = self.bank if self.training else Bank(0)
        return class_loss(foreground, background, bank, key, self.features.similarity)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the bank: without it a run that goes on would differ."""
        checkpoint["bank"] = self.bank.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the bank."""
        self.bank.restore(checkpoint["bank"])

    def on_train_start(self) -> None:
        """Move the bank to the device, which is not known when a checkpoint is read."""
        kept = self.bank.state().items()
        self.bank.restore({k: (f.to(self.device), b.to(self.device)) for k, (f, b) in kept})


class TumourStage(_AggregateStage):
    """Attention over the exits' tumour maps (paper 2, Eq. 2 and 3).

    The network is `napari_gliocam.nets.gliocam.GliocamNet.tumour_attention`.
    """

    recipe: TumourAggregate

    def terms(self, batch: MapBatch) -> Terms:
        """Return the terms that have a weight."""
        recipe = self.recipe
        maps = batch.maps[:, :, :1]
        weights = self.attend(batch, maps)
        tumour = (weights * maps).sum(dim=1)
        region = self.region(batch)
        terms = {"uniform": recipe.weight_uniform * uniformity(weights, batch.brain)}
        if recipe.weight_contrast:
            contrast = two_phase_contrast(tumour, batch.images, region)
            terms["contrast"] = recipe.weight_contrast * contrast
        if recipe.weight_class:
            foreground, background = map(gather_rows, self.compared(tumour, batch, region))
            terms["class"] = recipe.weight_class * self.apart(foreground, background, "tumour")
        return terms


class ClassStage(_AggregateStage):
    """Attention over the exits' class maps, guided by the tumour map (paper 1, Eq. 3 to 9).

    The network is `napari_gliocam.nets.gliocam.GliocamNet.class_attention`.
    """

    recipe: ClassAggregate

    def terms(self, batch: MapBatch) -> Terms:
        """Return the terms of Eq. 9, and the pull towards equal weights."""
        recipe, kind = self.recipe, self.features.similarity
        guided = guide(batch.maps[:, :, 1:], batch.tumour, self.design.guidance)
        weights = self.attend(batch, guided)
        classes = (weights * guided).sum(dim=1) * batch.brain
        region = self.region(batch)
        shows = batch.labels[:, 1:]
        if recipe.labels == "every":
            shows = torch.ones_like(shows)
        parts = [
            tuple(map(gather_rows, self.compared(classes[:, k : k + 1], batch, region)))
            for k in range(2)
        ]
        shown_of_all = gather_rows(shows) > 0
        terms = {"uniform": recipe.weight_uniform * uniformity(weights, batch.brain)}
        if recipe.weight_class:
            each = [
                self.apart(f[shown], b[shown], key)
                for key, (f, b), shown in zip(("core", "edema"), parts, shown_of_all.T, strict=True)
            ]
            terms["class"] = recipe.weight_class * torch.stack(each).sum()
        if recipe.weight_separate:
            separate = self._separate(parts[0][0], parts[1][0], shown_of_all, kind)
            terms["separate"] = recipe.weight_separate * separate
        if recipe.weight_agree:
            over = batch.brain if recipe.agreement_over == "brain" else torch.ones_like(batch.brain)
            agree = agreement_loss(classes, batch.tumour, shows, over, recipe.agreement)
            terms["agree"] = recipe.weight_agree * agree
        return terms

    def _separate(self, core: Tensor, edema: Tensor, shows: Tensor, kind: str) -> Tensor:
        if self.recipe.pairs == "same-image":
            both = shows.all(dim=1)
            core, edema = core[both], edema[both]
        else:
            core, edema = core[shows[:, 0]], edema[shows[:, 1]]
        if min(len(core), len(edema)) == 0:
            return (core.sum() + edema.sum()) * 0.0
        return separability_loss(core, edema, kind, self.recipe.pairs)
