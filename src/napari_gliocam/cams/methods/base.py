"""What every explanation method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


@dataclass(frozen=True)
class Step:
    """A pause of a long method.

    Parameters
    ----------
    done, total : int
        Work finished and work in all, in the method's unit.
    so_far : callable
        The maps as far as they go, (T, B, h, w); called where the work ends here.
    """

    done: int
    total: int
    so_far: Callable[[], Tensor]


Steps = Generator[Step, None, "Tensor"]


class Method(ABC):
    """A way to say which pixels made a network answer as it did.

    A method gives raw maps; `napari_gliocam.cams.run.explain` brings them into [0, 1] and onto the
    case's grid.
    """

    #: What a user types.
    name: str
    #: What a user reads.
    title: str
    #: Whether the raw maps are probabilities in [0, 1], so that they need no min-max.
    bounded: bool = False
    #: Whether the maps depend on the layer that is chosen.
    layered: bool = True
    #: What the steps of a method count that takes one slice at a time; None for batches.
    unit: str | None = None

    @abstractmethod
    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Raw maps of a batch.

        Parameters
        ----------
        batch : Batch
        targets : tuple of Target
            All from one forward pass where they share a network.
        explained : ExplainedLayer
            A layer that the network has, see `ExplainedLayer.check`.

        Returns
        -------
        Tensor of float32, (T, B, h, w)
            Higher = more lesion; in [0, 1] if ``bounded``, else 0 or more, of any scale.
        """

    def steps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Steps:
        """As `maps`, with pauses where a batch takes long; nothing stays open across one.

        Yields
        ------
        Step
        """
        yield from ()
        return self.maps(batch, targets, explained)

    def describe(self) -> dict[str, Any]:
        """Name and settings with plain values, for the json."""
        return {"name": self.name, **vars(self)}


def finish_steps(steps: Steps) -> Tensor:
    """Take every step and return the maps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            maps: Tensor = end.value
            return maps
