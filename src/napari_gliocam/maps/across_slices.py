"""What neighbouring slices say of a slice.

The networks look at one slice at a time, and what they get wrong on one they often get right on
the next: a lesion goes on from slice to slice, an error seldom does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_across_slices(
    maps: NDArray[np.float32], brain: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """Average each pixel over its neighbours in the slices above and below (Gaussian).

    Air takes no part: a pixel at the edge of the brain is the average over those of its
    neighbours that lie in the brain, and air stays 0.

    Parameters
    ----------
    maps : ndarray of float32, (N, H, W)
        In [0, 1]; neighbouring slices of a case.
    brain : ndarray of bool, (N, H, W)
        Pixels of the brain.
    sigma : float
        Standard deviation in slices; below 0.2 nothing is to be averaged.

    Returns
    -------
    ndarray of float32, (N, H, W)
        In [0, 1].
    """
    from scipy.ndimage import gaussian_filter1d

    if sigma < 0.2 or len(maps) < 2:
        return maps
    inside = brain.astype(np.float32)
    share = gaussian_filter1d(inside, sigma, axis=0, mode="constant")
    total = gaussian_filter1d(maps * inside, sigma, axis=0, mode="constant")
    smooth: NDArray[np.float32] = total / np.maximum(share, 1e-6) * inside
    return smooth
