"""What the attention networks make of the exits: AME-CAM and the guided aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.exits import every_exit
from napari_gliocam.nets.multi_exit import EXITS
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


class GuidedAggregate(Method):
    """The bundle's own result (paper 1, Eq. 3 and 4): what *Segment* cuts.

    For core and edema the exits are guided by the tumour map and combined by attention; the
    tumour map itself is the binary aggregate of paper 2.
    """

    name = "guided"
    title = "Guided aggregate"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Maps in [0, 1], (T, B, H, W)."""
        return aggregates(batch)[:, [TARGETS.index(t) for t in targets]].transpose(0, 1)


class AmeCAM(Method):
    """AME-CAM (paper 2, section 2.2, end): mean of the four exit maps and the aggregate.

    All five are in [0, 1] here, so none outweighs the others.  The paper has one class, the
    tumour; for core and edema it is the mean of that class's exits and its aggregate.
    """

    name = "amecam"
    title = "AME-CAM"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Maps in [0, 1], (T, B, H, W)."""
        combined = aggregates(batch)
        return torch.stack(
            [
                (every_exit(batch, t).sum(dim=1) + combined[:, TARGETS.index(t)]) / (EXITS + 1)
                for t in targets
            ]
        )


def aggregates(batch: Batch) -> Tensor:
    """Aggregates of tumour, core, edema, (B, 3, H, W), from features that are there already."""
    logits = [
        torch.stack([batch.exit_logits(t, e) for t in TARGETS], dim=1) for e in range(1, EXITS + 1)
    ]
    with torch.no_grad():
        combined, _ = batch.net.aggregate(batch.images, logits, batch.brain)
    return combined
