"""Hard negatives: lesions and artefacts that look like a tumour and are none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.anatomy import Tissue
from napari_gliocam.phantom.contrast import FLAIR, T1, T1CE, T2, Contrast
from napari_gliocam.phantom.fields import Fields, blur, soft_step


def add_distractors(
    fields: Fields,
    image: Tensor,
    fractions: Tensor,
    depth: Tensor,
    lesion: Tensor,
    levels: Contrast,
) -> Tensor:
    """Draw white matter lesions, caps, vessels, infarcts, cavities and coil shine.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    image : Tensor, (4, n, rows, columns)
        T1, T1ce, T2, FLAIR; about [0, 2]. Changed in place.
    fractions : Tensor, (12, n, rows, columns)
        Fraction of each `Tissue` in each voxel.
    depth : Tensor, (n, rows, columns)
        mm below the brain's surface.
    lesion : Tensor, (n, rows, columns)
        Tumour, in [0, 1]; distractors stay off it.
    levels : Contrast
        Reference levels of the scan that is drawn.
    """
    u, brain = fields.uniform, (depth > 0).float()
    white = fractions[Tissue.WHITE]
    csf = fractions[Tissue.CSF] + fractions[Tissue.VENTRICLE]
    free = brain * (1 - lesion)
    fluid = abs(levels.csf[T2] - levels.grey[T2])
    flair = float(levels.grey[FLAIR])

    if fields.chance(0.45):  # multiple sclerosis, small vessel disease
        spots = _spots(fields, (white + 0.03) * free, int(fields.rng.integers(2, 26)), 0.9, 4.0)
        weight = spots * free
        image[FLAIR] = image[FLAIR] * (1 - weight) + weight * flair * u(1.1, 1.6)
        image[T2] = image[T2] * (1 - weight) + weight * (levels.grey[T2] + u(0.1, 0.5) * fluid)
        if fields.chance(0.4):
            for channel in (T1, T1CE):
                image[channel] = image[channel] * (1 - 0.3 * weight)
    if fields.chance(0.25):  # diffuse white matter brightness, both sides
        weight = blur(white * brain, 2) * soft_step(fields.smooth(18) * 2) * u(0, 1) * (1 - lesion)
        image[FLAIR] += weight * u(0.05, 0.22) * flair
        image[T2] += weight * u(0, 0.12)
    if fields.chance(0.5):  # periventricular caps and rims
        near = blur((fractions[Tissue.VENTRICLE] > 0.6).float(), u(1.0, 1.8))
        weight = (near * 4 * (1 - near)).clamp(0, 1) * u(0.2, 1) * brain * (csf < 0.5)
        image[FLAIR] += weight * u(0.05, 0.35) * flair
        image[T2] += weight * u(0, 0.15)
    if fields.chance(0.7):  # vessels, dura, choroid plexus on T1ce
        edge = soft_step((4.5 - depth) * 2) * brain
        places = edge if fields.chance(0.6) else free * ((csf > 0.4) | (white < 0.25)).float()
        weight = _spots(fields, places, int(fields.rng.integers(3, 24)), 1.0, 3.6)
        if fields.chance(0.3):
            weight = torch.maximum(weight, (depth < u(1.3, 2.7)) * soft_step(fields.smooth(9) * 3))
        plexus = blur((fractions[Tissue.VENTRICLE] > 0.6).float(), 0.8)
        if fields.chance(0.4):
            weight = torch.maximum(weight, plexus * soft_step((fields.smooth(4) - 1.0) * 4))
        weight = weight * free
        bright = max(levels.white[T1CE], levels.grey[T1CE]) * u(1.1, 2.3)
        image[T1CE] = image[T1CE] * (1 - weight) + weight * bright
    if fields.chance(0.06):  # an old infarct or a surgical cavity: fluid down to the surface
        places = soft_step((9 - depth) * 1.0) * brain * (1 - lesion)
        weight = _spots(fields, places, 1, 6, 16, sharp=1.0) * brain * (1 - lesion)
        for channel in range(4):
            image[channel] = image[channel] * (1 - weight) + weight * float(levels.csf[channel])
    if fields.chance(0.35):  # allocortex, insula, stem brighter on FLAIR, both sides
        _, y, x = fields.grid.points
        insula = torch.exp(-(((y + 8) / 20) ** 2) - ((x.abs() - 33) / 14) ** 2)
        weight = fractions[Tissue.HIPPOCAMPUS] + 0.6 * fractions[Tissue.CORTEX] * insula
        if fields.chance(0.5):
            weight = weight + 0.7 * fractions[Tissue.BRAIN_STEM]
        weight = blur(weight, u(0.4, 1.2)) * (1 - lesion)
        image[FLAIR] += weight * u(0.03, 0.3) * flair
        image[T2] += weight * u(-0.02, 0.12)
    if fields.chance(0.3):  # cerebellum of another brightness as a whole
        weight = fractions[Tissue.CEREBELLAR_WHITE] + fractions[Tissue.CEREBELLAR_CORTEX]
        weight = blur(weight, u(0.3, 1.5))
        t1 = u(-0.15, 0.15)
        for channel, change in zip(range(4), (t1, t1, u(-0.15, 0.2), u(-0.1, 0.4)), strict=True):
            image[channel] *= 1 + weight * change
    if fields.chance(0.7):
        image = _folia(fields, image, fractions[Tissue.CEREBELLAR_CORTEX], levels)
    if fields.chance(0.4):  # a bright cortical rim
        weight = torch.exp(-depth.clamp_min(0) / u(1.2, 3.8)) * brain
        weight = weight * soft_step(fields.smooth(u(9, 27)) * 3)
        image[FLAIR] += weight * u(0, 0.35) * flair
        image[T2] += weight * u(-0.1, 0.25)
    return image


def _spots(
    fields: Fields, places: Tensor, count: int, low_mm: float, high_mm: float, sharp: float = 2.5
) -> Tensor:
    """Draw irregular blobs around centres drawn by weight, (n, rows, columns) in [0, 1]."""
    z, y, x = fields.grid.points
    out = torch.zeros_like(places)
    centres = fields.places(places, count)
    if not centres:
        return out
    ragged = 0.25 * fields.smooth(3.0)
    for i, j, k in centres:
        radius = fields.log_uniform(low_mm, high_mm)
        # Slices may lie far apart: a spot only touches those within its reach.
        centre_z = float(z[i, 0, 0]) + fields.uniform(-0.5, 0.5) * radius
        touched = ((z[:, 0, 0] - centre_z).abs() < 2.5 * radius).nonzero()[:, 0]
        dz = z[touched] - centre_z
        dy = y - float(y[0, j, 0])
        dx = x - float(x[0, 0, k])
        stretch = fields.uniform(0.7, 1.4)
        distance = torch.sqrt(dz**2 + (dy * stretch) ** 2 + (dx / stretch) ** 2)
        blob = soft_step((1 - distance / radius + ragged[touched]) * sharp * 1.5)
        out[touched] = torch.maximum(out[touched], blob)
    return out


def _folia(fields: Fields, image: Tensor, cortex: Tensor, levels: Contrast) -> Tensor:
    """Draw fine curved stripes of CSF in the cerebellar cortex."""
    if cortex.sum() < 60:
        return image
    _, y, x = fields.grid.points
    period = fields.uniform(4.5, 6.8)
    bow = fields.uniform(0, 0.013) * (1 if fields.chance(0.5) else -1)
    phase = (y - 40 + bow * x**2 + 3 * fields.smooth(12)) * (2 * np.pi / period)
    stripe = torch.sin(phase).clamp(0, 1) ** fields.uniform(0.8, 2) * blur(cortex, 0.5)
    stripe = stripe * fields.uniform(0.1, 0.6)
    csf = torch.as_tensor(levels.csf, dtype=torch.float32, device=image.device)
    return image * (1 - stripe) + stripe * csf[:, None, None, None]
