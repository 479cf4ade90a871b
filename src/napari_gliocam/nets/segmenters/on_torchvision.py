"""FCN on VGG-16 and DeepLabV3 on ResNet-50, from torchvision without pre-trained weights."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torchvision.models import vgg16
from torchvision.models.segmentation import deeplabv3_resnet50

#: Channels of the deconvolutions.
_WIDTHS = (512, 512, 256, 128, 64, 32)


class FCN(nn.Module):
    """FCN (Long et al. 2015): VGG-16, then deconvolutions that its pooled features are added to.

    18,643,713 parameters at three channels and one output, the number in paper 3, Table 4.

    Parameters
    ----------
    in_channels, outputs
        As in `napari_gliocam.nets.segmenters.unet.UNet`.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.features = vgg16(weights=None).features
        self.features[0] = _with_inputs(self.features[0], in_channels)
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


class DeepLabV3(nn.Module):
    """DeepLabV3 (Chen et al. 2017) without its auxiliary head.

    39,633,729 parameters at three channels and one output, the number in paper 3, Table 4.

    Parameters
    ----------
    in_channels, outputs
        As in `napari_gliocam.nets.segmenters.unet.UNet`.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.network = deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=outputs, aux_loss=None
        )
        backbone = self.network.backbone
        backbone.conv1 = _with_inputs(backbone.conv1, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, outputs, H, W), from slices (B, in_channels, H, W)."""
        return cast(Tensor, self.network(images)["out"])


def _with_inputs(first: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return a first convolution like another one, for so many channels."""
    if channels == first.in_channels:
        return first
    size, stride, bias = first.kernel_size[0], first.stride[0], first.bias is not None
    return nn.Conv2d(channels, first.out_channels, size, stride, size // 2, bias=bias)
