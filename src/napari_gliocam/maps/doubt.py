"""Doubt: how far the maps of one target disagree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.slices import SliceFrame, bilinear_matrix


def disagreement(members: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """Return twice the standard deviation over maps in [0, 1], voxel by voxel.

    Parameters
    ----------
    members : sequence of ndarray of float, all of one shape
        Two or more maps of one target.

    Returns
    -------
    ndarray of float32, the same shape
        In [0, 1]: 0 where all agree, 1 where half of them say 0 and the others 1.
    """
    mean = np.zeros(members[0].shape, dtype=np.float32)
    square = np.zeros(members[0].shape, dtype=np.float32)
    for member in members:
        values = member.astype(np.float32, copy=False)
        mean += values
        square += values * values
    mean /= len(members)
    square /= len(members)
    variance = np.maximum(square - mean * mean, 0.0)
    doubt: NDArray[np.float32] = np.minimum(2.0 * np.sqrt(variance), 1.0).astype(np.float32)
    return doubt


def doubt_of_exits(exits: Sequence[NDArray[np.floating]], frame: SliceFrame) -> NDArray[np.float32]:
    """Return the disagreement of the exits of one target on the network's grid; no network runs.

    Parameters
    ----------
    exits : sequence of ndarray of float, each (N, h_l, w_l)
        Maps in [0, 1] at their native resolution.
    frame : SliceFrame
        Of the N slices.

    Returns
    -------
    ndarray of float32, (N, H, W)
    """
    height, width = frame.network_shape
    members = [
        bilinear_matrix(maps.shape[1], height)
        @ maps.astype(np.float32, copy=False)
        @ bilinear_matrix(maps.shape[2], width).T
        for maps in exits
    ]
    return disagreement(members)
