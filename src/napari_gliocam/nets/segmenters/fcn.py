"""FCN on VGG-16 (Long et al. 2015) in the form that paper 3 counts."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torchvision.models import vgg16

#: Channels of the deconvolutions.
_WIDTHS = (512, 512, 256, 128, 64, 32)


class FCN(nn.Module):
    """The convolutions of VGG-16, then five deconvolutions that the pooled features are added to.

    18,643,713 parameters at three channels and one output, the number in paper 3, Table 4.

    Parameters
    ----------
    in_channels : int
        Modalities, times slices.
    outputs : int
        Maps.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        features = vgg16(weights=None).features
        first = features[0]
        if in_channels != first.in_channels:
            features[0] = nn.Conv2d(in_channels, first.out_channels, 3, padding=1)
        self.features = features
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(i, o, 3, stride=2, padding=1, output_padding=1),
                nn.ReLU(inplace=True),
            )
            for i, o in pairwise(_WIDTHS)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in _WIDTHS[1:])
        self.head = nn.Conv2d(_WIDTHS[-1], outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, outputs, H, W), from slices (B, in_channels, H, W).

        H and W are multiples of 32.
        """
        pooled, x = [], images
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(x)
        x = pooled.pop()
        for up, norm in zip(self.up, self.norms, strict=True):
            x = up(x)
            x = norm(x + pooled.pop() if pooled else x)
        logits: Tensor = self.head(x)
        return logits
