"""ResNet-18 with an internal classifier after each residual stage (paper 2, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from napari_gliocam.nets.design import DEFAULT_STRIDES

EXITS = 4

#: Layers that normalise.  The papers' code takes ``"instance"``: without affine parameters a
#: lesion lowers the mean of its own map, so exits are learned the wrong way round.
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance-affine": partial(nn.InstanceNorm2d, affine=True),
    "instance": nn.InstanceNorm2d,
}


class MultiExitResNet(nn.Module):
    """A ResNet-18 whose four stages each end in a 1 x 1 convolution per class.

    With the default strides there is, against the torchvision network, no max-pool, and the
    last stage keeps its resolution: what counts is the map.

    Parameters
    ----------
    in_channels : int
        Modalities.
    classes : int
        Maps per exit.
    width : int
        Channels of the first stage (64 in the original).
    strides : 4 int
        Pixels of the slice a pixel of each exit; the first is 1, 2 or 4 (4: a max-pool follows
        the stem), each further one is as large as the one before or twice as large.  The
        original has 4, 8, 16, 32.
    norm : {"batch", "instance-affine", "instance"}
        See `NORMS`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1,
        width: int = 32,
        strides: Sequence[int] = DEFAULT_STRIDES,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        self.classes = classes
        make_norm = NORMS[norm]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 7, stride=min(strides[0], 2), padding=3, bias=False),
            make_norm(width),
            nn.ReLU(inplace=True),
        )
        if strides[0] == 4:
            self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        widths = [width, 2 * width, 4 * width, 8 * width]
        steps = [1, *(b // a for a, b in pairwise(strides))]
        inputs = [width, *widths[:-1]]
        self.stages = nn.ModuleList(
            _stage(i, o, s, make_norm) for i, o, s in zip(inputs, widths, steps, strict=True)
        )
        self.exits = nn.ModuleList(nn.Conv2d(w, classes, 1) for w in widths)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the output of each stage, (B, C_l, h_l, w_l), from (B, in_channels, H, W)."""
        x = self.stem(images)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out

    def exits_after(self, layer: int, activation: Tensor, exits: Sequence[int]) -> list[Tensor]:
        """Return the maps of some exits from the output of a stage.

        Parameters
        ----------
        layer : int
            The stage, from 1; 0 for the images.
        activation : Tensor, shape (B, C_l, h_l, w_l)
            Its output.
        exits : sequence of int
            Exits from 1, in order; those before ``layer`` do not depend on the activation and are
            left out.

        Returns
        -------
        list of Tensor, each (B, classes, h_l, w_l)
            Logits as learned, see `forward`.
        """
        found = []
        for number in range(layer, max(exits) + 1):
            if number == 0:
                activation = self.stem(activation)
            elif number > layer:
                activation = self.stages[number - 1](activation)
            if number in exits:
                found.append(self.exits[number - 1](activation))
        return found

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the activation maps of the four exits.

        Parameters
        ----------
        images : Tensor, shape (B, in_channels, H, W)
            H and W multiples of 16.

        Returns
        -------
        list of 4 Tensor, each (B, classes, h_l, w_l)
            Logits, unbounded, as learned: see `GliocamNet` for their polarity.  ``h_l`` is H
            divided by the exit's stride, rounded up.
        """
        return self.exits_after(0, images, range(1, EXITS + 1))


def _stage(
    inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]
) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs)
        )
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride, shortcut, norm_layer=norm),
        BasicBlock(outputs, outputs, norm_layer=norm),
    )


def pool(activation: Tensor, brain: Tensor, pooling: str = "lse") -> Tensor:
    """Return the image-level logits of one exit by a bundle's pooling.

    Parameters
    ----------
    activation : Tensor, (B, C, h, w)
        Maps of an exit before pooling.
    brain : Tensor, (B, 1, H, W)
        1 in the brain, 0 in air.
    pooling : {"lse", "gap"}
        ``gap`` is the papers' average over the whole map (paper 1, Eq. 1), air included.
    """
    return lse_pool(activation, brain) if pooling == "lse" else activation.mean(dim=(2, 3))


def lse_pool(activation: Tensor, brain: Tensor, sharpness: float = 3.0) -> Tensor:
    """Pool by log-sum-exp over the brain, a smooth maximum between mean and max.

    ``1/r log(mean over the brain of exp(r A))`` (Pinheiro & Collobert 2015, Eq. 6).  With
    plain averaging (paper 1, Eq. 1) small lesions vanish in the mean and deep exits light up
    the wrong side; measured in the trials that led to this design.

    Parameters
    ----------
    activation : Tensor, (B, C, h, w)
        Logits of one exit.
    brain : Tensor, (B, 1, H, W)
        1 in the brain, 0 in air; any resolution.
    sharpness : float
        ``r``; 0 would be the mean, infinity the maximum.

    Returns
    -------
    Tensor, (B, C)
        Image-level logits.
    """
    height, width = activation.shape[-2:]
    inside = nn.functional.adaptive_avg_pool2d(brain, (height, width)) > 0.3
    logits = activation.masked_fill(~inside, -1e4)  # not -inf: a slice may hold no brain
    count = inside.sum(dim=(2, 3)) + 1
    return (torch.logsumexp(logits * sharpness, dim=(2, 3)) - torch.log(count)) / sharpness
