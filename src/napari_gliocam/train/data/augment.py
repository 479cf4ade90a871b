"""Random changes of slices for training, a batch at a time, with masks or soft maps beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.train.recipe.augment import Augment

#: Points of the coarse grids of deformations and bias fields.
_COARSE = 5
#: Part of the slices that is blurred where any is.
_BLURRED = 0.2


class RandomNumbers(Protocol):
    """Random numbers for each slice of a batch."""

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,)."""

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape)."""


def augment(
    images: Tensor,
    how: Augment,
    draws: RandomNumbers,
    *,
    modalities: int,
    masks: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Move slices, change their intensities and leave out modalities or neighbours.

    Parameters
    ----------
    images : Tensor of float32, (B, K * C, H, W)
        Slices, their neighbours as further channels; air is exactly 0 and stays so.  Unchanged.
    how : Augment
        Strength of each change.
    draws : RandomNumbers
        Source of the random numbers.
    modalities : int
        Channels C of one slice.
    masks : Tensor of float32, (B, M, H, W), optional
        Masks or soft maps of the slices, which move with them.

    Returns
    -------
    images : Tensor of float32, (B, K * C, H, W)
        The changed slices.
    masks : Tensor of float32, (B, M, H, W), or None
        The moved masks.
    """
    there = (images != 0).flatten(2).any(dim=2)[..., None, None]  # a missing modality stays so
    slices = (len(images), -1, modalities, *images.shape[-2:])
    brain = (images != 0).reshape(slices).any(dim=2)
    if how.moves:
        parts = [images, brain.float()] if masks is None else [images, brain.float(), masks]
        grid = _grid(draws, how, *images.shape[-2:])
        moved = F.grid_sample(torch.cat(parts, dim=1), grid, align_corners=False)
        images, inside, *rest = torch.split(moved, [part.shape[1] for part in parts], dim=1)
        brain, masks = inside > 0.5, rest[0] if rest else None
    values = images.reshape(slices)
    if how.without_enhancement and masks is not None:
        values = _without_enhancement(values, masks, draws, how.without_enhancement)
    values = _recoloured(values, brain[:, :, None], draws, how) * brain[:, :, None]
    return _with_less(values, draws, how).flatten(1, 2) * there, masks


class DrawsBySlice:
    """Random numbers of each slice from its own generator: the batch it is in plays no part.

    Parameters
    ----------
    rngs : sequence of B numpy.random.Generator
        The generators.
    """

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self.rngs = rngs

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,)."""
        return self._each(lambda rng: rng.uniform(low, high, ()))

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape)."""
        return self._each(lambda rng: rng.standard_normal(shape, dtype=np.float32))

    def _each(self, draw: Callable[[np.random.Generator], NDArray[np.floating]]) -> Tensor:
        return torch.from_numpy(np.stack([draw(rng) for rng in self.rngs]).astype(np.float32))


class DrawsOnDevice:
    """Random numbers of a whole batch at once, made on the device of its slices.

    Parameters
    ----------
    count : int
        Number of slices.
    seed : sequence of int
        Seed of the batch.
    device : torch.device
        The device; the numbers of another kind of device differ.
    """

    def __init__(self, count: int, seed: Sequence[int], device: torch.device) -> None:
        self.count, self.device = count, device
        state = np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)
        self.generator = torch.Generator(device).manual_seed(int(state[0] >> 1))

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,)."""
        drawn = torch.rand(self.count, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape)."""
        size = (self.count, *shape)
        return torch.randn(size, generator=self.generator, device=self.device)


def _chance(draws: RandomNumbers, probability: float) -> Tensor:
    """Return bool, (B,)."""
    return draws.uniform(0, 1) < probability


def _grid(draws: RandomNumbers, how: Augment, height: int, width: int) -> Tensor:
    """Return the place that each pixel comes from, (B, H, W, 2), in [-1, 1] for ``grid_sample``."""
    angle = torch.deg2rad(draws.uniform(-how.rotate_deg, how.rotate_deg))
    turns = _chance(draws, how.quarter_turns) * draws.uniform(1, 4).floor()
    angle = angle + turns * (torch.pi / 2)
    side = draws.uniform(how.crop, 1).sqrt()  # of the crop, as part of the slice's
    zoom = side * draws.uniform(-how.scale, how.scale).exp()
    mirror = 1 - 2 * _chance(draws, how.mirror).float()
    centres = []
    for size in (width, height):
        shift = draws.uniform(-how.shift_px, how.shift_px)
        shift = shift if how.resamples else shift.round()
        centres.append(draws.uniform(-1, 1) * (1 - side) + 2 * shift / size)
    # By hand: affine_grid rounds by the size of the batch.
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    cos, sin, mirror = (value[:, None, None] for value in (cos, sin, mirror))
    x, y = ((torch.arange(n, device=zoom.device) + 0.5) * 2 / n - 1 for n in (width, height))
    x, y = mirror * x, y[:, None]
    across = cos * x - sin * (height / width) * y + centres[0][:, None, None]
    down = sin * (width / height) * x + cos * y + centres[1][:, None, None]
    grid = torch.stack([across, down], dim=-1)
    if how.bend:
        bend = 2 * how.bend * draws.normal(2, _COARSE, _COARSE)
        grid = grid + _enlarged(bend, height, width).permute(0, 2, 3, 1)
    return grid


def _without_enhancement(
    values: Tensor, masks: Tensor, draws: RandomNumbers, probability: float
) -> Tensor:
    """Draw T1ce, (B, K, 0, H, W), inside the tumour to the level of its edema.

    So a patient whose core enhances shows what one whose core does not may look like.  The masks
    are soft maps, (B, 3, H, W), NaN where they are not known.
    """
    tumour, core, edema = masks.nan_to_num().unbind(dim=1)
    chosen = _chance(draws, probability) & (core.amax(dim=(1, 2)) > 0.5)
    near = F.max_pool2d((tumour > 0.3).float(), 5, 1, 2)
    for _ in range(2):  # no edge where it ends
        near = F.avg_pool2d(near, 3, 1, 1)
    t1ce = values[:, :, 0]
    means, sizes = [], []
    for part in ((edema > 0.5)[:, None].expand_as(t1ce), t1ce != 0):
        sizes.append(part.sum(dim=(1, 2, 3)))
        means.append((t1ce * part).sum(dim=(1, 2, 3)) / sizes[-1].clamp_min(1))
    level = torch.where(sizes[0] > 20, means[0], means[1] - 0.3) + 0.25 * draws.normal()
    bright, dark = draws.uniform(0.0, 0.2), draws.uniform(0.3, 1.0)
    away = t1ce - level[:, None, None, None]
    slope = torch.where(away > 0, bright[:, None, None, None], dark[:, None, None, None])
    plain = level[:, None, None, None] + slope * away
    part = (near * chosen[:, None, None])[:, None]
    changed = values.clone()
    changed[:, :, 0] = torch.lerp(t1ce, plain, part.expand_as(t1ce))
    return changed


def _recoloured(values: Tensor, brain: Tensor, draws: RandomNumbers, how: Augment) -> Tensor:
    """Change the intensities of each modality, (B, K, C, H, W), alike in all neighbours.

    The brain is (B, K, 1, H, W).
    """
    modalities = values.shape[2]

    def for_each() -> Tensor:
        return draws.normal(modalities)[:, None, :, None, None]

    values = values * torch.exp(how.gain * for_each()) + how.offset * for_each()
    if how.curve:
        values = values + how.curve * for_each() * (values.clamp(-3, 4).square() - 1)
    if how.bias_field:
        strength = draws.uniform(0, how.bias_field)[:, None, None, None]
        field = strength * draws.normal(modalities, _COARSE, _COARSE)
        values = values + _enlarged(field, *values.shape[-2:])[:, None]
    if how.blur:
        part = _chance(draws, _BLURRED) * draws.uniform(0, how.blur)
        values = torch.lerp(values, _mean_near(values, brain), part[:, None, None, None, None])
    if how.noise:
        values = values + how.noise * draws.normal(*values.shape[1:])
    return values


def _mean_near(values: Tensor, brain: Tensor) -> Tensor:
    """Return the mean over 3 x 3 pixels of the brain."""
    near, share = (
        F.avg_pool2d(v.flatten(1, 2), 3, 1, 1).view_as(v) for v in (values * brain, brain.float())
    )
    return near / share.clamp_min(0.1)


def _with_less(values: Tensor, draws: RandomNumbers, how: Augment) -> Tensor:
    """Leave out a modality, or the neighbours."""
    if how.drop_neighbours:
        alone = _chance(draws, how.drop_neighbours)[:, None, None, None, None]
        middle = values.shape[1] // 2
        values = torch.where(alone, values[:, middle : middle + 1].expand_as(values), values)
    if how.drop_modality:
        kept = values.new_ones(values.shape[0], values.shape[2])
        draw = draws.uniform(0, 1)
        kept[draw < how.drop_modality, 0] = 0
        if values.shape[2] > 1:
            kept[(draw >= how.drop_modality) & (draw < 2 * how.drop_modality), 1] = 0
        values = values * kept[:, None, :, None, None]
    return values


def _enlarged(coarse: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
