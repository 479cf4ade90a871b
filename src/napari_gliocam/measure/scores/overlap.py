"""Overlap of labels with expert labels over a whole volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.targets import Target, mask_of, targets_of


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Volume Dice, ``2 |A and B| / (|A| + |B|)``, in [0, 1]; two empty masks agree: 1."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union, in [0, 1]; two empty masks agree: 1."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def score(labels: NDArray[Any], expert: NDArray[Any]) -> dict[Target, float]:
    """Volume Dice of the whole tumour, of core and of edema.

    Parameters
    ----------
    labels, expert : ndarray of uint8, same shape
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.

    Returns
    -------
    dict
        ``tumour``, and ``core`` and ``edema`` where both are divided, in [0, 1].
    """
    return {t: dice(mask_of(labels, t), mask_of(expert, t)) for t in targets_of(labels, expert)}
