"""A backbone with an internal classifier after each stage (paper 2, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_gliocam.nets.backbones import NORMS, make_backbone
from napari_gliocam.nets.design import ALL_EXITS, DEFAULT_STRIDES, nearest_exit

#: Stages, each with the map of an exit.
EXITS = len(ALL_EXITS)


class MultiExitNet(nn.Module):
    """A backbone whose stages end in a 1 x 1 convolution per class.

    With the default strides there is, against torchvision's ResNet-18, no max-pool, and the last
    stage keeps its resolution: what counts is the map.  With one exit at the end and averages for
    pooling it is a plain classifier: a linear layer after an average is the average after a
    1 x 1 convolution.

    Parameters
    ----------
    in_channels : int
        Modalities.
    classes : int
        Maps per exit.
    width : int
        Channels of the stem (64 in the original).
    strides : 4 int
        Pixels of the slice a pixel of each exit; the first is 1, 2 or 4 (4: a max-pool follows
        the stem), each further one is as large as the one before or twice as large.  The
        original has 4, 8, 16, 32.
    norm : {"batch", "instance-affine", "instance", "none"}
        See `NORMS`.
    backbone : str
        See `napari_gliocam.nets.backbones.make_backbone`.
    exit_stages : sequence of int
        Stages with an exit; a stage without one answers with the map of the nearest, see
        `napari_gliocam.nets.design.nearest_exit`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1,
        width: int = 32,
        strides: Sequence[int] = DEFAULT_STRIDES,
        norm: str = "batch",
        backbone: str = "resnet18",
        exit_stages: Sequence[int] = ALL_EXITS,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.exit_stages = tuple(exit_stages)
        self.stem, self.stages, widths = make_backbone(
            backbone, in_channels, width, strides, NORMS[norm]
        )
        self.exits = nn.ModuleList(
            nn.Conv2d(w, classes, 1) if number in self.exit_stages else nn.Identity()
            for number, w in enumerate(widths, start=1)
        )
        self.widths = widths

    def exit_of(self, number: int) -> int:
        """Return the exit that answers for a stage, both from 1."""
        return nearest_exit(number, self.exit_stages)

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
            left out.  A stage without an exit stands for the nearest one, `exit_of`.

        Returns
        -------
        list of Tensor, each (B, classes, h_l, w_l)
            Logits as learned, see `forward`.
        """
        wanted = [self.exit_of(number) for number in exits]
        made: dict[int, Tensor] = {}
        for number in range(layer, max(wanted) + 1):
            if number == 0:
                activation = self.stem(activation)
            elif number > layer:
                activation = self.stages[number - 1](activation)
            if number in wanted:
                made[number] = self.exits[number - 1](activation)
        return [made[number] for number in wanted if number in made]

    def exits_of(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps of the four exits from the outputs of the four stages."""
        made = {n: self.exits[n - 1](stages[n - 1]) for n in self.exit_stages}
        return [made[self.exit_of(number)] for number in ALL_EXITS]

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
        return self.exits_after(0, images, ALL_EXITS)


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
