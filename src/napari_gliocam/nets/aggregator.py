"""Per-pixel attention over the exits: one set of weights a class (papers 1 and 2)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.multi_exit import EXITS


class ExitAttention(nn.Module):
    """Softmax weights over the exits from the image masked by each exit's map.

    Paper 1, Eq. 4: ``S = A([x * N(F_l)] over l)``; paper 2, Eq. 2 is the case of one class.
    The last layer starts at zero, so training starts from the plain average of the exits.

    Parameters
    ----------
    classes : int
        1 for the tumour, 2 for core and edema.
    in_channels : int
        Modalities.
    hidden : int
        Channels between.
    shared : bool
        True: the same weights look at each class alone, so that the order of the classes does
        not matter.  False: one network sees all classes at once.
    """

    def __init__(
        self, classes: int = 1, in_channels: int = 3, hidden: int = 16, shared: bool = False
    ) -> None:
        super().__init__()
        self.classes = classes
        self.shared = shared
        together = 1 if shared else classes
        last = nn.Conv2d(hidden, EXITS * together, 1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Conv2d(EXITS * together * in_channels, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            last,
        )

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Return the attention weights.

        Parameters
        ----------
        images : Tensor, (B, in_channels, h, w)
            Slices as the attention network sees them.
        maps : Tensor, (B, 4, classes, h, w)
            In [0, 1].

        Returns
        -------
        Tensor, (B, 4, classes, h, w)
            Sum to 1 over the exits.
        """
        b, exits, classes, h, w = maps.shape
        masked = images[:, None, None] * maps[:, :, :, None]
        masked = masked.transpose(1, 2).reshape(b * classes if self.shared else b, -1, h, w)
        scores: Tensor = self.layers(masked).view(b, classes, exits, h, w)
        return scores.softmax(dim=2).transpose(1, 2)


class VolumeAttention(nn.Module):
    """The attention of paper 1's code: 3-D convolutions with the classes as depth.

    The image is first projected to one channel (P of paper 1, Eq. 6), four layers of
    convolution, batch norm and ReLU follow.  ReLU before the softmax keeps every exit's weight
    above ``1 / (1 + sum of e^s)``; classes see their neighbours in the order they are given.

    Parameters
    ----------
    classes, in_channels, hidden : int
        As in `ExitAttention`.
    """

    def __init__(self, classes: int = 1, in_channels: int = 3, hidden: int = 32) -> None:
        super().__init__()
        self.classes = classes
        self.project = nn.Conv2d(in_channels, 1, 1)
        widths = [EXITS, hidden, hidden, hidden, EXITS]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv3d(i, o, 3, padding=1, bias=False), nn.BatchNorm3d(o), nn.ReLU()
                )
                for i, o in pairwise(widths)
            )
        )

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Return the attention weights as `ExitAttention.forward` does."""
        scores: Tensor = self.layers(self.project(images)[:, None] * maps)
        return scores.softmax(dim=1)


def make_attention(kind: str, classes: int, in_channels: int) -> ExitAttention | VolumeAttention:
    """Return the attention network of a design, see `napari_gliocam.nets.design.Design`."""
    if kind == "conv3d":
        return VolumeAttention(classes, in_channels)
    return ExitAttention(classes, in_channels, shared=kind == "shared")


def exit_maps(logits: list[Tensor], brain: Tensor, map_range: str = "sigmoid") -> Tensor:
    """Return the maps of all exits on the network grid, 0 outside the brain.

    Parameters
    ----------
    logits : list of 4 Tensor, each (B, C, h_l, w_l)
        In positive polarity.
    brain : Tensor, (B, 1, H, W)
        1 in the brain, 0 in air.
    map_range : {"sigmoid", "min-max", "raw"}
        How logits become maps.

    Returns
    -------
    Tensor, (B, 4, C, H, W)
        In [0, 1], unless raw.
    """
    size = brain.shape[-2:]
    # Few channels enlarge faster one after the other than interleaved (channels last).
    enlarged = [
        F.interpolate(m.contiguous(), size=size, mode="bilinear", align_corners=False)
        for m in logits
    ]
    maps = torch.stack(enlarged, dim=1)
    if map_range == "sigmoid":
        return maps.sigmoid() * brain[:, None]
    if map_range == "min-max":
        return stretch(maps, brain[:, None])
    return maps * brain[:, None]


def stretch(maps: Tensor, brain: Tensor) -> Tensor:
    """Scale each map to [0, 1] over its own brain: n(.) of paper 2, Eq. 2.

    The papers' code takes minimum and maximum over the classes instead of the pixels, which
    leaves 0 for one class and 0 or 1 for two; that slip is not reproduced.

    Parameters
    ----------
    maps : Tensor, (..., h, w)
        Maps of any range.
    brain : Tensor
        Broadcasts against ``maps``; 1 inside.

    Returns
    -------
    Tensor, as ``maps``
        0 outside the brain, and everywhere for a constant map.
    """
    inside = (brain > 0.5).expand_as(maps)
    low = maps.masked_fill(~inside, torch.inf).amin(dim=(-2, -1), keepdim=True)
    high = maps.masked_fill(~inside, -torch.inf).amax(dim=(-2, -1), keepdim=True)
    low, high = low.nan_to_num(posinf=0.0), high.nan_to_num(neginf=0.0)  # no brain at all
    scaled = (maps - low) / (high - low).clamp_min(1e-5)
    return torch.where(inside, scaled, 0.0)


def seen_by_attention(maps: Tensor, brain: Tensor, map_range: str) -> Tensor:
    """Return maps in [0, 1] for the attention, N(.) of paper 1, Eq. 4; sigmoid maps have a scale.

    Parameters
    ----------
    maps : Tensor, (B, 4, C, h, w)
        Maps of the four exits for C targets.
    brain : Tensor, (B, 1, h, w)
        Share of brain in each pixel, in [0, 1].
    map_range : {"sigmoid", "min-max", "raw"}
        How logits become maps.
    """
    return maps if map_range == "sigmoid" else stretch(maps, brain[:, None])


def guide(class_maps: Tensor, tumour: Tensor, form: str = "geometric") -> Tensor:
    """Multiply the tumour map into the class maps (paper 1, Eq. 3).

    Parameters
    ----------
    class_maps : Tensor, (B, 4, C, H, W)
        Maps of core and edema at each exit.
    tumour : Tensor, (B, 1, H, W)
        In [0, 1].
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
    """Share the tumour map out to the classes by the ratio of their maps.

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


def shrink(maps: Tensor, stride: int) -> Tensor:
    """Average pool the last two axes of a tensor with any number of leading ones."""
    pooled = F.avg_pool2d(maps.flatten(0, -4), stride)
    return pooled.reshape(*maps.shape[:-2], *pooled.shape[-2:])


def weigh(attention: Tensor, maps: Tensor) -> Tensor:
    """Sum maps times weights over the exits, the weights enlarged to the maps' grid.

    Parameters
    ----------
    attention : Tensor, (B, 4, C, h, w)
        Weight of each exit, summing to 1 over the exits.
    maps : Tensor, (B, 4, C, H, W)
        Maps of the four exits for C targets.

    Returns
    -------
    Tensor, (B, C, H, W)
    """
    weights = F.interpolate(
        attention.flatten(1, 2), size=maps.shape[-2:], mode="bilinear", align_corners=False
    )
    return (weights.reshape(maps.shape) * maps).sum(dim=1)
