"""The four ways in which papers average Dice, IoU and HD95; they differ by more than methods do.

The same labels score differently in each, above all where slices show nothing: who predicts
nothing at all gets a perfect score on every empty slice under `ALL_SLICES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.measure.scores.surface import hausdorff95
from napari_gliocam.settings import EvaluationSettings


class Convention(StrEnum):
    """Conventions for averages over slices and volumes; the value is the name in files."""

    #: Each slice that shows the class by the expert, then the mean (paper 2).
    PRESENT_SLICES = "present-slices"
    #: The case as one volume in 3-D.
    VOLUME = "volume"
    #: Each slice of the case, air too; agreeing on nothing is perfect (paper 1's code).
    ALL_SLICES = "all-slices"
    #: The voxels of all cases in one heap, foreground only; no distances (papers 4 and 5).
    POOLED = "pooled"

    @property
    def description(self) -> str:
        """One line for a table or a file."""
        return {
            "present-slices": "mean over the slices that show the class (expert)",
            "volume": "whole volume in 3-D; both empty: Dice 1, HD95 0",
            "all-slices": "mean over all slices; both empty: Dice 1, HD95 0 (paper 1)",
            "pooled": "voxels of all cases together, foreground only",
        }[self.value]


@dataclass(frozen=True)
class Overlap:
    """Agreement of one class of one case under one convention.

    Parameters
    ----------
    dice, iou : float or None
        In [0, 1]; None where the convention has nothing to average.
    hd95 : float or None
        mm; None as above, and for pooled voxels.
    n : int
        Slices that were averaged, or 1 volume; 0 where there is nothing.
    penalised : int
        How many of them have one empty mask, so that their HD95 is the penalty.
    """

    dice: float | None
    iou: float | None
    hd95: float | None
    n: int
    penalised: int = 0


@dataclass(frozen=True)
class Counts:
    """Voxels of one class: in both, in the labels, in the expert's; they add up over cases."""

    both: int
    labels: int
    expert: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.both + other.both, self.labels + other.labels, self.expert + other.expert
        )

    @property
    def pooled(self) -> Overlap:
        """Dice and IoU of the foreground; undefined where there is none."""
        total = self.labels + self.expert
        if not total:
            return Overlap(None, None, None, 0)
        return Overlap(2 * self.both / total, self.both / (total - self.both), None, 1)


@dataclass(frozen=True, eq=False)
class BySlice:
    """Agreement of one class of one case on each slice.

    Parameters
    ----------
    dice, iou, hd95 : ndarray of float64, shape (S,)
        Dice and IoU in [0, 1], HD95 in mm; 1, 1 and 0 where both masks are empty.
    both, labels, expert : ndarray of int, shape (S,)
        Pixels in both masks, in the labels, in the expert's.
    """

    dice: NDArray[np.float64]
    iou: NDArray[np.float64]
    hd95: NDArray[np.float64]
    both: NDArray[np.int64]
    labels: NDArray[np.int64]
    expert: NDArray[np.int64]

    @property
    def counts(self) -> Counts:
        """Voxels of the whole case."""
        return Counts(int(self.both.sum()), int(self.labels.sum()), int(self.expert.sum()))

    @property
    def one_empty(self) -> NDArray[np.bool_]:
        """Slices with one empty mask, whose HD95 is the penalty, shape (S,)."""
        lonely: NDArray[np.bool_] = (self.labels > 0) != (self.expert > 0)
        return lonely

    def present(self, min_pixels: int = 1) -> NDArray[np.bool_]:
        """Return the slices that show the class by the expert, shape (S,)."""
        shown: NDArray[np.bool_] = self.expert >= min_pixels
        return shown


def by_slice(
    labels: NDArray[np.bool_],
    expert: NDArray[np.bool_],
    spacing: Sequence[float],
    settings: EvaluationSettings | None = None,
) -> BySlice:
    """Score one class of one case on each slice.

    Parameters
    ----------
    labels, expert, spacing, settings
        As in `overlaps`.
    """
    settings = settings or EvaluationSettings()
    both, mine, theirs = (
        np.count_nonzero(mask, axis=(1, 2)) for mask in (labels & expert, labels, expert)
    )
    total = mine + theirs
    dices, ious = np.ones(len(total)), np.ones(len(total))
    np.divide(2 * both, total, out=dices, where=total > 0)
    np.divide(both, total - both, out=ious, where=total > 0)
    distances = np.zeros(len(total))
    for index in np.flatnonzero(total):
        distances[index] = hausdorff95(
            labels[index],
            expert[index],
            spacing[1:],
            definition=settings.hd95,
            max_distance=settings.max_distance,
        )
    return BySlice(dices, ious, distances, both, mine, theirs)


def volume_overlap(
    labels: NDArray[np.bool_],
    expert: NDArray[np.bool_],
    spacing: Sequence[float],
    counts: Counts,
    settings: EvaluationSettings | None = None,
) -> Overlap:
    """Score one class of one case as one volume.

    Parameters
    ----------
    labels, expert, spacing, settings
        As in `overlaps`.
    counts : Counts
        Their voxels.
    """
    settings = settings or EvaluationSettings()
    pooled = counts.pooled
    return Overlap(
        1.0 if pooled.dice is None else pooled.dice,
        1.0 if pooled.iou is None else pooled.iou,
        hausdorff95(
            labels,
            expert,
            spacing,
            definition=settings.hd95,
            max_distance=settings.max_distance,
        ),
        n=1,
        penalised=int((counts.labels > 0) != (counts.expert > 0)),
    )


def overlaps(
    labels: NDArray[np.bool_],
    expert: NDArray[np.bool_],
    spacing: Sequence[float],
    settings: EvaluationSettings | None = None,
) -> tuple[Mapping[Convention, Overlap], Counts]:
    """Score one class of one case under every convention.

    Parameters
    ----------
    labels, expert : ndarray of bool, shape (S, P, L)
        Voxels of the target in the result and in the reference.
    spacing : (S, P, L)
        mm.
    settings : EvaluationSettings, optional
        How figures are computed; the defaults of `EvaluationSettings` if not given.

    Returns
    -------
    by_convention : mapping of Convention to Overlap
    counts : Counts
        To be added over cases for the pooled figures of them all.
    """
    settings = settings or EvaluationSettings()
    each = by_slice(labels, expert, spacing, settings)
    counts = each.counts

    def over(slices: NDArray[np.bool_]) -> Overlap:
        if not slices.any():
            return Overlap(None, None, None, 0)
        return Overlap(
            dice=float(each.dice[slices].mean()),
            iou=float(each.iou[slices].mean()),
            hd95=float(each.hd95[slices].mean()),
            n=int(slices.sum()),
            penalised=int(each.one_empty[slices].sum()),
        )

    return {
        Convention.PRESENT_SLICES: over(each.present(settings.min_pixels)),
        Convention.VOLUME: volume_overlap(labels, expert, spacing, counts, settings),
        Convention.ALL_SLICES: over(np.ones(len(each.dice), dtype=np.bool_)),
        Convention.POOLED: counts.pooled,
    }, counts
