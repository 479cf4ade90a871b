"""A segmentation network that learns from computed masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_gliocam.train.data.mask_batches import MaskBatch
from napari_gliocam.train.recipe.segmenter import SegmenterRecipe
from napari_gliocam.train.stages.mask_losses import mask_terms
from napari_gliocam.train.stages.stage import Stage, Terms


class SegmenterStage(Stage):
    """A network that learns to give the masks of slices.

    Parameters
    ----------
    network : Module
        Takes slices with their neighbours as channels, returns three logits a pixel.
    recipe : SegmenterRecipe
        Loss and optimisation.
    """

    batch_type = MaskBatch

    def __init__(self, network: nn.Module, recipe: SegmenterRecipe) -> None:
        super().__init__(recipe.fit)
        self.network, self.loss = network, recipe.loss

    def terms(self, batch: MaskBatch) -> Terms:
        """Return the weighted terms of the loss."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(images)
        return mask_terms(logits.float(), batch, self.loss)
