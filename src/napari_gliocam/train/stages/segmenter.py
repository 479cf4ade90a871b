"""A segmentation network that learns from computed masks, and its losses (paper 3, Eq. 8 to 10)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.segmenters.run import image_logits
from napari_gliocam.train.data.mask_batches import MaskBatch
from napari_gliocam.train.recipe.segmenter import MaskLoss, SegmenterRecipe
from napari_gliocam.train.stages.distributed import gather_rows, mean_over_rows
from napari_gliocam.train.stages.stage import Stage, Terms

#: Least probability in the seed loss, as in SEC (Kolesnikov & Lampert 2016).
FLOOR = 1e-4


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


def mask_terms(logits: Tensor, batch: MaskBatch, how: MaskLoss) -> Terms:
    """Return the weighted terms of the loss that have a weight.

    Parameters
    ----------
    logits : Tensor, (B, 3, H, W)
        Tumour, core and edema.
    batch : MaskBatch
        Masks and slice labels.
    how : MaskLoss
        Weights.
    """
    first, second = with_tumour(batch.masks), with_tumour(batch.second)
    terms: Terms = {}
    if how.seed:
        terms["seed"] = how.seed * seed_loss(logits, first, how.band_px)
    if how.cross_entropy:
        entropy = _cross_entropy(logits, (second > 0.5).float())
        terms["cross_entropy"] = how.cross_entropy * mean_over_rows(entropy)
    if how.overlap or how.pixels:
        target = (first + second) / 2
        weight = 1 - (1 - how.disagreement) * (first - second).abs()
        if how.overlap:
            terms["overlap"] = how.overlap * overlap_loss(logits, target, weight)
        if how.pixels:
            entropy = weight * _cross_entropy(logits, target)
            terms["pixels"] = how.pixels * logits.shape[1] * mean_over_rows(entropy)
    if how.images:
        brain = (batch.images != 0).any(dim=1, keepdim=True)
        shown = image_logits(logits, brain)
        terms["images"] = how.images * mean_over_rows(_cross_entropy(shown, batch.labels))
    return terms


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def with_tumour(masks: Tensor) -> Tensor:
    """Return masks of tumour, core and edema, (B, 3, H, W), from core and edema."""
    return torch.cat([masks.sum(dim=1, keepdim=True).clamp(max=1), masks], dim=1)


def seed_loss(logits: Tensor, masks: Tensor, band_px: int = 0) -> Tensor:
    """Return the seed loss (paper 3, Eq. 8) with foreground and background as seeds.

    ``-(sum over seeds of log p) / (number of seeds)`` for each slice, then the mean over slices,
    as in SEC.  Each target has one output, so that ``log(1 - p)`` stands for its background.

    Parameters
    ----------
    logits, masks : Tensor, (B, C, H, W)
        Outputs of the network, and masks in [0, 1]; 0.5 and more is foreground.
    band_px : int
        Pixels on either side of a border that are no seeds.
    """
    foreground = (masks >= 0.5).float()
    seeds = torch.ones_like(foreground)
    if band_px:
        size = 2 * band_px + 1
        near = F.max_pool2d(foreground, size, 1, band_px)
        deep = 1 - F.max_pool2d(1 - foreground, size, 1, band_px)
        seeds = 1 - near + deep
    p = logits.sigmoid().clamp(FLOOR, 1 - FLOOR)
    log = foreground * p.log() + (1 - foreground) * (1 - p).log()
    counts = seeds.sum(dim=(1, 2, 3)).clamp_min(1)
    return -mean_over_rows((seeds * log).sum(dim=(1, 2, 3)) / counts)


def overlap_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the sum over the targets of 1 - soft Dice over the whole batch (squared form).

    Parameters
    ----------
    logits, target, weight : Tensor, (B, C, H, W)
        Outputs of the network, soft masks in [0, 1], and the weight of each pixel.
    """
    p = logits.sigmoid()
    slices = torch.stack([weight * p * target, weight * (p.square() + target.square())], dim=1)
    both, each = gather_rows(slices.sum(dim=(3, 4))).sum(dim=0)
    loss: Tensor = (1 - (2 * both + 1) / (each + 1)).sum()
    return loss
