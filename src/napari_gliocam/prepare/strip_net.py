"""The network that finds the brain in a head: a small 3-D U-Net, trained on drawn heads."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

#: Voxel size in mm that the network was trained at.
SPACING = 2.0
#: Channels of each level, the first at twice the voxel size; a volume must be divisible by STRIDE.
WIDTHS = (32, 64, 96, 128)
STRIDE = 2 ** len(WIDTHS)
#: Percentiles that become 0 and 1.
_LOW, _HIGH = 0.5, 99.5
WEIGHTS = Path(__file__).with_name("strip.safetensors")


class StripNet(nn.Module):
    """Map a head of any contrast to logits of the brain, (N, 1, S, P, L).

    The U-Net works at twice the voxel size, where each of its voxels holds 2 x 2 x 2 of the image:
    four times quicker than at full size.  Two small convolutions then draw the border.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([_pair(8, WIDTHS[0])])
        self.down.extend(_pair(below, here, 2) for below, here in pairwise(WIDTHS))
        self.up = nn.ModuleList(_pair(here + below, here) for here, below in pairwise(WIDTHS))
        self.head = nn.Conv3d(WIDTHS[0], 8 * 4, 1)
        self.border = nn.Sequential(
            nn.Conv3d(4 + 1, 8, 3, padding=1), nn.LeakyReLU(0.1, inplace=True), nn.Conv3d(8, 1, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        image : Tensor, shape (N, 1, S, P, L)
            Standardised by `standardise`, sides divisible by 16.
        """
        features = []
        values = _blocks_to_channels(image)
        for down in self.down:
            values = down(values)
            features.append(values)
        for level in reversed(range(len(self.up))):
            values = interpolate(values, scale_factor=2, mode="trilinear", align_corners=False)
            values = self.up[level](torch.cat([values, features[level]], dim=1))
        values = _channels_to_blocks(self.head(values))
        logits: Tensor = values[:, :1] + self.border(torch.cat([values, image], dim=1))
        return logits


def _pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, step in ((inputs, stride), (outputs, 1)):
        layers += [
            nn.Conv3d(before, outputs, 3, step, 1, bias=False),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    return nn.Sequential(*layers)


def _blocks_to_channels(image: Tensor) -> Tensor:
    """Return each block of 2 x 2 x 2 voxels of (N, 1, S, P, L) as eight channels of one."""
    n, _, s, p, l = image.shape
    halves = image.reshape(n, s // 2, 2, p // 2, 2, l // 2, 2)
    return halves.permute(0, 2, 4, 6, 1, 3, 5).reshape(n, 8, s // 2, p // 2, l // 2)


def _channels_to_blocks(values: Tensor) -> Tensor:
    """Return each eight channels of one voxel as a block of 2 x 2 x 2."""
    n, channels, s, p, l = values.shape
    blocks = values.reshape(n, channels // 8, 2, 2, 2, s, p, l).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(n, channels // 8, 2 * s, 2 * p, 2 * l)


def standardise(image: Tensor) -> Tensor:
    """Scale a volume so that its 0.5 and 99.5 percentiles become 0 and 1.

    Parameters
    ----------
    image : Tensor, shape (S, P, L)
        In the scanner's units.
    """
    values = image.flatten()
    values = values[:: max(len(values) // 500_000, 1)].sort().values
    low, high = (values[round((len(values) - 1) * p / 100)] for p in (_LOW, _HIGH))
    return ((image - low) / (high - low).clamp_min(1e-6)).clamp(-0.2, 1.5)


@lru_cache(maxsize=1)
def load_strip_net() -> StripNet:
    """Load the network that ships with the package, ready to run."""
    net = StripNet()
    net.load_state_dict({name: values.float() for name, values in load_file(WEIGHTS).items()})
    return net.eval().requires_grad_(False)
