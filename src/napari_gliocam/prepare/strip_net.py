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
SPACING = 2.5
#: Channels of each level; a volume must be divisible by 2 ** (levels - 1).
WIDTHS = (16, 24, 48, 64, 64)
STRIDE = 2 ** (len(WIDTHS) - 1)
#: Percentiles that become 0 and 1.
_LOW, _HIGH = 0.5, 99.5
WEIGHTS = Path(__file__).with_name("strip.safetensors")


class StripNet(nn.Module):
    """Map a head of any contrast to logits of the brain, (N, 1, S, P, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        for level, width in enumerate(WIDTHS):
            if level == 0:
                self.down.append(_block(1, width))
            else:
                below = WIDTHS[level - 1]
                self.down.append(nn.Sequential(_block(below, width, 2), _block(width, width)))
        self.up = nn.ModuleList(_block(here + below, here) for here, below in pairwise(WIDTHS))
        self.head = nn.Conv3d(WIDTHS[0], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        image : Tensor, shape (N, 1, S, P, L)
            Standardised by `standardise`, sides divisible by 16.
        """
        features = []
        for down in self.down:
            image = down(image)
            features.append(image)
        for level in reversed(range(len(self.up))):
            image = interpolate(image, scale_factor=2, mode="trilinear", align_corners=False)
            image = self.up[level](torch.cat([image, features[level]], dim=1))
        logits: Tensor = self.head(image)
        return logits


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
        nn.InstanceNorm3d(outputs, affine=True),
        nn.LeakyReLU(0.1, inplace=True),
    )


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
