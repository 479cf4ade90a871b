"""Depth of voxels below the surface of the brain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import bounding_box


def brain_depth(brain: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float32] | None:
    """Return distance of every voxel of the brain from the brain's surface, in mm.

    It takes most of a second and depends on the case alone: make it once.

    Parameters
    ----------
    brain : ndarray of bool, shape (S, P, L)
        `Case.brain`.
    spacing : (S, P, L)
        mm.

    Returns
    -------
    ndarray of float32, shape (S, P, L), or None
        Between the centres of voxels: 0 for those with a neighbour in the air around, and in the
        air.  Holes inside the brain are no surface, nor is the border of an image that cuts the
        brain.  None where no air is around the brain.
    """
    from scipy import ndimage

    # Air around a brain reaches the border of the image, a hole inside does not.
    parts, _ = ndimage.label(~brain)
    reaching = {
        int(number)
        for axis in range(3)
        for end in (0, -1)
        for number in np.unique(np.take(parts, end, axis=axis))
    } - {0}
    if not reaching or not brain.any():
        return None
    filled = ~np.isin(parts, sorted(reaching))
    surface = filled & ndimage.binary_dilation(~filled)
    box = bounding_box(filled)
    assert box is not None
    depth = np.zeros(brain.shape, dtype=np.float32)
    depth[box] = ndimage.distance_transform_edt(~surface[box], sampling=spacing)
    depth[~filled] = 0
    return depth
