"""A segmentation network from its design."""

from __future__ import annotations

from torch import nn

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.nets.segmenters.mixed_unet import MixedUNet
from napari_gliocam.nets.segmenters.on_torchvision import FCN, DeepLabV3
from napari_gliocam.nets.segmenters.unet import SMALL_WIDTHS, UNet
from napari_gliocam.targets import TARGETS


def build_segmenter(
    design: SegmenterDesign, modalities: int = 3, outputs: int = len(TARGETS)
) -> nn.Module:
    """Return a network with random weights.

    Parameters
    ----------
    design : SegmenterDesign
        Architecture and slices that it sees.
    modalities : int
        Modalities of a slice.
    outputs : int
        Maps: tumour, core and edema by default; one in the tables of paper 3.

    Returns
    -------
    Module
        Takes slices (B, `SegmenterDesign.channels`, H, W), with H and W multiples of
        `napari_gliocam.nets.segmenters.design.SIDE_MULTIPLE`, and returns logits
        (B, outputs, H, W).
    """
    channels = design.channels(modalities)
    match design.architecture:
        case "small-unet":
            return UNet(channels, outputs, SMALL_WIDTHS)
        case "unet":
            return UNet(channels, outputs)
        case "mixed-unet":
            return MixedUNet(channels, outputs)
        case "fcn":
            return FCN(channels, outputs)
        case "deeplabv3":
            return DeepLabV3(channels, outputs)
