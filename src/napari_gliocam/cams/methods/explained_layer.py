"""The layer of a network that a map is taken at, and the logit that it explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_gliocam.errors import GliocamError
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.nets.multi_exit import MultiExitNet

#: The column of a target's logit in the network that knows it.
COLUMN: dict[Target, int] = {"tumour": 0, "core": 0, "edema": 1}


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
            from napari_gliocam.nets.design import IMAGE_EXITS

            return IMAGE_EXITS
        return (self.layer if self.score is None else self.score,)

    def check(self, part: MultiExitNet) -> None:
        """Raise `GliocamError` if the network lacks the layer, or the score comes before it."""
        count = len(part.stages)
        exits = [part.exit_of(e) for e in self.exits if 1 <= e <= count]
        for number, word in [(self.layer, "layer")] + [(e, "exit") for e in self.exits]:
            if not 1 <= number <= count:
                there = ", ".join(str(n) for n in range(1, count + 1))
                raise GliocamError(
                    f"The network has no {word} {number}; choose one of its layers {there}."
                )
        last = part.exit_of(count)
        if last < self.layer:
            raise GliocamError(
                f"The last exit of the network is {last}, before layer {self.layer}; choose a "
                f"layer up to {last}."
            )
        if max(exits) < self.layer:
            raise GliocamError(
                f"Exit {max(exits)} does not depend on layer {self.layer}, which comes after "
                f"it; choose exit {self.layer} or a later one as the score."
            )
