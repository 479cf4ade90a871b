"""How much core and edema claim each other's voxels before the higher map decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.threshold import BOTH


@dataclass(frozen=True)
class ClassOverlap:
    """Overlap of core and edema in labels that may be both.

    Parameters
    ----------
    union_fraction : float or None
        Voxels of both over voxels of either, in [0, 1]; None where nothing was found.
    dice : float or None
        Dice of core with edema, in [0, 1]; None where nothing was found.
    ml : float
        Volume claimed by both.
    """

    union_fraction: float | None
    dice: float | None
    ml: float


def class_overlap(labels: NDArray[Any], voxel_ml: float) -> ClassOverlap:
    """Measure the overlap of the classes, which the separability loss is to lower (paper 1).

    Parameters
    ----------
    labels : ndarray of uint8
        0 background, 1 core, 2 edema, 3 both: cut with ``Settings(exclusive=False)``.
    voxel_ml : float
        Volume of a voxel in ml.
    """
    either, both = int(np.count_nonzero(labels)), int(np.count_nonzero(labels == BOTH))
    if not either:
        return ClassOverlap(None, None, 0.0)
    return ClassOverlap(both / either, 2 * both / (either + both), both * voxel_ml)
