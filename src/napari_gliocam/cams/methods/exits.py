"""The networks' own maps: exits, their average, aggregates, and a segmentation network's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.registry import SEGMENTER
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


class ExitMap(Method):
    """Map of one internal classifier (paper 2, Eq. 1), in the bundle's range of maps.

    ``sigmoid(w . A_l + b)``, or that logit scaled to [0, 1] over the brain, in positive polarity.
    """

    name = "exit"
    title = "Exit map"
    bounded = True

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return maps in [0, 1], (T, B, h_l, w_l); the layer's number is the exit's."""
        return torch.stack([batch.exit_map(t, explained.layer) for t in targets])


class AverageOfExits(Method):
    """Mean of the four exit maps on the network grid (paper 2, Table 2, "Avg. ME")."""

    name = "average"
    title = "Average of exits"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return maps in [0, 1], (T, B, H, W)."""
        return torch.stack([_every_exit(batch, t).mean(dim=1)[:, 0] for t in targets])


class GuidedAggregate(Method):
    """The networks' aggregates slice by slice.

    *Segment* cuts these maps after it has averaged them over neighbouring slices
    (`napari_gliocam.maps.across_slices`), so its maps differ from these by up to 0.28 (measured).

    For core and edema the exits are guided by the tumour map and combined by attention (paper 1,
    Eq. 3 and 4); the tumour map is the binary aggregate of paper 2.
    """

    name = "guided"
    title = "Guided aggregate"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return maps in [0, 1], (T, B, H, W)."""
        return batch.aggregates()[:, [TARGETS.index(t) for t in targets]].transpose(0, 1)


class SegmenterMaps(Method):
    """The bundle's segmentation network alone, as *Segment* cuts its maps."""

    name = SEGMENTER
    title = "Segmentation network"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return maps in [0, 1], (T, B, H, W)."""
        return batch.segmented()[:, [TARGETS.index(t) for t in targets]].transpose(0, 1)


class AmeCAM(Method):
    """AME-CAM (paper 2, end of section 2) for the tumour; for the classes a hybrid with paper 1.

    The tumour's map is the mean of the four exit maps and the aggregate, all in [0, 1], so none
    outweighs the others.  Paper 2 has this one class.  For core and edema the same mean is taken
    of that class's exits and of paper 1's guided aggregate, which neither paper does.
    """

    name = "amecam"
    title = "AME-CAM (classes: hybrid)"
    bounded = True
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return maps in [0, 1], (T, B, H, W)."""
        aggregates, maps = batch.aggregates(), []
        for target in targets:
            aggregate = aggregates[:, [TARGETS.index(target)]]
            if target == "tumour" and batch.net.design.final_map == "mean":
                maps.append(aggregate[:, 0])  # the bundle's own tumour map is this mean
            else:
                mean = batch.net.mean_with_exits(aggregate, _every_exit(batch, target))
                maps.append(mean[:, 0])
        return torch.stack(maps)


def _every_exit(batch: Batch, target: Target) -> Tensor:
    """Return maps of the four exits on the network grid, 0 in air, (B, 4, 1, H, W)."""
    with torch.no_grad():
        return batch.net.enlarged(batch.turned(target), batch.brain)
