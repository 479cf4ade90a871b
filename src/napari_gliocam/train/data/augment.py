"""Random changes of a slice for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from napari_gliocam.train.recipe.fields import Augment


def augment(
    image: NDArray[np.float32], how: Augment, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Mirror, move, change gain and offset, add noise; sometimes leave out T1ce or T2.

    Parameters
    ----------
    image : ndarray of float32, (3, H, W)
        The slice; air is exactly 0 and stays so.  Unchanged.
    how : Augment
        Strength of each change.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    ndarray of float32, (3, H, W)
        The changed slice.
    """
    if rng.random() < how.mirror:
        image = image[:, :, ::-1]
    image = _move(image, how, rng)
    channels = (len(image), 1, 1)
    gain = 1 + how.gain * rng.standard_normal(channels, dtype=np.float32)
    offset = how.offset * rng.standard_normal(channels, dtype=np.float32)
    changed = image * gain + offset
    if how.noise:
        changed += how.noise * rng.standard_normal(image.shape, dtype=np.float32)
    out = np.where(image != 0, changed, np.float32(0))
    draw = rng.random()
    if draw < 2 * how.drop_modality:
        out[0 if draw < how.drop_modality else 1] = 0
    return out


def _move(
    image: NDArray[np.float32], how: Augment, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Shift by whole pixels; with rotation or crop, one bilinear affine map."""
    shift = rng.uniform(-how.shift_px, how.shift_px, 2)
    if how.rotate_deg == 0 and how.crop == 1:
        rows, columns = np.rint(shift).astype(int)
        return _shift(image, rows, columns) if rows or columns else image
    _, height, width = image.shape
    angle = np.deg2rad(rng.uniform(-how.rotate_deg, how.rotate_deg))
    zoom = np.sqrt(rng.uniform(how.crop, 1.0))  # side of the crop, as part of the slice's
    room = (1 - zoom) / 2 * np.array([height, width])
    centre = (np.array([height, width]) - 1) / 2
    matrix = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = centre - matrix @ centre + shift + rng.uniform(-room, room)
    moved = [affine_transform(c, matrix, offset, order=1, prefilter=False) for c in image]
    return np.stack(moved).astype(np.float32, copy=False)


def _shift(image: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Shift by whole pixels and fill with air."""
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    into_r, from_r = (
        slice(max(rows, 0), height + min(rows, 0)),
        slice(max(-rows, 0), height - max(rows, 0)),
    )
    into_c, from_c = (
        slice(max(columns, 0), width + min(columns, 0)),
        slice(max(-columns, 0), width - max(columns, 0)),
    )
    out[:, into_r, into_c] = image[:, from_r, from_c]
    return out
