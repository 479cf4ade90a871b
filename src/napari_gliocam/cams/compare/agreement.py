"""Figures that compare maps with each other and with expert labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.measure.scores.overlap import dice, iou


def defined(
    compare: Callable[[NDArray[np.bool_], NDArray[np.bool_]], float],
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
) -> float:
    """Return an agreement of two masks, such as `dice` or `iou`; NaN where both are empty."""
    return compare(a, b) if a.any() or b.any() else float("nan")


def pairwise_iou(masks: Mapping[str, NDArray[np.bool_]]) -> dict[tuple[str, str], float]:
    """Return the intersection over union of each pair of methods; NaN where both are empty.

    Parameters
    ----------
    masks : mapping of str to ndarray of bool, same shape
        Thresholded maps of one class.
    """
    return {(a, b): defined(iou, masks[a], masks[b]) for a, b in combinations(masks, 2)}


def energy_inside(map_: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the share of a map's sum that lies in a mask (Wang et al. 2020, section 4.3).

    In [0, 1]; NaN for a map that is 0 everywhere, and for a mask without lesion.
    """
    total = float(map_.sum(dtype=np.float64))
    if total <= 0 or not truth.any():
        return float("nan")
    return float(map_[truth].sum(dtype=np.float64)) / total


def pointing_game(map_: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the share of slices with lesion on which the map is highest in it (Zhang et al. 2018).

    Parameters
    ----------
    map_ : ndarray, (S, P, L)
        A slice where it is 0 everywhere is a miss.
    truth : ndarray of bool, (S, P, L)
        Voxels of the reference.

    Returns
    -------
    float
        In [0, 1]; NaN if no slice shows lesion.
    """
    hits = [
        bool(plane.max() > 0 and mask.ravel()[plane.argmax()])
        for plane, mask in zip(map_, truth, strict=True)
        if mask.any()
    ]
    return float(np.mean(hits)) if hits else float("nan")


def overlap_with_expert(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return ``dice`` and ``iou`` of a mask with an expert's, both of shape (S, P, L).

    NaN without lesion in the expert's labels: there is nothing to agree with.
    """
    if not truth.any():
        return {"dice": float("nan"), "iou": float("nan")}
    return {"dice": dice(mask, truth), "iou": iou(mask, truth)}


def against_expert(
    map_: NDArray[np.float32], threshold: float, truth: NDArray[np.bool_]
) -> dict[str, float]:
    """Return every figure of a map that needs an expert's mask of its class.

    Parameters
    ----------
    map_ : ndarray, (S, P, L)
        In [0, 1].
    threshold : float
        A voxel counts where the map exceeds it.
    truth : ndarray of bool, (S, P, L)
        Voxels of the reference.

    Returns
    -------
    dict
        ``dice``, ``iou``, ``energy_inside``, ``pointing_game``; NaN where one is not defined.
    """
    return {
        **overlap_with_expert(map_ > threshold, truth),
        "energy_inside": energy_inside(map_, truth),
        "pointing_game": pointing_game(map_, truth),
    }
