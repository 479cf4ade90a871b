"""Where in a network a map is taken, and which logit it explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_gliocam.errors import GliocamError
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.nets.gliocam import GliocamNet
    from napari_gliocam.nets.multi_exit import MultiExitResNet

#: The exits whose mean is the image-level logit of the bundle, see `Maps.logits`.
MEAN_EXITS = (2, 3, 4)

#: Which of the two networks knows a target, and the column of its logit there.
COLUMN: dict[Target, tuple[Literal["tumour", "classes"], int]] = {
    "tumour": ("tumour", 0),
    "core": ("classes", 0),
    "edema": ("classes", 1),
}


@dataclass(frozen=True)
class ExplainedLayer:
    """The layer that is explained and the score it is explained by.

    Parameters
    ----------
    layer : int
        Residual stage whose output is the layer, from 1.  For the network's own exit maps the
        exit of that number.
    score : int, "mean" or None
        The image-level logit that is explained: that of one exit, or the mean over exits 2
        to 4 (the one behind the bundle's probabilities).  None, the default, is the exit
        right after the layer: the map then tells what that exit saw in its own features, and
        no stage after it has to run.
    """

    layer: int = 4
    score: int | Literal["mean"] | None = None

    @property
    def exits(self) -> tuple[int, ...]:
        """The exits whose logits are averaged into the score."""
        if self.score == "mean":
            return MEAN_EXITS
        return (self.layer if self.score is None else self.score,)

    def check(self, part: MultiExitResNet) -> None:
        """Raise `GliocamError` if the network lacks the layer, or the score comes before it."""
        count = len(part.stages)
        for number, word in [(self.layer, "layer")] + [(e, "exit") for e in self.exits]:
            if not 1 <= number <= count:
                there = ", ".join(str(n) for n in range(1, count + 1))
                raise GliocamError(
                    f"The network has no {word} {number}; choose one of its layers {there}."
                )
        if max(self.exits) < self.layer:
            raise GliocamError(
                f"Exit {max(self.exits)} does not depend on layer {self.layer}, which comes after "
                f"it; choose exit {self.layer} or a later one as the score."
            )


def part_of(net: GliocamNet, target: Target) -> MultiExitResNet:
    """The network that knows a target."""
    part: MultiExitResNet = getattr(net, COLUMN[target][0])
    return part


def score_from(
    part: MultiExitResNet, activation: Tensor, brain: Tensor, layer: int, exits: Sequence[int]
) -> Tensor:
    """Image-level logits from the output of a layer; runs the later stages that count.

    Parameters
    ----------
    part : MultiExitResNet
    activation : Tensor, (B, C_l, h_l, w_l)
        Output of stage ``layer``; the images, (B, in_channels, H, W), for layer 0.
    brain : Tensor, (B, 1, H, W) or (1, 1, H, W)
    layer : int
    exits : sequence of int
        The score is the mean of their logits; those before ``layer`` do not depend on the
        activation and are left out of the sum, not of the number that divides it.

    Returns
    -------
    Tensor, (B, classes)
    """
    from napari_gliocam.nets.multi_exit import lse_pool

    total: Tensor | None = None
    for number in range(layer, max(exits) + 1):
        if number == 0:
            activation = part.stem(activation)
            continue
        if number > layer:
            activation = part.stages[number - 1](activation)
        if number in exits:
            logits = lse_pool(part.exits[number - 1](activation), brain)
            total = logits if total is None else total + logits
    assert total is not None
    return total / len(exits)
