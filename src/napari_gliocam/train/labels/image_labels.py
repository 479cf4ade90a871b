"""From counts of pixels to image-level labels: the only place where a mask is near a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def image_labels(
    core: NDArray[np.integer],
    edema: NDArray[np.integer],
    *,
    min_pixels: int = 8,
    few_pixels: str = "exclude",
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What each slice shows.

    Parameters
    ----------
    core, edema : ndarray of int, (n,)
        Pixels of each class on each slice.
    min_pixels : int
        A class shows from so many pixels on.
    few_pixels : {"exclude", "normal"}
        What becomes of a slice that shows fewer, but some: left out, or called normal.

    Returns
    -------
    labels : ndarray of bool, (n, 3)
        Tumour, core, edema.
    keep : ndarray of bool, (n,)
    """
    labels = np.stack([core + edema, core, edema], axis=1) >= min_pixels
    unsure = ((core > 0) & ~labels[:, 1]) | ((edema > 0) & ~labels[:, 2])
    return labels, ~unsure if few_pixels == "exclude" else np.ones(len(core), dtype=np.bool_)
