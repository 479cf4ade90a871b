"""Gliomas in 3-D: an irregular core in an edema that follows white matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.contrast import FLAIR, T1, T1CE, T2, Contrast
from napari_gliocam.phantom.fields import Fields, blur, soft_step

Kind = Literal["none", "both", "core", "edema"]


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion: where, how large, of what kind.

    Parameters
    ----------
    kind : {"both", "core", "edema"}
        Classes that the lesion shows.
    centre : (z, y, x)
        In mm.
    radius : float
        Of the whole in mm, before irregularity.
    enhancing : bool
        Whether the core takes up contrast agent.
    left_out : {"core", "edema"} or None
        A class whose place is kept in the geometry while the class itself is not drawn: the
        counterfactual that keeps "shows core" and "shows edema" from being the same label.
    """

    kind: Kind
    centre: tuple[float, float, float]
    radius: float
    enhancing: bool = True
    left_out: Literal["core", "edema"] | None = None


@dataclass(frozen=True, eq=False)
class Shape:
    """Soft masks of a lesion, all (n, rows, columns) in [0, 1], disjoint.

    Parameters
    ----------
    core, edema : Tensor
        Fraction of each class in each voxel.
    depth : Tensor
        Distance in mm into the core, for the enhancing rim.
    edema_depth : Tensor
        Distance in mm into the edema, which fades towards its border.
    """

    core: Tensor
    edema: Tensor
    depth: Tensor
    edema_depth: Tensor


def draw_lesion(fields: Fields, centre: tuple[float, float, float], kind: Kind) -> Lesion:
    """Draw size and make-up of a lesion at a place."""
    radius = fields.uniform(12, 46) if fields.chance(0.7) else fields.log_uniform(6.5, 30)
    left_out: Literal["core", "edema"] | None = None
    if kind == "edema" and fields.chance(0.4):
        kind, left_out = "both", "core"
    elif kind == "core" and fields.chance(0.4):
        kind, left_out = "both", "edema"
    return Lesion(kind, centre, radius, fields.chance(0.75), left_out)


def shape_lesion(fields: Fields, lesion: Lesion, white: Tensor, csf: Tensor) -> Shape:
    """Draw soft masks of a lesion in its surroundings.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    lesion : Lesion
        Place, size and make-up of the lesion.
    white, csf : Tensor, (n, rows, columns)
        Tissue fractions: edema follows white matter, nothing grows into a ventricle.
    """
    u, r = fields.uniform, lesion.radius
    centre = np.array(lesion.centre)
    empty = torch.zeros_like(white)
    core, edema, depth, edema_depth = empty, empty, empty - 10.0, empty
    # Swelling closes sulci, and edema does not follow every streak of white matter.
    white, wide = blur(white, 1.3), blur(csf, 1.5)
    open_csf = csf if fields.chance(0.3) else wide
    core_centre, core_radius = centre, 0.0
    if lesion.kind in ("both", "core"):
        core_radius = _core_radius(fields, lesion)
        core_centre = centre + fields.rng.standard_normal(3) * 0.12 * r * (lesion.kind == "both")
        round_ = not lesion.enhancing and fields.chance(0.6)
        irregular = u(0.04, 0.14) if round_ else u(0.08, 0.25)
        level = _level(fields, core_centre, core_radius, irregular, core_radius * u(0.4, 0.9))
        level = level - (0.25 if lesion.enhancing else 0.5) * (wide > 0.6)
        depth = level * core_radius
        core = soft_step(depth, u(0.3, 0.75) if round_ else u(0.4, 1.0))
    if lesion.kind in ("both", "edema"):
        edema_radius = r * u(0.9, 1.45)
        offset = fields.rng.standard_normal(3) * r * 0.22 * (lesion.kind == "both")
        level = _level(
            fields, centre + offset, edema_radius, u(0.1, 0.35), edema_radius * u(0.2, 0.8)
        )
        level = level + u(0.1, 0.8) * (white - 0.55) - u(0.2, 0.9) * open_csf
        if lesion.kind == "both" and fields.chance(0.7):  # a cuff around the core
            cuff = _level(fields, core_centre, core_radius * u(1.1, 1.5), 0.1, core_radius * 0.6)
            level = torch.maximum(level, cuff + u(0, 0.5) * (white - 0.5) - 0.4 * open_csf)
        edema_depth = level * edema_radius
        edema = soft_step(edema_depth, u(0.7, 2.8))
    if lesion.kind == "both" and lesion.enhancing and fields.chance(0.25):
        core, depth = _foci(fields, core_centre, r, core, depth, edema)
    if lesion.left_out == "core":
        if fields.chance(0.7):
            edema = torch.maximum(edema, core)
        core, depth = empty, empty - 10.0
    elif lesion.left_out == "edema":
        edema = empty
    return Shape(core, edema * (1 - core), depth, edema_depth)


def _core_radius(fields: Fields, lesion: Lesion) -> float:
    """Draw the radius of a core in mm: from a speck to one that leaves but a thin edema."""
    u, r = fields.uniform, lesion.radius
    if lesion.kind != "both":
        return max(r * u(0.55, 1.0), 4.5)
    draw = u()
    if draw < 0.25:
        share = u(0.15, 0.45)
    elif draw < 0.7:
        share = u(0.4, 0.85)
    else:
        share = u(0.8, 1.2)
    return max(r * share, 3.5 if lesion.enhancing else 5.0)


def _foci(
    fields: Fields, centre: np.ndarray, reach: float, core: Tensor, depth: Tensor, edema: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one to three small cores beside the main one, inside the edema."""
    for _ in range(int(fields.rng.integers(1, 4))):
        radius = fields.uniform(2.5, 8)
        place = centre + fields.rng.standard_normal(3) * 0.5 * reach
        level = _level(fields, place, radius, fields.uniform(0.05, 0.25), radius)
        focus_depth = level * radius
        focus = soft_step(focus_depth, fields.uniform(0.4, 1.0)) * (edema > 0.5)
        depth = torch.where(focus > core, focus_depth, depth)
        core = torch.maximum(core, focus)
    return core, depth


def _level(
    fields: Fields, centre: np.ndarray, radius: float, irregular: float, scale: float
) -> Tensor:
    """Draw a ragged ellipsoid: 1 in the centre, 0 at the surface, negative outside."""
    z, y, x = fields.grid.points
    rotation = _random_rotation(fields.rng)
    stretch = np.exp(fields.rng.uniform(-0.22, 0.22, 3))
    stretch /= np.cbrt(stretch.prod())
    matrix = torch.as_tensor(
        rotation * stretch[:, None] / radius, dtype=torch.float32, device=fields.grid.device
    )
    offset = [a - float(c) for a, c in zip((z, y, x), centre, strict=True)]
    u, v, w = (row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2] for row in matrix)
    distance = torch.sqrt(u * u + v * v + w * w + 1e-6)
    return 1 - distance + irregular * fields.fractal(max(scale, 2.0))


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    rotation: np.ndarray = q * np.sign(np.diag(r))
    return rotation


def mass_effect(
    fields: Fields, lesion: Lesion, z: Tensor, y: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positions in the healthy brain that a growing lesion pushed to (z, y, x)."""
    push = fields.uniform(0.1, 0.45) * lesion.radius
    reach = lesion.radius * fields.uniform(1.2, 2.2)
    dz, dy, dx = (a - c for a, c in zip((z, y, x), lesion.centre, strict=True))
    distance = torch.sqrt(dz * dz + dy * dy + dx * dx) + 1e-3
    ratio = distance / reach
    shift = push * ratio * torch.exp(0.5 - 0.5 * ratio**2) / distance
    return z - dz * shift, y - dy * shift, x - dx * shift


def paint_lesion(
    fields: Fields, lesion: Lesion, shape: Shape, image: Tensor, levels: Contrast
) -> Tensor:
    """Blend the lesion's intensities into an image, (4, n, rows, columns)."""
    edema_levels = _edema_levels(fields, levels)
    if shape.edema.any():
        fade = torch.exp(-shape.edema_depth.clamp_min(0) / fields.uniform(3, 10))
        weight = shape.edema * fields.uniform(0.8, 1.0) * (1 - fields.uniform(0, 0.55) * fade)
        spread = [
            fields.uniform(*s) for s in ((0.01, 0.06), (0.01, 0.06), (0.03, 0.14), (0.03, 0.18))
        ]
        image = _blend(
            fields,
            image,
            weight,
            edema_levels,
            spread,
            fields.uniform(2, 10),
            keep=fields.uniform(0.1, 0.6),
        )
    if shape.core.any():
        paint = _paint_enhancing if lesion.enhancing else _paint_solid
        image = paint(fields, shape, image, levels, edema_levels)
    return image


def _edema_levels(fields: Fields, levels: Contrast) -> np.ndarray:
    u = fields.uniform
    fluid = max(levels.csf[T2] - levels.grey[T2], 0.15)
    dark = u(0.0, 0.42) * max(levels.white[T1] - levels.csf[T1], 0.1)
    bright = max(levels.white[FLAIR], levels.grey[FLAIR])
    return np.array(
        [
            levels.white[T1] - dark,
            levels.white[T1CE] - dark,
            levels.grey[T2] + u(0.15, 0.95) * fluid,
            bright * (1 + u(0.22, 1.0)),
        ]
    )


def _paint_enhancing(
    fields: Fields, shape: Shape, image: Tensor, levels: Contrast, edema: np.ndarray
) -> Tensor:
    """Paint necrosis with an enhancing rim, solid or patchy enhancement, sometimes a bleed.

    On FLAIR the core is mostly as bright as its edema or brighter; fluid-dark necrosis is the
    exception.
    """
    u = fields.uniform
    base = max(levels.white[T1CE], levels.grey[T1CE])
    t1_range = max(levels.white[T1] - levels.csf[T1], 0.1)
    fluid = max(levels.csf[T2] - levels.grey[T2], 0.15)
    dark = levels.csf[T1] + u(0.1, 0.75) * t1_range
    necrosis = np.array(
        [
            dark,
            dark * u(0.95, 1.1),
            levels.grey[T2] + u(0.3, 1.05) * fluid,
            levels.grey[FLAIR] * u(0.4, 1.1)
            if fields.chance(0.25)
            else edema[FLAIR] * u(0.85, 1.3),
        ]
    )
    coarse = u(0.3, 1.0)
    spread = [coarse * u(0.01, 0.06), coarse * u(0.01, 0.06), coarse * u(0.03, 0.12)]
    spread.append(coarse * u(0.03, 0.13))
    image = _blend(fields, image, shape.core, necrosis, spread, u(2.5, 14))
    if fields.chance(0.38):  # patchy
        rim = soft_step((fields.fractal(u(2.2, 6)) + u(-0.6, 0.5)) * 3)
    else:
        thickness = u(1.2, 5.4) if fields.chance(0.85) else 150.0
        rim = soft_step((thickness + 1.2 * fields.fractal(4.5) - shape.depth) * u(1.0, 2.7))
    if fields.chance(0.35):  # interrupted
        rim = rim * soft_step((fields.smooth(12) + u(-0.2, 1.2)) * 4)
    rim = rim * shape.core
    bright = base * u(1.2, 2.2)
    enhancing = np.array(
        [
            dark + u(0, 0.5) * t1_range,
            bright,
            levels.grey[T2] + u(0.05, 0.8) * fluid,
            edema[FLAIR] * u(0.8, 1.3),
        ]
    )
    spread = [u(0.01, 0.06), u(0.05, 0.28) * base, u(0.02, 0.1), u(0.02, 0.12)]
    image = _blend(fields, image, rim, enhancing, spread, u(1.5, 6))
    if fields.chance(0.12):  # a bleed: bright on T1, dark spots on T2
        bleed = soft_step((fields.smooth(7) - u(1.2, 1.9)) * 5) * shape.core
        levels_bleed = np.array(
            [
                base * u(1.1, 1.6),
                base * u(1.1, 1.7),
                levels.grey[T2] * u(0.3, 0.9),
                levels.grey[FLAIR] * u(0.4, 1.2),
            ]
        )
        image = _blend(fields, image, bleed, levels_bleed, [0.05] * 4, 3.0)
    return image


def _paint_solid(
    fields: Fields, shape: Shape, image: Tensor, levels: Contrast, edema: np.ndarray
) -> Tensor:
    """Paint a core without enhancement: darker on T1, fluid on T2, on FLAIR mostly above edema."""
    u = fields.uniform
    t1_range = max(levels.white[T1] - levels.csf[T1], 0.1)
    fluid = max(levels.csf[T2] - levels.grey[T2], 0.15)
    draw = u()
    if draw < 0.3:  # hardly different from edema
        t1 = edema[T1] - u(0.03, 0.3) * t1_range
        t2, flair = edema[T2] + u(-0.05, 0.3) * fluid, edema[FLAIR] * u(0.95, 1.4)
    elif draw < 0.42:  # the T2-FLAIR mismatch
        t1 = min(edema[T1], levels.white[T1]) - u(0.4, 0.85) * t1_range
        t2 = max(edema[T2], levels.grey[T2] + u(0.3, 0.7) * fluid) + u(0.1, 0.5) * fluid
        flair = edema[FLAIR] * u(0.62, 0.95)
    else:
        t1 = min(edema[T1], levels.white[T1]) - u(0.3, 0.9) * t1_range
        t2, flair = edema[T2] + u(0.05, 0.55) * fluid, edema[FLAIR] * u(0.9, 1.4)
    t1 = max(t1, levels.csf[T1])
    solid = np.array([t1, t1 * u(0.95, 1.12), t2, flair])
    homogeneous = fields.chance(0.6)
    spread = (
        [u(0.01, 0.035), u(0.01, 0.035), u(0.02, 0.06), u(0.02, 0.07)]
        if homogeneous
        else [u(0.02, 0.08), u(0.02, 0.08), u(0.03, 0.12), u(0.03, 0.16)]
    )
    keep = u(0, 0.12) if homogeneous else u(0, 0.3)
    image = _blend(fields, image, shape.core, solid, spread, u(3, 12), keep=keep)
    if fields.chance(0.35):  # a few faint foci
        foci = soft_step((fields.fractal(3) - u(1.6, 2.4)) * 5) * shape.core
        base = max(levels.white[T1CE], levels.grey[T1CE]) * u(1.05, 1.6)
        image[T1CE] = image[T1CE] * (1 - foci) + foci * base
    if fields.chance(0.13):  # a cyst
        cyst = soft_step((fields.fractal(9) - u(0.7, 1.3)) * 5) * shape.core
        levels_cyst = np.array(
            [
                levels.csf[T1] * 1.1,
                levels.csf[T1CE] * 1.1,
                levels.csf[T2],
                levels.grey[FLAIR] * u(0.2, 0.8),
            ]
        )
        image = _blend(fields, image, cyst, levels_cyst, [0.01] * 4, 4.0)
    if fields.chance(0.12):  # calcified spots: dark everywhere
        spots = soft_step((fields.fractal(2.5) - u(1.7, 2.4)) * 5) * shape.core
        image = image * (1 - spots * u(0.4, 0.9))
    return image


def _blend(
    fields: Fields,
    image: Tensor,
    weight: Tensor,
    levels: np.ndarray,
    spread: list[float],
    scale: float,
    keep: float = 0.0,
) -> Tensor:
    """Put textured levels over an image; ``keep`` lets the anatomy below shine through."""
    out = []
    inside = weight > 0.3
    count = int(inside.sum())
    for channel, level, amplitude in zip(image, levels, spread, strict=True):
        value = float(level) + amplitude * fields.fractal(scale)
        if keep > 0 and count:
            value = value * (1 - keep) + keep * (channel - channel[inside].mean() + float(level))
        out.append(channel * (1 - weight) + weight * value)
    return torch.stack(out)
