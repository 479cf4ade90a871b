"""Maps of a segmentation network in the form of a bundle's maps, and the mean of the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Neither source is surer than this of a tumour, and of one class.
FLOOR_TUMOUR, FLOOR_CLASS = 1e-3, 1e-2


def shared_out(tumour: NDArray[np.float32], core_share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps whose larger class is the root of the tumour map.

    So every voxel of a tumour is core or edema at the papers' thresholds, see
    `napari_gliocam.nets.aggregator.share`.

    Parameters
    ----------
    tumour : ndarray of float32, any shape
        Probability of tumour, in [0, 1].
    core_share : ndarray of float32, same shape
        Part of the core in the tumour, in [0, 1].

    Returns
    -------
    ndarray of float32, (3, ...)
        Tumour, core and edema.
    """
    root = np.sqrt(tumour) / np.maximum(core_share, 1 - core_share)
    maps: NDArray[np.float32] = np.stack([tumour, root * core_share, root * (1 - core_share)])
    return maps


def share_of_core(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the part of the core in the tumour from maps (3, ...); one half where both are 0."""
    core, edema = maps[1], maps[2]
    both = core + edema
    share: NDArray[np.float32] = np.full_like(core, 0.5)
    np.divide(core, both, out=share, where=both > 1e-6)
    return share


def blend(
    maps: NDArray[np.float32],
    segmented: NDArray[np.float32],
    tumour_share: float,
    class_share: float,
) -> NDArray[np.float32]:
    """Return the mean of two sets of maps in log-odds.

    Parameters
    ----------
    maps, segmented : ndarray of float32, (3, ...)
        Tumour, core and edema from the networks of the maps and from a segmentation network, in
        [0, 1].
    tumour_share, class_share : float
        Weights of the second, in [0, 1]: in the tumour, and in its division into core and edema.

    Returns
    -------
    ndarray of float32, (3, ...)
        As `shared_out`; 0 where the segmentation network says 0, as in air.
    """
    tumour = _mean(maps[0], segmented[0], tumour_share, FLOOR_TUMOUR)
    tumour[segmented[0] == 0] = 0
    share = _mean(share_of_core(maps), share_of_core(segmented), class_share, FLOOR_CLASS)
    return shared_out(tumour, share)


def _mean(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: float, floor: float
) -> NDArray[np.float32]:
    """Return the mean of two probabilities in log-odds."""
    a, b = (np.clip(values, floor, 1 - floor) for values in (first, second))
    logit = (1 - weight) * np.log(a / (1 - a)) + weight * np.log(b / (1 - b))
    mean: NDArray[np.float32] = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return mean
