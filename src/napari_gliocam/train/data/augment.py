"""Random changes of a slice for training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, uniform_filter
from scipy.ndimage import zoom as zoom_array

from napari_gliocam.train.recipe.fields import Augment


def augment(
    image: NDArray[np.float32],
    how: Augment,
    rng: np.random.Generator,
    maps: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Mirror, move, change intensities, add noise; sometimes leave out T1ce or T2.

    Parameters
    ----------
    image : ndarray of float32, (3, H, W)
        The slice; air is exactly 0 and stays so.  Unchanged.
    how : Augment
        Strength of each change.
    rng : numpy.random.Generator
        Source of the random numbers.
    maps : ndarray of float32, (K, H, W), optional
        Soft maps of the slice; they move with it.

    Returns
    -------
    image : ndarray of float32, (3, H, W)
        The changed slice.
    maps : ndarray of float32, (K, H, W), or None
        The moved maps.
    """
    count = len(image)
    whole = image if maps is None else np.concatenate([image, maps])
    if rng.random() < how.mirror:
        whole = whole[:, :, ::-1]
    whole = _move(whole, how, rng)
    moved = None if maps is None else whole[count:].copy()
    return _recolour(whole[:count], how, rng), moved


def _recolour(
    image: NDArray[np.float32], how: Augment, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change the intensities of a slice; air stays 0."""
    channels = (len(image), 1, 1)
    gain = 1 + how.gain * rng.standard_normal(channels, dtype=np.float32)
    offset = how.offset * rng.standard_normal(channels, dtype=np.float32)
    changed = image * gain + offset
    if how.curve:
        bend = how.curve * rng.standard_normal(channels, dtype=np.float32)
        changed += bend * (np.clip(changed, -3, 4) ** 2 - 1)
    if how.bias_field:
        changed += _smooth_field(image.shape, rng) * (how.bias_field * rng.random(channels))
    if how.blur and rng.random() < 0.2:
        part = np.float32(how.blur * rng.random())
        near = uniform_filter(np.where(image != 0, changed, 0), (0, 3, 3))
        share = uniform_filter((image != 0).astype(np.float32), (0, 3, 3))
        changed += part * (near / np.maximum(share, np.float32(0.1)) - changed)
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
    """Shift by whole pixels; with rotation, crop or scale, one bilinear affine map."""
    shift = rng.uniform(-how.shift_px, how.shift_px, 2)
    if how.rotate_deg == 0 and how.crop == 1 and how.scale == 0:
        rows, columns = np.rint(shift).astype(int)
        return _shift(image, rows, columns) if rows or columns else image
    _, height, width = image.shape
    angle = np.deg2rad(rng.uniform(-how.rotate_deg, how.rotate_deg))
    zoom = np.sqrt(rng.uniform(how.crop, 1.0))  # side of the crop, as part of the slice's
    room = (1 - zoom) / 2 * np.array([height, width])
    centre = (np.array([height, width]) - 1) / 2
    if how.scale:
        zoom *= np.exp(rng.uniform(-how.scale, how.scale))
    matrix = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = centre - matrix @ centre + shift + rng.uniform(-room, room)
    moved = [affine_transform(c, matrix, offset, order=1, prefilter=False) for c in image]
    return np.stack(moved).astype(np.float32, copy=False)


def _smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a field of standard deviation about 1 that varies over a quarter of the slice."""
    count, height, width = shape
    coarse = rng.standard_normal((count, 4, 4), dtype=np.float32)
    field: NDArray[np.float32] = zoom_array(
        coarse, (1, height / 4, width / 4), order=1, grid_mode=True, mode="nearest"
    )
    return field


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
