"""Raw maps of any scale into [0, 1]."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: ``slice``: each slice has its own minimum and maximum, as in every CAM library, so a healthy
#: slice glows as bright as a diseased one.  ``volume``: one minimum and maximum for all slices.
#: ``none``: left as they are, for maps that are probabilities.
Normalise = Literal["slice", "volume", "none"]

#: A map whose values differ by less than this part of the largest says nothing.
_CONSTANT = 1e-6


def normalise_maps(
    raw: NDArray[np.float32], inside: NDArray[np.bool_], how: Normalise = "slice"
) -> NDArray[np.float32]:
    """Min-max over the brain; never NaN.

    Parameters
    ----------
    raw : ndarray of float32, (N, h, w)
        Values that are not finite count as 0.
    inside : ndarray of bool, (N, h, w)
        The brain; what lies elsewhere has no say in minimum and maximum, and becomes 0.
    how : {"slice", "volume", "none"}

    Returns
    -------
    ndarray of float32, (N, h, w)
        In [0, 1]; a constant map, and a slice without brain, become 0.  With ``none`` nothing
        is touched, air included.
    """
    finite: NDArray[np.float32] = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
    if how == "none":
        clipped: NDArray[np.float32] = finite.clip(0.0, 1.0)
        return clipped
    axes: Any = (0, 1, 2) if how == "volume" else (1, 2)
    wide = finite.astype(np.float64)
    low = wide.min(axis=axes, keepdims=True, where=inside, initial=np.inf)
    high = wide.max(axis=axes, keepdims=True, where=inside, initial=-np.inf)
    span = high - low
    tells = np.isfinite(span) & (span > _CONSTANT * np.maximum(np.abs(high), np.abs(low)))
    low, span = np.where(tells, low, 0.0), np.where(tells, span, 1.0)
    scaled = np.clip((wide - low) / span, 0.0, 1.0) * (inside & tells)
    unit: NDArray[np.float32] = scaled.astype(np.float32)
    return unit
