"""Decide without any mask which way round each exit was learned.

A classifier may be right about the slice while its map is low where the lesion is: averaging and
normalisation without parameters allow it, and both papers' code finds and silently flips it.
Two votes on slices that show the class, a slice at a time:

1. A lesion is the smaller part of the brain, so the map's tail points to it: the sign of the
   map's skewness in the brain.
2. The network must find the class by the lesion: of the tenth of the brain where the map
   is highest and that where it is lowest, the one whose replacement by average brain lowers the
   image-level logit more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.multi_exit import EXITS, pool
from napari_gliocam.targets import Target
from napari_gliocam.train.data.slice_set import SliceSet

#: The sum of the mean votes, in [-2, 2], must be below this for an exit to be turned: one that
#: says nothing stays as it is.
INVERTED_BELOW = -0.25


@dataclass(frozen=True)
class Polarity:
    """The polarity of each exit, and the votes for it.

    Parameters
    ----------
    signs : dict of str to list of 4 int
        For each target: 1 where high values of an exit mean lesion, else -1.
    skewness, occlusion : dict of str to list of 4 float
        Mean vote over the slices, in [-1, 1].
    """

    signs: Mapping[Target, list[int]]
    skewness: Mapping[Target, list[float]]
    occlusion: Mapping[Target, list[float]]


def settle_polarity(
    net: GliocamNet,
    slices: SliceSet,
    rows: NDArray[np.int64],
    *,
    how: str = "auto",
    most: int = 64,
    seed: int = 0,
    batch: int = 32,
) -> Polarity:
    """Decide the polarity of each exit and class; see the module for the two votes.

    Parameters
    ----------
    net : GliocamNet
        The networks in evaluation mode; their present polarity plays no part.
    slices : SliceSet
        All slices.
    rows : ndarray of int
        The rows of ``slices`` to look at: training patients.
    how : {"auto", "normal", "inverted"}
        By votes, or the same for all exits without a vote.
    most : int
        Largest number of slices of each class, drawn by seed.
    seed : int
        Seed of the draw.
    batch : int
        Slices a batch.

    Returns
    -------
    Polarity
        The mean votes are added; below `INVERTED_BELOW` an exit is inverted.
    """
    fixed = {"normal": 1, "inverted": -1}.get(how)
    targets = net.design.targets
    nothing = {t: [0.0] * EXITS for t in targets}
    if fixed is not None:
        return Polarity({t: [fixed] * EXITS for t in targets}, nothing, dict(nothing))
    skewness, occlusion = dict(nothing), dict(nothing)
    for column, target in enumerate(targets):
        shown = rows[slices.labels[rows, column] > 0]
        chosen = np.random.default_rng([seed, column]).permutation(shown)[:most]
        if len(chosen) == 0:
            continue
        votes = [
            _votes(net, torch.from_numpy(slices.images[np.sort(chosen[i : i + batch])]), column)
            for i in range(0, len(chosen), batch)
        ]
        means = torch.cat(votes, dim=1).mean(dim=1)
        skewness[target], occlusion[target] = means[0].tolist(), means[1].tolist()
    signs = {
        t: [
            -1 if a + b < INVERTED_BELOW else 1
            for a, b in zip(skewness[t], occlusion[t], strict=True)
        ]
        for t in targets
    }
    return Polarity(signs, skewness, occlusion)


@torch.inference_mode()
def _votes(net: GliocamNet, images: Tensor, column: int) -> Tensor:
    """Return both votes, -1, 0 or 1, for each slice and exit, (2, B, 4)."""
    images = images.float().to(net.signs.device)
    brain = (images != 0).any(dim=1, keepdim=True).float()
    part, row = net.networks[column > 0], max(column - 1, 0)
    votes = []
    for number, map_ in enumerate(part(images)):
        map_ = map_[:, row : row + 1].float()
        high, low = (
            pool(part(_occlude(images, brain, m))[number].float(), brain, net.design.pooling)
            for m in (map_, -map_)
        )
        votes.append(torch.stack([_skewness(map_, brain).sign(), (low - high)[:, row].sign()]))
    return torch.stack(votes, dim=2)


def _skewness(map_: Tensor, brain: Tensor) -> Tensor:
    """Return the third moment of maps (B, 1, h, w) over the brain, (B,); its scale is arbitrary."""
    height, width = map_.shape[-2:]
    inside = (F.adaptive_avg_pool2d(brain, (height, width)) > 0.5).float()
    count = inside.sum(dim=(1, 2, 3)).clamp_min(1)
    mean = (map_ * inside).sum(dim=(1, 2, 3)) / count
    return (((map_ - mean[:, None, None, None]) ** 3) * inside).sum(dim=(1, 2, 3)) / count


def _occlude(images: Tensor, brain: Tensor, map_: Tensor, part: float = 0.1) -> Tensor:
    """Return images with the brain's mean where the map is highest in the brain."""
    size = (images.shape[-2], images.shape[-1])
    full = F.interpolate(map_, size=size, mode="bilinear", align_corners=False)
    full = full.masked_fill(brain < 0.5, -torch.inf).flatten(1)
    count = (part * brain.sum(dim=(1, 2, 3))).long()
    ranked = full.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    hidden = (ranked < count[:, None]).view_as(brain)
    mean = (images * brain).sum(dim=(2, 3)) / brain.sum(dim=(2, 3)).clamp_min(1)
    return torch.where(hidden, mean[:, :, None, None], images)
