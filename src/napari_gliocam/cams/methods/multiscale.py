"""Any method at several scales of the slice (paper 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.base import Method, Step, Steps
from napari_gliocam.cams.methods.scorecam import unit
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.slices import SIDE_MULTIPLE
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer

#: Paper 3, section "Multi-scale inference".
SCALES = (0.5, 1.0, 1.5, 2.0)


class MultiScale(Method):
    """Mean of a method's maps over scales of the slice (paper 3, Eq. 3); min-max comes after.

    Maps of a gradient method do not depend on the number of the layer's pixels (paper 3, Eq. 1),
    so no scale outweighs another by its size.

    The slice is resized bilinearly to the nearest multiple of 16 pixels, its maps to the
    largest of the scales' maps.  With the scale 1 alone it is the method itself.

    Parameters
    ----------
    method : Method
        The method that is run at each scale.
    scales : tuple of float
        Larger than 0.
    normalise_scales : bool
        Whether each scale's map is brought into [0, 1] before the mean, which the paper does
        not say; else a scale with larger raw values counts more.
    """

    def __init__(
        self, method: Method, scales: tuple[float, ...] = SCALES, normalise_scales: bool = False
    ) -> None:
        self.method = method
        self.scales = scales
        self.normalise_scales = normalise_scales
        self.name = f"multiscale:{method.name}"
        self.title = f"{method.title}, multi-scale"
        self.bounded = method.bounded
        self.layered = method.layered
        self.unit = method.unit

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return raw maps, (T, B, h, w), of the largest size that a scale gives."""
        return self._mean([self.method.maps(b, targets, explained) for b in self._resized(batch)])

    def steps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Steps:
        """Make the maps step by step; ``so_far()`` is the mean of the scales that are begun."""
        finished: list[Tensor] = []
        for number, scaled in enumerate(self._resized(batch)):
            work = self.method.steps(scaled, targets, explained)
            while True:
                try:
                    step = next(work)
                except StopIteration as end:
                    finished.append(end.value)
                    break
                yield Step(
                    number * step.total + step.done,
                    len(self.scales) * step.total,
                    lambda step=step: self._mean([*finished, step.so_far()]),  # type: ignore[misc]
                )
        return self._mean(finished)

    def describe(self) -> dict[str, object]:
        """Return name and settings, with those of the method within."""
        return {
            "name": self.name,
            "scales": list(self.scales),
            "normalise_scales": self.normalise_scales,
            "method": self.method.describe(),
        }

    def _resized(self, batch: Batch) -> list[Batch]:
        height, width = batch.images.shape[-2:]
        return [
            _resize(batch, (_multiple(height * scale), _multiple(width * scale)))
            for scale in self.scales
        ]

    def _mean(self, maps: list[Tensor]) -> Tensor:
        size = max((m.shape[-2:] for m in maps), key=lambda shape: shape[0] * shape[1])
        if self.normalise_scales:
            maps = [unit(m) for m in maps]
        return torch.stack([_enlarge(m, (size[0], size[1])) for m in maps]).mean(dim=0)


def _multiple(length: float) -> int:
    return max(1, round(length / SIDE_MULTIPLE)) * SIDE_MULTIPLE


def _resize(batch: Batch, size: tuple[int, int]) -> Batch:
    if tuple(batch.images.shape[-2:]) == size:
        return batch
    images, brain = (_enlarge(values, size) for values in (batch.images, batch.brain))
    inside = (brain > 0.5).float()
    return Batch(batch.net, images * inside, inside)


def _enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    smaller = size[0] < maps.shape[-2]  # averaged, or fine detail would be skipped over
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=smaller)
