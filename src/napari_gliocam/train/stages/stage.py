"""The base of every stage of a training: optimiser, schedule, checks of batches and losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.stages.distributed import mean_over_processes, world_size

#: Terms of a loss by name; they are summed as they are.
Terms = dict[str, Tensor]


class LossError(TrainingError):
    """The loss is no longer a number; the weights kept before are as they were."""


class Stage(LightningModule):
    """A stage: a network that learns from one kind of batch.

    A subclass names its batch, sets ``self.network`` and returns the loss in `terms`.

    Parameters
    ----------
    fit : Fit
        Settings of the optimisation.
    """

    #: The only kind of batch that is accepted; `MaskBatch` alone has masks, computed ones.
    batch_type: type
    #: The network that leaves the stage.
    network: nn.Module

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit

    def terms(self, batch: Any) -> Terms:
        """Return the weighted terms of the loss, each a scalar."""
        raise NotImplementedError

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Return the loss of a batch; raise `LossError` if it is no number."""
        loss = self._loss(batch, "train")
        if mean_over_processes(torch.isfinite(loss).float()) < 1:  # all of them stop, or none
            raise LossError(
                f"The loss is no longer a number in epoch {self.current_epoch + 1}, step "
                f"{index + 1}; the weights kept are from before: lower the rate, or train in "
                '"32-true".'
            )
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        """Log the same loss for a batch of the validation patients."""
        self._loss(batch, "val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return optimiser and schedule of the recipe."""
        fit = self.fit
        learned = [p for p in self.parameters() if p.requires_grad]
        optimiser: torch.optim.Optimizer
        if fit.optimiser == "adam":
            optimiser = torch.optim.Adam(learned, fit.rate, weight_decay=fit.weight_decay)
        elif fit.optimiser == "adamw":
            optimiser = torch.optim.AdamW(learned, fit.rate, weight_decay=fit.weight_decay)
        else:
            optimiser = torch.optim.SGD(learned, fit.rate, fit.momentum, 0.0, fit.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = _schedule(optimiser, fit, steps)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _loss(self, batch: Any, phase: str) -> Tensor:
        if type(batch) is not self.batch_type:
            raise TypeError(
                f"{type(self).__name__} takes a {self.batch_type.__name__} (images and image-level "
                f"labels, no mask), not a {type(batch).__name__}"
            )
        terms, slices = self.terms(batch), len(getattr(batch, "labels"))  # noqa: B009
        loss = torch.stack(list(terms.values())).sum()
        several = terms if len(terms) > 1 else {}
        values = {f"{phase}_loss": loss, **{f"{phase}_{k}": v for k, v in several.items()}}
        # Lightning's own mean over processes rounds the number of slices to whole ones.
        count = mean_over_processes(torch.tensor(float(slices), device=loss.device))
        self.log_dict(
            {k: mean_over_processes(v) for k, v in values.items()},
            on_step=False,
            on_epoch=True,
            batch_size=round(float(count) * world_size()),
        )
        return loss


def _schedule(optimiser: torch.optim.Optimizer, fit: Fit, steps: int) -> LRScheduler:
    if fit.schedule == "one-cycle":
        return OneCycleLR(optimiser, fit.rate, max(steps, 1), pct_start=fit.warm_up)
    if fit.schedule == "constant":
        return LambdaLR(optimiser, lambda step: 1.0)
    if fit.schedule == "poly":
        # Paper 3, Eq. 13 as printed divides by what is left and goes below 0 half-way.
        return LambdaLR(optimiser, lambda step: max(0.0, 1 - step / max(steps, 1)) ** 0.9)
    return LambdaLR(optimiser, _cosine(fit, steps))


def _cosine(fit: Fit, steps: int) -> Callable[[int], float]:
    """Return the factor of the rate by step: 1 while held, then half a cosine to the floor."""
    held = steps * min(1.0, fit.hold / max(fit.epochs, 1))
    floor = min(1.0, fit.floor / fit.rate) if fit.rate else 0.0

    def factor(step: int) -> float:
        part = min(1.0, max(0.0, step - held) / max(1.0, steps - held))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * part))

    return factor
