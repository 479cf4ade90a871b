"""Approximations of ScoreCAM that score fewer masks; never the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Convention
from napari_gliocam.cams.methods.scorecam import ScoreCAM, unit

if TYPE_CHECKING:
    from torch import Tensor


class TopScoreCAM(ScoreCAM):
    """ScoreCAM of the channels that vary most over the slice; the others count as 0.

    Parameters
    ----------
    channels : int
        How many are scored.
    convention
        As in `ScoreCAM`.
    """

    name = "scorecam-top"
    title = "ScoreCAM, top channels (approximate)"

    def __init__(self, channels: int = 32, convention: Convention = "paper") -> None:
        super().__init__(convention)
        self.count = channels

    def split(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the channels with the largest standard deviation over the slice, and no others."""
        varying, constant = super().split(channels)
        order = channels[varying].std(dim=(1, 2)).argsort(descending=True)
        return varying[order[: self.count]], constant[:0]


class GroupedScoreCAM(ScoreCAM):
    """ScoreCAM of groups of similar channels; a group is scored by the mean of its masks.

    Groups are found by k-means on the channels brought into [0, 1], begun at evenly spaced
    channels, so the result is the same every time.

    Parameters
    ----------
    groups : int
        Number of groups of channels, each scored by one pass.
    rounds : int
        Of k-means.
    convention
        As in `ScoreCAM`.
    """

    name = "scorecam-grouped"
    title = "ScoreCAM, grouped channels (approximate)"

    def __init__(
        self, groups: int = 32, rounds: int = 10, convention: Convention = "paper"
    ) -> None:
        super().__init__(convention)
        self.groups = groups
        self.rounds = rounds

    def channels(self, activation: Tensor) -> Tensor:
        """Return the mean mask of each group, (G, h, w)."""
        masks, groups = unit(activation[0][:, None])[:, 0], self.members(activation)
        return torch.stack([masks[group].mean(dim=0) for group in groups]) if groups else masks[:0]

    def weigh(self, activation: Tensor, scores: Tensor) -> Tensor:
        """Return the map in which every channel has the score of its group."""
        each = scores.new_full((activation.shape[1],), -torch.inf)
        for group, score in zip(self.members(activation), scores, strict=True):
            each[group] = score
        return super().weigh(activation, each)

    def members(self, activation: Tensor) -> list[Tensor]:
        """Return the numbers of the channels of each group; constant channels are in none."""
        there, _ = self.split(activation[0])
        if not len(there):
            return []
        points = unit(activation[0][there][:, None]).flatten(1)
        first = torch.linspace(0, len(points) - 1, min(self.groups, len(points))).round().long()
        centres = points[first]
        for _ in range(self.rounds):
            nearest = torch.cdist(points, centres).argmin(dim=1)
            for group in torch.unique(nearest):
                centres[group] = points[nearest == group].mean(dim=0)
        return [there[nearest == group] for group in torch.unique(nearest)]
