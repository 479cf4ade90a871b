"""Base class of the explanation methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


#: Where the published libraries read a paper differently, the reading that is followed.
#: ``paper``: the formulas as printed.  The other two give the same values as those packages
#: (torch-cam 0.5, grad-cam 1.5), to compare with results made with them.
Convention = Literal["paper", "torch-cam", "pytorch-grad-cam"]


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
    """A way to show which pixels made a network answer as it did.

    A method gives raw maps; `napari_gliocam.cams.run.explain` brings them into [0, 1] and onto the
    case's grid.
    """

    #: The name that a user types.
    name: str
    #: The name that a user reads.
    title: str
    #: Whether the raw maps are probabilities in [0, 1], so that they need no min-max.
    bounded: bool = False
    #: Whether the maps depend on the layer that is chosen.
    layered: bool = True
    #: Unit of the steps of a method that takes one slice at a time; None for batches.
    unit: str | None = None

    @abstractmethod
    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return the raw maps of a batch.

        Parameters
        ----------
        batch : Batch
            Slices on the device, with the networks' features of them.
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
        """Make the maps as `maps` does, with pauses where a batch takes long.

        Nothing stays open across a pause.

        Yields
        ------
        Step
        """
        yield from ()
        return self.maps(batch, targets, explained)

    def describe(self) -> dict[str, Any]:
        """Return name and settings as plain values, for the json."""
        return {"name": self.name, **vars(self)}


class SliceMethod(Method):
    """A method whose ``steps`` take one slice at a time."""

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return the raw maps of a batch, slice by slice; see `Method.maps`."""
        import torch

        slices = (batch.one(index) for index in range(len(batch)))
        return torch.cat([finish_steps(self.steps(s, targets, explained)) for s in slices], dim=1)


def finish_steps(steps: Steps) -> Tensor:
    """Take every step and return the maps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            maps: Tensor = end.value
            return maps
