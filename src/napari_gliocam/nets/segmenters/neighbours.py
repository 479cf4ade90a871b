"""Neighbouring slices as further channels, at the same distance in mm in every case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.nets.segmenters.design import SegmenterDesign


def with_neighbours(
    images: NDArray[np.float32],
    spacing_mm: float,
    design: SegmenterDesign,
    rows: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Return slices with their neighbours as further channels.

    A neighbour between two slices is interpolated; beyond the ends the last slice stands in.

    Parameters
    ----------
    images : ndarray of float32, (N, C, H, W)
        All slices of a case, in order.
    spacing_mm : float
        Distance between them.
    design : SegmenterDesign
        Number and distance of the neighbours, K with the slice itself.
    rows : sequence of int, optional
        The slices that are wanted; all by default.

    Returns
    -------
    ndarray of float32, (N, K * C, H, W)
        Of each slice that is wanted all channels of the lowest neighbour first.
    """
    if design.neighbours == 0:
        return images if rows is None else images[rows]
    chosen = np.arange(len(images)) if rows is None else np.asarray(rows)
    places = chosen[:, None] + np.array(design.offsets_mm) / spacing_mm
    places = np.clip(np.round(places, 4), 0, len(images) - 1)  # 0.9999 of a slice is the next one
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(images) - 1)
    part = (places - below).astype(np.float32)[:, :, None, None, None]
    mixed = images[below] * (1 - part) + images[above] * part
    return np.ascontiguousarray(mixed.reshape(len(mixed), -1, *mixed.shape[-2:]))
