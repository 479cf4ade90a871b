"""All networks of a bundle as one: slices in, every map out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from napari_gliocam.nets.aggregator import ExitAttention, exit_maps, guide, share, shrink, weigh
from napari_gliocam.nets.multi_exit import MultiExitResNet, lse_pool


class Maps(NamedTuple):
    """What the networks say of a batch of slices.

    Parameters
    ----------
    aggregates : Tensor, (B, 3, H, W)
        Tumour, core, edema in [0, 1].
    guided : Tensor, (B, 2, H, W)
        Mean over the exits of the guided class maps, core and edema, in [0, 1].
    exits : list of 4 Tensor, each (B, 3, h_l, w_l)
        Sigmoid maps of tumour, core, edema at native resolution, in [0, 1].
    logits : Tensor, (B, 3)
        Image-level logits of tumour, core, edema: mean over exits 2 to 4.
    """

    aggregates: Tensor
    guided: Tensor
    exits: list[Tensor]
    logits: Tensor


class GliocamNet(nn.Module):
    """Tumour network, class network and their attention aggregators (papers 1 and 2).

    Parameters
    ----------
    in_channels, width : int
        As in `MultiExitResNet`.
    guidance : {"geometric", "product"}
        As in `guide`.
    sharing : bool
        Whether the aggregated class maps share out the tumour map, see `share`; the papers'
        own form is False.
    """

    def __init__(
        self,
        in_channels: int = 3,
        width: int = 32,
        guidance: str = "geometric",
        sharing: bool = True,
    ) -> None:
        super().__init__()
        self.guidance = guidance
        self.sharing = sharing
        self.tumour = MultiExitResNet(in_channels, 1, width)
        self.classes = MultiExitResNet(in_channels, 2, width)
        self.tumour_attention = ExitAttention(1, in_channels)
        self.class_attention = ExitAttention(2, in_channels)

    def forward(self, images: Tensor, brain: Tensor) -> Maps:
        """All maps of a batch.

        Parameters
        ----------
        images : Tensor, (B, in_channels, H, W)
        brain : Tensor, (B, 1, H, W)
            1 in the brain, 0 in air.
        """
        tumour_logits, class_logits = self.tumour(images), self.classes(images)
        exits = [torch.cat(pair, dim=1) for pair in zip(tumour_logits, class_logits, strict=True)]
        image_logits = torch.stack([lse_pool(e.float(), brain) for e in exits[1:]]).mean(dim=0)
        aggregates, guided = self.aggregate(images, [e.float() for e in exits], brain)
        return Maps(aggregates, guided, [e.sigmoid() for e in exits], image_logits)

    def aggregate(
        self, images: Tensor, exits: list[Tensor], brain: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Aggregates (B, 3, H, W) and mean guided maps (B, 2, H, W) from the exits' logits."""
        maps = exit_maps(exits, brain)
        small, small_images = shrink(maps), shrink(images)
        tumour_maps = maps[:, :, :1]
        attention = self.tumour_attention(small_images, small[:, :, :1])
        tumour = weigh(attention, tumour_maps)
        small_tumour = (attention * small[:, :, :1]).sum(dim=1)
        guided = guide(maps[:, :, 1:], tumour, self.guidance) * brain[:, None]
        small_guided = guide(small[:, :, 1:], small_tumour, self.guidance)
        classes = weigh(self.class_attention(small_images, small_guided), guided)
        if self.sharing:
            classes = share(classes, tumour)
        return torch.cat([tumour, classes], dim=1), guided.mean(dim=1)
