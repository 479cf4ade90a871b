"""Neighbouring slices as further channels, at the same distance in mm in every case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.nets.segmenters.design import SegmenterDesign


def neighbour_places(
    count: int, spacing_mm: float, design: SegmenterDesign
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the slices that each neighbour lies between, and the weight of the second.

    Parameters
    ----------
    count : int
        Slices of a case, N.
    spacing_mm : float
        Distance between them.
    design : SegmenterDesign
        Number and distance of the neighbours.

    Returns
    -------
    places : ndarray of int, (N, K, 2)
        For each slice and neighbour, from feet to head and with the slice itself in the middle,
        the slices below and above its place; beyond the ends the last one stands in.
    weights : ndarray of float32, (N, K)
        Weight of the upper one.
    """
    wanted = np.arange(count)[:, None] + np.array(design.offsets_mm) / spacing_mm
    wanted = np.clip(np.round(wanted, 4), 0, count - 1)  # 0.9999 of a slice is the next one
    low = np.floor(wanted).astype(np.int64)
    places = np.stack([low, np.minimum(low + 1, count - 1)], axis=-1)
    return places, (wanted - low).astype(np.float32)


def with_neighbours(
    images: NDArray[np.float32],
    spacing_mm: float,
    design: SegmenterDesign,
    rows: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Return slices with their neighbours as further channels.

    Parameters
    ----------
    images : ndarray of float32, (N, C, H, W)
        All slices of a case, in order.
    spacing_mm : float
        Distance between them.
    design : SegmenterDesign
        Number and distance of the neighbours.
    rows : sequence of int, optional
        The slices that are wanted; all by default.

    Returns
    -------
    ndarray of float32, (N, K * C, H, W)
        Of each slice that is wanted all channels of the lowest neighbour first.
    """
    if design.neighbours == 0:
        return images if rows is None else images[rows]
    places, weights = neighbour_places(len(images), spacing_mm, design)
    if rows is not None:
        places, weights = places[rows], weights[rows]
    return joined(images[places[..., 0]], images[places[..., 1]], weights)


def joined(
    below: NDArray[Any], above: NDArray[Any], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return neighbours between the slices below and above them, as channels.

    Parameters
    ----------
    below, above : ndarray, (N, K, C, H, W)
        The slices, see `neighbour_places`.
    weights : ndarray of float32, (N, K)
        Weight of those above.
    """
    part = weights[:, :, None, None, None]
    mixed = below.astype(np.float32) * (1 - part) + above.astype(np.float32) * part
    return np.ascontiguousarray(mixed.reshape(len(mixed), -1, *mixed.shape[-2:]))
