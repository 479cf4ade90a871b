"""A segmentation network that learns from computed masks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from napari_gliocam.train.data.mask_batches import MaskBatch
from napari_gliocam.train.recipe.segmenter import SegmenterRecipe
from napari_gliocam.train.stages.mask_losses import mask_terms
from napari_gliocam.train.stages.stage import Stage, Terms

#: The average forgets faster in the first steps, when the weights change most.
_FIRST_STEPS = 20


class SegmenterStage(Stage):
    """A network that learns, and the running average of its weights that is kept.

    Parameters
    ----------
    network : Module
        Takes slices with their neighbours as channels, returns three logits a pixel.
    recipe : SegmenterRecipe
        Loss, average and optimisation.
    """

    batch_type = MaskBatch

    def __init__(self, network: nn.Module, recipe: SegmenterRecipe) -> None:
        super().__init__(recipe.fit)
        self.recipe = recipe
        self.learner = network
        self.network = network
        if recipe.average:
            self.network = copy.deepcopy(network).requires_grad_(False)

    def train(self, mode: bool = True) -> SegmenterStage:
        """Set the mode of the network that learns; the average is always in evaluation mode."""
        super().train(mode)
        if self.recipe.average:
            self.network.eval()
        return self

    def terms(self, batch: MaskBatch) -> Terms:
        """Return the weighted terms of the loss."""
        network = self.learner if self.training else self.network
        logits: Tensor = network(batch.images.contiguous(memory_format=torch.channels_last))
        return mask_terms(logits.float(), batch, self.recipe.loss)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then move the average; before any hook that may write a checkpoint."""
        super().optimizer_step(*args, **kwargs)
        if not self.recipe.average:
            return
        step = self.trainer.global_step
        past = min(self.recipe.average, (step + 1) / (step + _FIRST_STEPS))
        with torch.no_grad():
            pairs = zip(
                self.network.state_dict().values(), self.learner.state_dict().values(), strict=True
            )
            for kept, learned in pairs:
                if kept.is_floating_point():
                    kept.lerp_(learned, 1 - past)
                else:
                    kept.copy_(learned)
