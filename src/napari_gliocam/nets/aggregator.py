"""Per-pixel attention over the exits: one set of weights a class (papers 1 and 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.multi_exit import EXITS

#: The attention network sees images and maps at this fraction of the network grid: at full
#: resolution it would cost more than the backbone.
ATTENTION_STRIDE = 2


class ExitAttention(nn.Module):
    """Softmax weights over the exits from the image masked by each exit's map.

    Paper 1, Eq. 4: ``S = A([x * N(F_l)] over l)``; paper 2, Eq. 4 is the case of one class.
    The last layer starts at zero, so training starts from the plain average of the exits.

    Parameters
    ----------
    classes : int
        1 for the tumour, 2 for core and edema.
    in_channels : int
        Modalities.
    hidden : int
        Channels between.
    """

    def __init__(self, classes: int = 1, in_channels: int = 3, hidden: int = 16) -> None:
        super().__init__()
        self.classes = classes
        last = nn.Conv2d(hidden, EXITS * classes, 1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Conv2d(EXITS * classes * in_channels, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            last,
        )

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Attention weights.

        Parameters
        ----------
        images : Tensor, (B, in_channels, h, w)
        maps : Tensor, (B, 4, classes, h, w)
            In [0, 1].

        Returns
        -------
        Tensor, (B, 4, classes, h, w)
            Sum to 1 over the exits.
        """
        b, exits, classes, h, w = maps.shape
        masked = images[:, None, None] * maps[:, :, :, None]
        masked = masked.transpose(1, 2).reshape(b, -1, h, w)
        scores: Tensor = self.layers(masked).view(b, classes, exits, h, w)
        return scores.softmax(dim=2).transpose(1, 2)


def exit_maps(logits: list[Tensor], brain: Tensor) -> Tensor:
    """Sigmoid maps of all exits on the network grid, inside the brain.

    Parameters
    ----------
    logits : list of 4 Tensor, each (B, C, h_l, w_l)
    brain : Tensor, (B, 1, H, W)

    Returns
    -------
    Tensor, (B, 4, C, H, W)
        In [0, 1].
    """
    size = brain.shape[-2:]
    # Few channels enlarge faster one after the other than interleaved (channels last).
    enlarged = [
        F.interpolate(m.contiguous(), size=size, mode="bilinear", align_corners=False)
        for m in logits
    ]
    return torch.stack(enlarged, dim=1).sigmoid() * brain[:, None]


def guide(class_maps: Tensor, tumour: Tensor, form: str = "geometric") -> Tensor:
    """Multiply the tumour map into the class maps (paper 1, Eq. 3).

    Parameters
    ----------
    class_maps : Tensor, (B, 4, C, H, W)
    tumour : Tensor, (B, 1, H, W)
    form : {"geometric", "product"}
        ``product`` is the paper's; it shrinks the classes against a fixed threshold, the
        geometric mean of the two does not (measured).
    """
    product = class_maps * tumour[:, None]
    if form == "product":
        return product
    if form == "geometric":
        return product.clamp_min(1e-6).sqrt()
    raise ValueError(f"unknown guidance {form!r}")


def share(classes: Tensor, tumour: Tensor) -> Tensor:
    """Hand the tumour map out to the classes by the ratio of their maps.

    The larger class map becomes ``sqrt(tumour)``, the other one keeps its ratio to it.  So the
    two agree by construction where paper 1 asks for it by a loss (Eq. 8), and at the paper's
    thresholds (0.4, 0.5) every tumour voxel is core, edema or both.

    Parameters
    ----------
    classes : Tensor, (B, C, H, W)
        Aggregated class maps in [0, 1].
    tumour : Tensor, (B, 1, H, W)
        In [0, 1].
    """
    largest = classes.amax(dim=1, keepdim=True).clamp_min(1e-4)
    return tumour.sqrt() * classes / largest


def shrink(maps: Tensor, stride: int = ATTENTION_STRIDE) -> Tensor:
    """Average pool the last two axes of a tensor with any number of leading ones."""
    pooled = F.avg_pool2d(maps.flatten(0, -4), stride)
    return pooled.reshape(*maps.shape[:-2], *pooled.shape[-2:])


def weigh(attention: Tensor, maps: Tensor) -> Tensor:
    """Sum of maps times weights over the exits, the weights enlarged to the maps' grid.

    Parameters
    ----------
    attention : Tensor, (B, 4, C, h, w)
    maps : Tensor, (B, 4, C, H, W)

    Returns
    -------
    Tensor, (B, C, H, W)
    """
    weights = F.interpolate(
        attention.flatten(1, 2), size=maps.shape[-2:], mode="bilinear", align_corners=False
    )
    return (weights.reshape(maps.shape) * maps).sum(dim=1)
