"""Whether slices are called rightly: AUC, sensitivity, specificity, accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SliceCalls:
    """Calls of slices by the expert and by us, for one class.

    Parameters
    ----------
    present : ndarray of bool, shape (N,)
        Whether the expert shows the class on a slice.
    called : ndarray of bool, shape (N,)
        Whether we say so.
    probability : ndarray of float, shape (N,), or None
        What the calls are cut from; None where there is only the call.
    left_out : int
        Slices with too few pixels of the class to count as either.
    """

    present: NDArray[np.bool_]
    called: NDArray[np.bool_]
    probability: NDArray[np.floating] | None = None
    left_out: int = 0


@dataclass(frozen=True)
class ImageLevel:
    """Figures of the image-level labels; each None has its reason in ``undefined``.

    Parameters
    ----------
    auc, sensitivity, specificity, accuracy : float or None
        In [0, 1].
    positive, negative, left_out : int
        Slices that show the class, that do not, that were not counted.
    undefined : mapping of str to str
        Name of a figure to the reason why it is None.
    """

    auc: float | None
    sensitivity: float | None
    specificity: float | None
    accuracy: float | None
    positive: int
    negative: int
    left_out: int = 0
    undefined: Mapping[str, str] = field(default_factory=dict)


def auc(probability: NDArray[np.floating], present: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve: how often a positive ranks above a negative; ties count half.

    Parameters
    ----------
    probability : ndarray of float, shape (N,)
        Any scores; only their order matters.
    present : ndarray of bool, shape (N,)
        Slices that show the target.

    Returns
    -------
    float or None
        In [0, 1]; None where one kind is missing or a score is not a number.
    """
    if np.isnan(probability).any() or present.all() or not present.any():
        return None
    from scipy.stats import rankdata

    count = int(present.sum())
    # Mann and Whitney's U, of which the ROC's area is a multiple.
    return float((rankdata(probability)[present].mean() - (count + 1) / 2) / (len(present) - count))


def call_slices(
    labels: NDArray[np.bool_],
    expert: NDArray[np.bool_],
    *,
    probability: NDArray[np.floating] | None = None,
    brain: NDArray[np.bool_] | None = None,
    min_pixels: int = 1,
    threshold: float = 0.5,
) -> SliceCalls:
    """Call the slices of a case for one class.

    Parameters
    ----------
    labels, expert : ndarray of bool, shape (S, P, L)
        Voxels of the target in the result and in the reference.
    probability : ndarray of float, shape (S,), optional
        Of the networks.  Without it a slice is called positive where ``labels`` shows anything.
    brain : ndarray of bool, shape (S, P, L), optional
        Slices without brain do not count; all slices count without it.
    min_pixels : int
        Slices with 1 to ``min_pixels - 1`` pixels of the expert are left out.
    threshold : float
        A slice is called positive at this probability or above.
    """
    pixels = np.count_nonzero(expert, axis=(1, 2))
    counted = np.ones(len(pixels), dtype=np.bool_) if brain is None else brain.any(axis=(1, 2))
    doubtful = counted & (pixels > 0) & (pixels < min_pixels)
    kept = counted & ~doubtful
    called = (
        np.count_nonzero(labels, axis=(1, 2)) > 0
        if probability is None
        else probability >= threshold
    )
    return SliceCalls(
        present=pixels[kept] > 0,
        called=called[kept],
        probability=None if probability is None else probability[kept],
        left_out=int(doubtful.sum()),
    )


def pool(calls: Iterable[SliceCalls]) -> SliceCalls:
    """Return the slices of several cases as one heap; at least one case."""
    every = list(calls)
    probabilities = [one.probability for one in every if one.probability is not None]
    complete = len(probabilities) == len(every)
    return SliceCalls(
        present=np.concatenate([one.present for one in every]),
        called=np.concatenate([one.called for one in every]),
        probability=np.concatenate(probabilities) if complete else None,
        left_out=sum(one.left_out for one in every),
    )


def image_level(calls: SliceCalls) -> ImageLevel:
    """Return figures of calls; what is not defined is None with a reason, never NaN."""
    present, called = calls.present, calls.called
    positive, negative = int(present.sum()), int((~present).sum())
    undefined = {}
    no_positive, no_negative = "no slice shows it", "no slice is without it"
    if not positive:
        undefined["sensitivity"] = no_positive
    if not negative:
        undefined["specificity"] = no_negative
    if not len(present):
        undefined["accuracy"] = "no slice counts"
    area = None
    if calls.probability is None:
        undefined["auc"] = "labels alone have no probabilities"
    elif not positive or not negative:
        undefined["auc"] = no_negative if positive else no_positive
    elif (area := auc(calls.probability, present)) is None:
        undefined["auc"] = "a probability is not a number"
    return ImageLevel(
        auc=area,
        sensitivity=float(called[present].mean()) if positive else None,
        specificity=float((~called[~present]).mean()) if negative else None,
        accuracy=float((called == present).mean()) if len(present) else None,
        positive=positive,
        negative=negative,
        left_out=calls.left_out,
        undefined=undefined,
    )
