"""A slice of a scan as a grey picture, and the part of it that is worth showing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality, bounding_box


def grey_plane(case: Case, modality: Modality, index: int) -> NDArray[np.float32]:
    """Return a slice of a modality, 0 to 255 between two percentiles of that slice's brain.

    Returns
    -------
    ndarray of float32, shape (P, L)
        0 in air.
    """
    plane = case.volumes[modality][index].astype(np.float32)
    inside = plane[case.brain[index]]
    if not inside.size:
        return np.zeros_like(plane)
    low, high = np.percentile(inside, (1, 99.5))
    scaled: NDArray[np.float32] = (plane - low) / max(float(high - low), 1e-6)
    scaled = scaled.clip(0, 1) * 255
    scaled[~case.brain[index]] = 0
    return scaled


def brain_crop(brain: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the brain's rows and columns with some voxels of air around them."""
    box = bounding_box(brain, (0, 4, 4))
    return (slice(0, brain.shape[1]), slice(0, brain.shape[2])) if box is None else box[1:]
