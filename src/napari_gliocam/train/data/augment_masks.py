"""Random changes of slices together with their masks, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.train.recipe.segmenter import MaskAugment

#: Points of the coarse grids of deformations and bias fields.
_COARSE = 5


def augment_with_masks(
    images: Tensor,
    masks: Tensor,
    how: MaskAugment,
    rngs: Sequence[np.random.Generator],
    modalities: int,
) -> tuple[Tensor, Tensor]:
    """Change slices at random, and their masks with them where that moves pixels.

    Parameters
    ----------
    images : Tensor of float32, (B, K * C, H, W)
        Slices with their neighbours as further channels; air is 0 and stays so.
    masks : Tensor of float32, (B, M, H, W)
        Masks of the slices, in [0, 1].
    how : MaskAugment
        Strength of each change.
    rngs : sequence of B numpy.random.Generator
        Source of the random numbers of each slice, so that the batch it is in plays no part.
    modalities : int
        Channels C of one slice.

    Returns
    -------
    images, masks : Tensor
        As given, changed.
    """
    draws = _Draws(rngs)
    grid = _grid(draws, how, *images.shape[-2:])
    moved = F.grid_sample(images, grid, align_corners=False)
    masks = F.grid_sample(masks, grid, align_corners=False)
    air = (moved == 0).all(dim=1, keepdim=True)
    values = moved.reshape(len(moved), -1, modalities, *moved.shape[-2:])
    values = _other_contrast(values, draws, how)
    values = _other_acquisition(values, draws, how)
    return values.flatten(1, 2).masked_fill(air, 0), masks


class _Draws:
    """Random numbers for each slice of a batch, from its own generator."""

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self.rngs = rngs

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,)."""
        return self._each(lambda rng: rng.uniform(low, high, ()))

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape)."""
        return self._each(lambda rng: rng.standard_normal(shape, dtype=np.float32))

    def chance(self, probability: float) -> Tensor:
        """Return bool, (B,)."""
        return self.uniform(0, 1) < probability

    def _each(self, draw: Callable[[np.random.Generator], NDArray[np.floating]]) -> Tensor:
        return torch.from_numpy(np.stack([draw(rng) for rng in self.rngs]).astype(np.float32))


def _grid(draws: _Draws, how: MaskAugment, height: int, width: int) -> Tensor:
    """Return where each pixel comes from, (B, H, W, 2), for ``grid_sample``."""
    angle = torch.deg2rad(draws.uniform(-how.rotate_deg, how.rotate_deg))
    turns = draws.chance(how.quarter_turns) * draws.uniform(1, 4).floor()
    angle = angle + turns * (torch.pi / 2)
    zoom = torch.exp(how.zoom * draws.normal())
    mirror = 1 - 2 * draws.chance(how.mirror).float()
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    down, across = draws.uniform(-how.shift, how.shift), draws.uniform(-how.shift, how.shift)
    rows = torch.stack([cos * mirror, -sin * height / width, 2 * across], dim=1)
    columns = torch.stack([sin * mirror * width / height, cos, 2 * down], dim=1)
    shape = [len(angle), 1, height, width]
    grid = F.affine_grid(torch.stack([rows, columns], dim=1), shape, align_corners=False)
    if how.bend:
        bend = 2 * how.bend * draws.normal(2, _COARSE, _COARSE)
        grid = grid + _enlarged(bend, height, width).permute(0, 2, 3, 1)
    return grid


def _other_contrast(values: Tensor, draws: _Draws, how: MaskAugment) -> Tensor:
    """Change gain, offset, gamma and bias field of each modality, alike in all neighbours."""
    modalities = values.shape[2]

    def for_each() -> Tensor:
        return draws.normal(modalities)[:, None, :, None, None]

    values = values * torch.exp(how.gain * for_each()) + how.offset * for_each()
    if how.gamma:  # intensities of normalised slices lie between -4 and 6 or so
        unit = (values + 4).clamp(0, 12) / 6
        values = unit.pow(torch.exp(how.gamma * for_each())) * 6 - 4
    if how.field:
        field = how.field * draws.normal(modalities, _COARSE, _COARSE)
        values = values + _enlarged(field, *values.shape[-2:])[:, None]
    return values


def _other_acquisition(values: Tensor, draws: _Draws, how: MaskAugment) -> Tensor:
    """Blur, add noise, leave out a modality or the neighbours."""
    blurred = draws.chance(how.blur)
    if blurred.any():
        chosen = values[blurred].flatten(1, 2)
        coarse = F.interpolate(F.avg_pool2d(chosen, 2), chosen.shape[-2:], mode="bilinear")
        values = values.index_put((blurred,), coarse.view_as(values[blurred]))
    if how.noise:
        strength = draws.uniform(0, how.noise)[:, None, None, None, None]
        values = values + strength * draws.normal(*values.shape[1:])
    alone = draws.chance(how.drop_neighbours)[:, None, None, None, None]
    middle = values.shape[1] // 2
    values = torch.where(alone, values[:, middle : middle + 1].expand_as(values), values)
    if how.drop_modality:
        kept = torch.ones(values.shape[0], values.shape[2])
        draw = draws.uniform(0, 1)
        kept[draw < how.drop_modality, 0] = 0
        if values.shape[2] > 1:
            kept[(draw >= how.drop_modality) & (draw < 2 * how.drop_modality), 1] = 0
        values = values * kept[:, None, :, None, None]
    return values


def _enlarged(coarse: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
