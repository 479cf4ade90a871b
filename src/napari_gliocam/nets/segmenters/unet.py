"""U-Net (Ronneberger et al. 2015) as it is counted in paper 3, and the blocks it shares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Channels of each level: those of the original, and those of the small one that runs on a CPU.
ORIGINAL_WIDTHS = (64, 128, 256, 512, 1024)
SMALL_WIDTHS = (16, 32, 64, 128, 256)


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each with bias, batch norm and ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """An encoder and a decoder with skip connections at every level.

    With the original widths, three channels and one output it has 31,043,521 parameters, the
    number in paper 3, Table 4.

    Parameters
    ----------
    in_channels : int
        Modalities, times slices.
    outputs : int
        Maps.
    widths : sequence of int
        Channels of each level, from full resolution down.
    """

    def __init__(
        self, in_channels: int = 3, outputs: int = 3, widths: Sequence[int] = ORIGINAL_WIDTHS
    ) -> None:
        super().__init__()
        back = list(reversed(widths))
        self.down = nn.ModuleList(
            double_convolution(i, o) for i, o in pairwise((in_channels, *widths))
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairwise(back))
        self.merge = nn.ModuleList(double_convolution(2 * o, o) for o in back[1:])
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, outputs, H, W), from slices (B, in_channels, H, W).

        H and W are multiples of 16.
        """
        levels = [self.down[0](images)]
        for block in self.down[1:]:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([levels.pop(), up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits
