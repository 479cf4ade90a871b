"""Agreement of labels with a reference, voxel by voxel and in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import GliocamError
from napari_gliocam.measure.scores.conventions import (
    Convention,
    Counts,
    Overlap,
    overlaps,
)
from napari_gliocam.settings import EvaluationSettings
from napari_gliocam.targets import Target, mask_of, targets_of

#: Values of the array of `confusion`; 0 is a true negative.
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 1, 2, 3
CONFUSION_NAMES = {
    TRUE_POSITIVE: "true positive",
    FALSE_POSITIVE: "false positive",
    FALSE_NEGATIVE: "false negative",
}


@dataclass(frozen=True, eq=False)
class LabelComparison:
    """Agreement of one class.

    Parameters
    ----------
    target : {"tumour", "core", "edema"}
        The target that is compared.
    overlaps : mapping of Convention to Overlap
        Dice, IoU and HD95 in mm under each of the four conventions.
    counts : Counts
        Voxels of both, of the labels, of the others.
    """

    target: Target
    overlaps: Mapping[Convention, Overlap]
    counts: Counts


def confusion(
    labels: NDArray[Any],
    other: NDArray[Any],
    target: Target = "tumour",
    *,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Mark true positives, false positives and false negatives of one class.

    Parameters
    ----------
    labels, other : ndarray of an integer type, same shape
        0 background, 1 core, 2 edema, 3 both; ``other`` is taken for the truth.
    target : {"tumour", "core", "edema"}
        The target that is compared.
    out : ndarray of uint8, same shape, optional
        Written in place.

    Returns
    -------
    ndarray of uint8, same shape
        1 true positive, 2 false positive, 3 false negative (paper 1, Fig. 2).

    Raises
    ------
    GliocamError
        The shapes differ.
    """
    _same_shape(labels, other)
    mine, theirs = mask_of(labels, target), mask_of(other, target)
    result = np.multiply(mine, FALSE_POSITIVE, out=out, casting="unsafe", dtype=np.uint8)
    result[theirs] = FALSE_NEGATIVE
    result[mine & theirs] = TRUE_POSITIVE
    return result


def compare_labels(
    labels: NDArray[Any],
    other: NDArray[Any],
    spacing: Sequence[float],
    settings: EvaluationSettings | None = None,
) -> dict[Target, LabelComparison]:
    """Compare labels with others, class by class, under every convention.

    Another result is read onto the case's grid by `napari_gliocam.io.read_labels`, which says in
    a sentence what does not fit.

    Parameters
    ----------
    labels, other : ndarray of an integer type, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided; ``other`` is taken
        for the truth.
    spacing : (S, P, L)
        mm.
    settings : EvaluationSettings, optional
        How figures are computed; the defaults of `EvaluationSettings` if not given.

    Returns
    -------
    dict of target to LabelComparison

    Raises
    ------
    GliocamError
        The shapes differ.
    """
    _same_shape(labels, other)
    return {
        target: LabelComparison(
            target, *overlaps(mask_of(labels, target), mask_of(other, target), spacing, settings)
        )
        for target in targets_of(labels, other)
    }


def _same_shape(labels: NDArray[Any], other: NDArray[Any]) -> None:
    if labels.shape != other.shape:
        sizes = (" × ".join(map(str, volume.shape)) for volume in (labels, other))
        raise GliocamError(
            "The labels have {} voxels and the others {}; resample one to the other.".format(*sizes)
        )
