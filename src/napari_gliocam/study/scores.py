"""Scores of one row on one case, from which the figures of a cohort follow without images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.measure.scores.conventions import Counts, by_slice, volume_overlap
from napari_gliocam.settings import EvaluationSettings
from napari_gliocam.targets import Target, mask_of


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of some values; they add up over cases.

    Parameters
    ----------
    n : int
        Number of values.
    total, squares : float
        Their sum, and the sum of their squares.
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Moments:
        """Return the moments of values."""
        return cls(len(values), float(values.sum()), float(np.square(values).sum()))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float | None:
        """The mean; None of no values."""
        return self.total / self.n if self.n else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation (n - 1); None below two values."""
        if self.n < 2:
            return None
        return math.sqrt(max(0.0, self.squares - self.total**2 / self.n) / (self.n - 1))


@dataclass(frozen=True)
class TwoClass:
    """Scores of lesion and background together (papers 3, 4 and 5).

    Parameters
    ----------
    miou : float
        Mean of the IoU of lesion and of background (paper 5, appendix C).
    dsc : float
        ``2 mIoU / (1 + mIoU)``: every DSC that papers 4 and 5 print follows from their mIoU so.
    pa : float
        Share of voxels with the right class (paper 3).
    """

    miou: float
    dsc: float
    pa: float

    @classmethod
    def of(cls, counts: Counts, voxels: int) -> TwoClass:
        """Return the scores of a class with these counts among so many voxels."""
        union = counts.labels + counts.expert - counts.both
        lesion = counts.both / union if union else 1.0
        background = (voxels - union) / (voxels - counts.both) if voxels > counts.both else 1.0
        miou = (lesion + background) / 2
        right = (voxels - union + counts.both) / voxels
        return cls(miou, 2 * miou / (1 + miou), right)


@dataclass(frozen=True)
class TargetScores:
    """One class of one case by one row.

    Parameters
    ----------
    counts : Counts
        Voxels in both, in the labels and in the expert's.
    voxels : int
        Voxels of the volume.
    volume : mapping of str to float
        dice, iou and hd95_mm of the volume.
    present, every : mapping of str to Moments
        dice, iou and hd95_mm over the slices that show the class, and over all.
    """

    counts: Counts
    voxels: int
    volume: Mapping[str, float]
    present: Mapping[str, Moments]
    every: Mapping[str, Moments]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> TargetScores:
        """Return what `asdict` wrote."""
        moments = (
            {metric: Moments(**values) for metric, values in raw[name].items()}
            for name in ("present", "every")
        )
        return cls(Counts(**raw["counts"]), raw["voxels"], raw["volume"], *moments)


@dataclass(frozen=True)
class RowScores:
    """One case by one row.

    Parameters
    ----------
    targets : mapping of target to TargetScores
        The classes that are scored.
    seconds : float
        Time of maps, labels and scores; maps that rows share, and what all rows need, such as
        reading, count for the first of them.
    """

    targets: Mapping[Target, TargetScores]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> RowScores:
        """Return the scores that `to_json` described.

        Raises
        ------
        KeyError, TypeError
            They are none.
        """
        targets = {t: TargetScores.from_json(scores) for t, scores in raw["targets"].items()}
        return cls(targets, float(raw["seconds"]))


def score_target(
    labels: NDArray[Any],
    expert: NDArray[Any],
    target: Target,
    spacing: Sequence[float],
    settings: EvaluationSettings,
) -> TargetScores:
    """Score one class of one case under every convention.

    Parameters
    ----------
    labels, expert : ndarray of uint8, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both.
    target : {"tumour", "core", "edema"}
        The class.
    spacing : (S, P, L)
        mm.
    settings : EvaluationSettings
        How figures are computed.
    """
    ours, theirs = mask_of(labels, target), mask_of(expert, target)
    each = by_slice(ours, theirs, spacing, settings)
    counts = each.counts
    whole = volume_overlap(ours, theirs, spacing, counts, settings)
    assert whole.dice is not None
    assert whole.iou is not None
    assert whole.hd95 is not None
    values = {"dice": each.dice, "iou": each.iou, "hd95_mm": each.hd95}
    present = each.present(settings.min_pixels)
    return TargetScores(
        counts,
        ours.size,
        {"dice": whole.dice, "iou": whole.iou, "hd95_mm": whole.hd95},
        {metric: Moments.of(v[present]) for metric, v in values.items()},
        {metric: Moments.of(v) for metric, v in values.items()},
    )
