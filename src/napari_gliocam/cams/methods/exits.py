"""The networks' own exit maps, one by one and averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.nets.aggregator import exit_maps
from napari_gliocam.nets.multi_exit import EXITS
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


class ExitMap(Method):
    """Map of one internal classifier (paper 2, section 2.1): ``sigmoid(w . A_l + b)``."""

    name = "exit"
    title = "Exit map"
    bounded = True

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Maps in [0, 1], (T, B, h_l, w_l); the layer's number is the exit's."""
        return torch.stack([batch.exit_logits(t, explained.layer).sigmoid() for t in targets])


class AverageOfExits(Method):
    """Mean of the four exit maps on the network grid (paper 2, Table 2, "Avg. ME")."""

    name = "average"
    title = "Average of exits"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Maps in [0, 1], (T, B, H, W)."""
        return torch.stack([every_exit(batch, t).mean(dim=1) for t in targets])


def every_exit(batch: Batch, target: Target) -> Tensor:
    """Sigmoid maps of the four exits on the network grid, 0 in air, (B, 4, H, W)."""
    logits = [batch.exit_logits(target, e)[:, None] for e in range(1, EXITS + 1)]
    with torch.no_grad():
        return exit_maps(logits, batch.brain)[:, :, 0]
