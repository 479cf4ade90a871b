"""The background of a modality: found where corners agree, and brought to 0.

Every volume in memory is 0 outside the brain.  Files may hold another value there (a z-score over
the whole volume, a shifted minimum, -1024), or noise.  The value that the corners share is the
background; values are shifted so that it becomes 0, which changes no map: intensities are
normalised over the brain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.case import bounding_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Deviations below this share of the intensities are rounding.
_ROUNDING = 1e-4
#: Corners that spread by more than this share of the intensities hold no background.
_LARGEST_NOISE = 0.1
#: So many values of a volume are looked at where a sample is enough.
_SAMPLE = 50_000


def clear_background(data: NDArray[Any]) -> tuple[NDArray[Any], str | None] | None:
    """Bring the background of a volume to 0.

    Parameters
    ----------
    data : ndarray, shape (S, P, L)
        Finite values.

    Returns
    -------
    data : ndarray, same shape
        0 outside the brain; the same array where nothing was to be done.
    note : str or None
        What was done, as the end of a sentence whose subject is the file.

    None instead where the corners share no value, so that there is no background.
    """
    corners = _corners(data)
    if np.count_nonzero(corners) <= 0.5 * corners.size:
        return _without_residue(data)
    value = np.median(corners)
    sample = _sample(data)
    scale = float(np.quantile(np.abs(sample - value), 0.98)) or 1.0
    spread = float(np.quantile(np.abs(corners - value), 0.9))
    if np.count_nonzero(corners == value) >= 0.9 * corners.size:
        return _shifted(data, value), f"has a background of {value:g}, which counts as 0"
    if spread <= _LARGEST_NOISE * scale:
        return _without_noise(data, value, scale)
    return None


def _corners(data: NDArray[Any]) -> NDArray[np.float64]:
    ends = [(slice(max(1, n // 16)), slice(-max(1, n // 16), None)) for n in data.shape]
    blocks = [data[s, p, l].ravel() for s in ends[0] for p in ends[1] for l in ends[2]]
    return np.concatenate(blocks).astype(np.float64)


def _sample(data: NDArray[Any]) -> NDArray[np.float64]:
    step = max(1, data.size // _SAMPLE)
    # A step that shares no factor with the axes, so that whole columns are not passed over.
    while step > 1 and any(np.gcd(step, n) > 1 for n in data.shape):
        step += 1
    sample: NDArray[np.float64] = data.ravel()[::step].astype(np.float64)
    return sample


def _without_residue(data: NDArray[Any]) -> tuple[NDArray[Any], str | None]:
    """Set what is nearly 0, or shares one value, to 0 in a volume whose corners are 0."""
    sample = _sample(data)
    sample = sample[sample != 0]
    if sample.size:
        values, counts = np.unique(sample, return_counts=True)
        if len(values) > 2 and counts.max() > 0.5 * sample.size:
            value = values[counts.argmax()]
            cleared = np.where(data == data.dtype.type(value), data.dtype.type(0), data)
            return cleared, f"has a background of {value:g}, which counts as 0"
    if sample.size and data.dtype.kind == "f":
        tiny = _ROUNDING * float(np.quantile(np.abs(sample), 0.98))
        if np.count_nonzero(np.abs(sample) < tiny) > 0.01 * sample.size:
            cleared = np.where(np.abs(data) < tiny, data.dtype.type(0), data)
            return cleared, f"is not quite 0 outside the brain (up to {tiny:.2g}); this counts as 0"
    return data, None


def _shifted(data: NDArray[Any], value: np.floating[Any]) -> NDArray[Any]:
    if data.dtype.kind == "f":
        shifted: NDArray[Any] = data - data.dtype.type(value)
        return shifted
    wide = data.astype(np.int64) - int(value)
    low, high = int(wide.min()), int(wide.max())
    fitting = np.result_type(np.min_scalar_type(low), np.min_scalar_type(high))
    return wide.astype(fitting if fitting.kind in "iu" else np.int64)


def _without_noise(
    data: NDArray[Any], value: np.floating[Any], scale: float
) -> tuple[NDArray[Any], str]:
    """Set the noise around a brain to 0: all but the largest part that rises above it."""
    from scipy.ndimage import binary_fill_holes, label

    away = np.abs(data.astype(np.float32) - np.float32(value))
    faces = [away[0], away[-1], away[:, 0], away[:, -1], away[:, :, 0], away[:, :, -1]]
    shell = np.concatenate([face.ravel() for face in faces])
    # The brain may touch a face of the volume.
    noise = 1.1 * float(shell[shell <= 2.5 * _LARGEST_NOISE * scale].max(initial=0.0))
    noise = max(noise, _ROUNDING * scale)
    parts, count = label(away > noise)
    if count > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        keep = sizes >= 0.05 * sizes.max()
        inside = keep[parts]
    else:
        inside = parts > 0
    if count:
        box = bounding_box(inside)
        assert box is not None
        inside[box] = binary_fill_holes(inside[box])
    shifted = _shifted(data, value) if abs(float(value)) > noise else data
    cleared = np.where(inside, shifted, shifted.dtype.type(0))
    return cleared, f"is not 0 outside the brain (noise up to {noise:.2g}); this counts as 0"
