"""What neighbouring slices say of a slice.

The networks look at one slice at a time, and what they get wrong on one they often get right on
the next: a lesion goes on from slice to slice, an error seldom does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_across_slices(
    maps: NDArray[np.floating], brain: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """Average each pixel over its neighbours in the slices above and below (Gaussian).

    Air takes no part: a pixel at the edge of the brain is the average over those of its
    neighbours that lie in the brain, and air stays 0.

    Parameters
    ----------
    maps : ndarray of float32, (..., N, H, W)
        Maps in [0, 1] of a case's N neighbouring slices.
    brain : ndarray of bool, (N, H, W)
        Pixels of the brain.
    sigma : float
        Standard deviation in slices; below 0.2 nothing is to be averaged.

    Returns
    -------
    ndarray of float32, (..., N, H, W)
        In [0, 1].
    """
    from scipy.ndimage import gaussian_filter1d

    slices = len(brain)
    if sigma < 0.2 or slices < 2:
        return maps.astype(np.float32, copy=False)
    # The filter as a matrix: one product for all pixels of a map.
    weights = gaussian_filter1d(np.eye(slices, dtype=np.float32), sigma, axis=0, mode="constant")
    inside = brain.reshape(slices, -1).astype(np.float32)
    scale = inside / np.maximum(weights @ inside, 1e-6)
    flat = maps.reshape(*maps.shape[:-3], slices, -1)
    smooth: NDArray[np.float32] = (weights @ (flat * inside)) * scale
    return smooth.reshape(maps.shape)
