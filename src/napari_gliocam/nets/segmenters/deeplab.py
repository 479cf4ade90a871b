"""DeepLabV3 (Chen et al. 2017) on ResNet-50, from torchvision."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50


class DeepLabV3(nn.Module):
    """torchvision's network without its auxiliary head, without pre-trained weights.

    39,633,729 parameters at three channels and one output, the number in paper 3, Table 4.

    Parameters
    ----------
    in_channels : int
        Modalities, times slices.
    outputs : int
        Maps.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.network = deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=outputs, aux_loss=None
        )
        first = self.network.backbone.conv1
        if in_channels != first.in_channels:
            self.network.backbone.conv1 = nn.Conv2d(
                in_channels, first.out_channels, 7, stride=2, padding=3, bias=False
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (B, outputs, H, W), from slices (B, in_channels, H, W)."""
        return cast(Tensor, self.network(images)["out"])
