"""Strokes and the surgeon's traces: large, fluid, wedged to the cortex, and no tumour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.anatomy import Tissue
from napari_gliocam.phantom.contrast import FLAIR, T1, T1CE, T2, Contrast
from napari_gliocam.phantom.fields import Fields, soft_step

#: (z, y, x) in mm that arteries and surgeons' ways point to.
_MIDDLE = np.array([5.0, 0.0, 0.0])


@dataclass(frozen=True)
class Lookalikes:
    """How often a case has each of them.

    Parameters
    ----------
    infarct : float
        A wedge with its base on the cortex.
    cavity : float
        Where a surgeon took something out.
    """

    infarct: float = 0.06
    cavity: float = 0.04


def add_lookalikes(
    fields: Fields,
    image: Tensor,
    fractions: Tensor,
    depth: Tensor,
    lesion: Tensor,
    levels: Contrast,
    often: Lookalikes | None = None,
) -> Tensor:
    """Draw an infarct or a surgical cavity now and then.

    Parameters
    ----------
    fields, image, fractions, depth, lesion, levels
        As in `napari_gliocam.phantom.distractors.add_distractors`.
    often : Lookalikes, optional
        How often each of them occurs; the defaults of `Lookalikes` if not given.
    """
    often = often or Lookalikes()
    if fields.chance(often.infarct):
        image = infarct_wedge(fields, image, fractions, depth, lesion, levels)
    if fields.chance(often.cavity):
        image = surgical_cavity(fields, image, depth, lesion, levels)
    return image


def infarct_wedge(
    fields: Fields,
    image: Tensor,
    fractions: Tensor,
    depth: Tensor,
    lesion: Tensor,
    levels: Contrast,
) -> Tensor:
    """Draw the territory of one artery: a wedge from the depth to the surface, cortex and all.

    Recent: swollen, bright on FLAIR and T2, the cortex may enhance.  Old: fluid with a bright rim.
    """
    u = fields.uniform
    base = _somewhere(fields, ((depth > 2) & (depth < 9)).float() * (1 - lesion))
    if base is None:
        return image
    length = u(20, 45)
    along, across = _ray(fields, base, length)
    inside = along * float(np.tan(u(0.25, 0.6))) - across + 1.5 * fields.fractal(9.0)
    inside = torch.minimum(inside, length + u(8, 20) - along)
    tissue = 1 - fractions[Tissue.CSF] - fractions[Tissue.VENTRICLE]
    where = (depth > 0) * (1 - lesion)
    weight = soft_step(inside / u(0.6, 2.0)) * where * tissue.clamp(0, 1)
    fluid = max(levels.csf[T2] - levels.grey[T2], 0.15)
    if fields.chance(0.6):  # recent
        dark = 1 - u(0.03, 0.2)
        levels_t2 = levels.grey[T2] + u(0.15, 0.6) * fluid
        values = (None, None, levels_t2, levels.grey[FLAIR] * u(1.2, 1.8))
        image = _towards(image, weight * u(0.6, 0.95), values)
        image[[T1, T1CE]] *= 1 - (1 - dark) * weight
        if fields.chance(0.3):  # the cortex enhances along its folds
            gyral = weight * fractions[Tissue.CORTEX] * soft_step(fields.smooth(6.0) * 3)
            bright = max(levels.white[T1CE], levels.grey[T1CE]) * u(1.15, 1.8)
            image[T1CE] = image[T1CE] * (1 - gyral) + gyral * bright
        return image
    rim = soft_step((inside + u(2, 5)) / 1.0) * where * tissue.clamp(0, 1)
    scar = (None, None, levels.grey[T2] + 0.4 * fluid, levels.grey[FLAIR] * u(1.2, 1.6))
    image = _towards(image, rim * u(0.5, 0.9), scar)
    return _towards(image, weight, tuple(float(v) for v in levels.csf))


def surgical_cavity(
    fields: Fields, image: Tensor, depth: Tensor, lesion: Tensor, levels: Contrast
) -> Tensor:
    """Draw a hole full of fluid that reaches the surface, its rim gliotic, at times enhancing."""
    u = fields.uniform
    place = _somewhere(fields, ((depth > 4) & (depth < 16)).float() * (1 - lesion))
    if place is None:
        return image
    radius = u(7, 20)
    stretch = np.exp(fields.rng.uniform(-0.25, 0.25, 3))
    offsets = [
        (a - float(c)) / float(s)
        for a, c, s in zip(fields.grid.points, place, stretch, strict=True)
    ]
    distance = torch.sqrt(sum((o * o for o in offsets), torch.zeros(1, device=depth.device)))
    inside = radius - distance + 1.2 * fields.fractal(8.0)
    along, across = _ray(fields, place)  # the way in, from the surface
    inside = torch.maximum(inside, torch.minimum(max(0.4 * radius, 4.0) - across, along))
    where = (depth > 0) * (1 - lesion)
    fluid = max(levels.csf[T2] - levels.grey[T2], 0.15)
    rim = soft_step((inside + u(1.5, 4)) / 0.8) * where
    scar = (None, None, levels.grey[T2] + u(0.1, 0.6) * fluid, levels.grey[FLAIR] * u(1.1, 1.6))
    image = _towards(image, rim * u(0.4, 0.9), scar)
    if fields.chance(0.4):  # thin, even enhancement of the wall
        wall = soft_step((inside + u(0.8, 1.8)) / 0.4) * where
        wall = wall * soft_step(fields.smooth(12.0) * 3 + u(-1, 2))
        bright = max(levels.white[T1CE], levels.grey[T1CE]) * u(1.15, 1.7)
        image = _towards(image, wall, (None, bright, None, None))
    return _towards(image, soft_step(inside / 0.6) * where, tuple(float(v) for v in levels.csf))


def _ray(
    fields: Fields, place: tuple[float, float, float], inwards_mm: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return distances in mm along and across the ray from near a place out to the surface."""
    outward = np.asarray(place) - _MIDDLE
    outward = outward / (np.linalg.norm(outward) + 1e-6)
    start = np.asarray(place) - inwards_mm * outward
    dz, dy, dx = (a - float(c) for a, c in zip(fields.grid.points, start, strict=True))
    along = dz * float(outward[0]) + dy * float(outward[1]) + dx * float(outward[2])
    across = torch.sqrt((dz * dz + dy * dy + dx * dx - along * along).clamp_min(0.0))
    return along, across


def _towards(image: Tensor, weight: Tensor, values: tuple[float | None, ...]) -> Tensor:
    """Blend channels towards a value each; None leaves a channel as it is."""
    out = [
        channel if value is None else channel + weight * (value - channel)
        for channel, value in zip(image, values, strict=True)
    ]
    return torch.stack(out)


def _somewhere(fields: Fields, weight: Tensor) -> tuple[float, float, float] | None:
    """Draw a voxel by weight, (z, y, x) in mm; None where all weights are 0."""
    for index in fields.places(weight, 1):
        z, y, x = (float(axis[i]) for axis, i in zip(fields.grid.axes, index, strict=True))
        return z, y, x
    return None
