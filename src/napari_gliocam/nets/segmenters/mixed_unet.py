"""Mixed-UNet (paper 3): one encoder, two decoders side by side, fused."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_gliocam.nets.segmenters.unet import double_convolution

#: Channels of the encoder.
_WIDTHS = (64, 128, 256, 512)
#: Channels that each decoder ends with, and those of the fused maps at full resolution.
_DECODED, _FUSED = 64, 64


class _Decoder(nn.Module):
    """Two stages up: to a quarter and to half of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        _, half, quarter, deep = _WIDTHS
        self.up_quarter = nn.ConvTranspose2d(deep, quarter, 2, stride=2)
        self.merge_quarter = double_convolution(2 * quarter, quarter)
        self.up_half = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.merge_half = double_convolution(2 * half, _DECODED)

    def forward(self, half: Tensor, quarter: Tensor, deep: Tensor) -> Tensor:
        x = self.merge_quarter(torch.cat([quarter, self.up_quarter(deep)], dim=1))
        decoded: Tensor = self.merge_half(torch.cat([half, self.up_half(x)], dim=1))
        return decoded


class MixedUNet(nn.Module):
    """The network of paper 3 as far as its text fixes it.

    Three 3 x 3 max-pools; two decoders of the same form whose results are joined, convolved twice
    and enlarged once.  The paper counts 10,303,105 parameters and does not give the channels; this
    design, whose second decoder stage has 64, has 10,240,705 at three channels and one output.
    Convolutions are padded: the paper crops, yet its output is as large as its input.

    Parameters
    ----------
    in_channels, outputs
        As in `napari_gliocam.nets.segmenters.unet.UNet`.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        inputs = (in_channels, *_WIDTHS)
        self.down = nn.ModuleList(
            double_convolution(i, o) for i, o in zip(inputs, _WIDTHS, strict=False)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.decoders = nn.ModuleList(_Decoder() for _ in range(2))
        self.fuse = double_convolution(2 * _DECODED, 2 * _DECODED)
        self.enlarge = nn.ConvTranspose2d(2 * _DECODED, _FUSED, 2, stride=2)
        self.head = nn.Conv2d(_FUSED, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, outputs, H, W), from slices (B, in_channels, H, W).

        H and W are multiples of 8.
        """
        levels = [self.down[0](images)]
        for block in self.down[1:]:
            levels.append(block(self.pool(levels[-1])))
        decoded = torch.cat([decoder(*levels[1:]) for decoder in self.decoders], dim=1)
        logits: Tensor = self.head(self.enlarge(self.fuse(decoded)))
        return logits
