"""One phantom: anatomy, lesions, contrast and acquisition put together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.acquisition import (
    Faults,
    acquire,
    field_of_view,
    skull_strip_residue,
)
from napari_gliocam.phantom.anatomy import Anatomy, Tissue, enlarge_ventricles, vary_folds
from napari_gliocam.phantom.contrast import (
    T1,
    T1CE,
    draw_contrast,
    measured_levels,
    render_tissues,
)
from napari_gliocam.phantom.distractors import add_distractors
from napari_gliocam.phantom.fields import Fields
from napari_gliocam.phantom.lookalikes import Lookalikes, add_lookalikes
from napari_gliocam.phantom.tumour import (
    Kind,
    Lesion,
    draw_lesion,
    mass_effect,
    paint_lesion,
    shape_lesion,
)


@dataclass(frozen=True)
class SceneSettings:
    """How varied phantoms are.

    Parameters
    ----------
    kinds : mapping of kind to weight
        What a case shows: none, both classes, core alone, edema alone.
    deform : float
        Scale of the random shape changes; 0 keeps the anatomy.
    atrophy : float
        Probability of ventricles of another size.
    distract, acquire : float
        Probability of distractors and residues; strength of the acquisition's faults.
    faults : Faults
        How often each fault occurs at strength 1.
    lookalikes : Lookalikes
        How often each of them occurs among the distractors.
    not_enhancing : float
        Part of the tumours that would enhance and are drawn without enhancement.
    """

    kinds: dict[str, float] = field(
        default_factory=lambda: {"none": 0.18, "both": 0.54, "core": 0.13, "edema": 0.15}
    )
    deform: float = 1.0
    atrophy: float = 0.4
    distract: float = 1.0
    acquire: float = 1.0
    faults: Faults = field(default_factory=Faults)
    lookalikes: Lookalikes = field(default_factory=Lookalikes)
    not_enhancing: float = 0.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A rendered phantom.

    Parameters
    ----------
    image : Tensor of float32, (4, n, rows, columns)
        T1, T1ce, T2, FLAIR; about [0, 2], 0 outside the brain.
    brain : Tensor of bool, (n, rows, columns)
        Voxels of the brain, residues of the skull included.
    labels : Tensor of uint8, (n, rows, columns)
        0 background, 1 core, 2 edema: the truth.
    enhancing : Tensor of bool, (n, rows, columns)
        The part of the core that takes up contrast agent.
    lesions : tuple of Lesion
        Lesions of the case; none in a healthy one.
    """

    image: Tensor
    brain: Tensor
    labels: Tensor
    enhancing: Tensor
    lesions: tuple[Lesion, ...]


def draw_lesions(fields: Fields, anatomy: Anatomy, settings: SceneSettings) -> tuple[Lesion, ...]:
    """Draw the lesions of one case, centred in the brain, more often in white matter."""
    names = list(settings.kinds)
    weights = np.array([settings.kinds[n] for n in names])
    kind: Kind = str(fields.rng.choice(names, p=weights / weights.sum()))  # type: ignore[assignment]
    if kind == "none":
        return ()
    count = 1 if fields.chance(0.82) else int(fields.rng.integers(2, 5))
    white = anatomy.tissues[Tissue.WHITE].float() + 0.3
    z = torch.arange(anatomy.depth.shape[0], device=white.device)[:, None, None]
    low = int(0.22 * anatomy.depth.shape[0])  # gliomas below the tentorium are rare
    places = white * (anatomy.depth > 5) * torch.where(z < low, 0.06, 1.0)
    lesions: list[Lesion] = []
    for _ in range(count):
        (index,) = fields.places(places, 1)
        centre = tuple(
            (i - (n - 1) / 2) * anatomy.spacing
            for i, n in zip(index, anatomy.depth.shape, strict=True)
        )
        lesion = draw_lesion(fields, centre, kind)  # type: ignore[arg-type]
        if settings.not_enhancing and lesion.enhancing and fields.chance(settings.not_enhancing):
            lesion = replace(lesion, enhancing=False)
        if lesions:  # satellites are smaller and of the same nature
            first = lesions[0]
            lesion = Lesion(
                lesion.kind,
                lesion.centre,
                min(lesion.radius, 0.6 * first.radius + 3),
                first.enhancing,
                lesion.left_out,
            )
        lesions.append(lesion)
    return tuple(lesions)


def render_scene(
    fields: Fields,
    anatomy: Anatomy,
    lesions: tuple[Lesion, ...] = (),
    settings: SceneSettings | None = None,
) -> Scene:
    """Render a phantom on the grid of its fields.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers.
    anatomy : Anatomy
        The brain without tumours.
    lesions : tuple of Lesion
        Lesions of the case; none in a healthy one.
    settings : SceneSettings, optional
        How varied phantoms are; the defaults of `SceneSettings` if not given.
    """
    settings = settings or SceneSettings()
    u = fields.uniform
    z, y, x = (p.expand(fields.grid.size) for p in fields.grid.points)
    for lesion in lesions:
        if fields.chance(0.6):
            z, y, x = mass_effect(fields, lesion, z, y, x)
    z, y, x = _deform(fields, z, y, x, settings.deform)
    if fields.chance(settings.atrophy):
        z, y, x = enlarge_ventricles(fields, anatomy, z, y, x)
    fractions, depth, real = anatomy.sample(z, y, x)

    # How much CSF the skull-strip left around the tissue; real images end where they end.
    # A mask that is cut tightly takes a little of the cortex with it.
    rind = 0.0 if real is not None else u(-1.0, 2.5) + 0.8 * fields.smooth(18)
    brain = depth + rind > 0
    if fields.chance(settings.faults.cropped * settings.acquire):
        brain = brain & field_of_view(fields, anatomy.extent)
    fractions[Tissue.CSF] += (1 - fractions.sum(0)).clamp_min(0)
    fractions = vary_folds(fields, fractions)

    contrast = draw_contrast(fields)
    mix = 0.0
    if real is not None:
        mix = float(fields.rng.choice([0.0, 1.0, u(0.3, 0.8)], p=[0.25, 0.45, 0.3]))
    image = render_tissues(fields, contrast, fractions, real, mix)
    levels = measured_levels(image, fractions, contrast)

    core = torch.zeros(fields.grid.size, device=fields.grid.device)
    edema = torch.zeros_like(core)
    csf = fractions[Tissue.CSF] + fractions[Tissue.VENTRICLE]
    white = fractions[Tissue.WHITE]
    for lesion in lesions:
        shape = shape_lesion(fields, lesion, white, csf)
        image = paint_lesion(fields, lesion, shape, image, levels)
        core = torch.maximum(core, shape.core)
        edema = torch.maximum(edema * (1 - shape.core), shape.edema * (1 - core))
    # What takes up contrast agent, before noise and vessels: brighter than on T1.
    uptake = image[T1CE] - image[T1] * (levels.white[T1CE] / max(levels.white[T1], 0.1))
    enhancing = uptake > 0.15 * max(levels.white[T1CE], levels.grey[T1CE])
    if fields.chance(settings.distract):
        tumour = (core + edema).clamp(0, 1)
        image = add_distractors(fields, image, fractions, depth, tumour, levels)
        image = add_lookalikes(fields, image, fractions, depth, tumour, levels, settings.lookalikes)
    truth_brain = brain
    if fields.chance(0.35 * settings.distract):
        image, brain = skull_strip_residue(fields, image, brain, depth)
    image = acquire(fields, image, depth, strong=settings.acquire, faults=settings.faults) * brain
    labels = torch.zeros(fields.grid.size, dtype=torch.uint8, device=fields.grid.device)
    shown = (core + edema > 0.5) & truth_brain
    labels[shown] = 2
    labels[shown & (core >= edema)] = 1
    return Scene(image.clamp_min(0), brain, labels, (labels == 1) & enhancing, lesions)


def _deform(
    fields: Fields, z: Tensor, y: Tensor, x: Tensor, amount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotate, scale, shear and bend positions at random; mirrored half of the time."""
    if amount == 0:
        return z, y, x
    rng = fields.rng
    angles = rng.uniform(-0.2, 0.2, 3) * amount * np.array([1.0, 0.7, 0.5])
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix = matrix @ np.diag(np.exp(rng.uniform(-0.1, 0.1, 3) * amount))
    matrix *= np.exp(rng.uniform(-0.12, 0.12) * amount)
    matrix += rng.uniform(-0.06, 0.06, (3, 3)) * amount * (1 - np.eye(3))
    if fields.chance(0.5):
        matrix[2] = -matrix[2]
    strength, scale = fields.uniform(0, 2.6) * amount, fields.uniform(14, 30)
    out = []
    for row in matrix:
        moved = float(row[0]) * z + float(row[1]) * y + float(row[2]) * x
        out.append(moved + strength * fields.smooth(scale))
    return out[0], out[1], out[2]
