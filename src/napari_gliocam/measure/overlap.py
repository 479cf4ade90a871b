"""Overlap of labels with expert labels over a whole volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.threshold import BOTH, CORE, EDEMA


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Volume Dice, ``2 |A and B| / (|A| + |B|)``, in [0, 1]; two empty masks agree: 1."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def score(labels: NDArray[Any], expert: NDArray[Any]) -> dict[str, float]:
    """Volume Dice of the whole tumour, of core and of edema.

    Parameters
    ----------
    labels, expert : ndarray of uint8, same shape
        0 background, 1 core, 2 edema, 3 both.

    Returns
    -------
    dict
        ``tumour``, ``core``, ``edema``, in [0, 1].
    """
    return {
        "tumour": dice(labels > 0, expert > 0),
        "core": dice(np.isin(labels, (CORE, BOTH)), np.isin(expert, (CORE, BOTH))),
        "edema": dice(np.isin(labels, (EDEMA, BOTH)), np.isin(expert, (EDEMA, BOTH))),
    }
