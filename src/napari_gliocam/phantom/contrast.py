"""Intensities of each tissue in T1, T1ce, T2 and FLAIR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.anatomy import Tissue
from napari_gliocam.phantom.fields import Fields

#: Channels of every phantom image.
T1, T1CE, T2, FLAIR = range(4)


@dataclass(frozen=True, eq=False)
class Contrast:
    """One scanner's contrast.

    Parameters
    ----------
    means : ndarray, (4, 12)
        Mean of each tissue in each channel; 1 is about the brightest normal tissue.
    csf, grey, white : ndarray, (4,)
        Reference levels in each channel, for lesions relative to them.
    """

    means: np.ndarray
    csf: np.ndarray
    grey: np.ndarray
    white: np.ndarray


def draw_contrast(fields: Fields) -> Contrast:
    """Draw tissue means in the order that holds in reality.

    T1: white > grey > CSF.  T2: CSF > grey > white.  FLAIR: CSF dark, grey a little over white.
    """
    u = fields.uniform
    rng = fields.rng
    csf = np.array([u(0.05, 0.3), 0.0, u(0.85, 1.25), u(0.02, 0.25)])
    grey = np.array([u(0.42, 0.62), 0.0, u(0.42, 0.6), u(0.5, 0.68)])
    white = np.array(
        [grey[T1] + u(0.04, 0.26), 0.0, grey[T2] - u(0.02, 0.2), grey[FLAIR] - u(-0.04, 0.16)]
    )
    vessel = np.array([u(0.3, 0.9), u(0.9, 1.3), u(0.1, 1.0), u(0.2, 0.8)])
    # Contrast agent leaves normal tissue nearly as it is.
    scale = u(0.9, 1.15)
    for level in (csf, grey, white):
        level[T1CE] = level[T1] * scale
    white[T1CE] += u(-0.05, 0.03)
    if fields.chance(0.35):  # arteries and veins hardly enhance
        vessel[T1CE] = white[T1CE] + u(0, 0.4)

    def jitter(sd: float) -> np.ndarray:
        noise = rng.standard_normal(4) * sd
        noise[T1CE] = noise[T1] + 0.3 * noise[T1CE]
        return noise

    def between(low: float, high: float) -> np.ndarray:
        level: np.ndarray = grey + u(low, high) * (white - grey)
        return level

    means = np.zeros((4, len(Tissue)))
    means[:, Tissue.CSF] = csf + np.abs(jitter(0.06)) * np.array([1, 1, -1, 1])
    means[:, Tissue.VENTRICLE] = csf + jitter(0.02)
    means[:, Tissue.CORTEX] = grey + jitter(0.01)
    means[:, Tissue.WHITE] = white + jitter(0.01)
    means[:, Tissue.THALAMUS] = between(0.1, 0.8) + jitter(0.02)
    means[:, Tissue.STRIATUM] = between(-0.1, 0.4) + jitter(0.025)
    means[:, Tissue.PALLIDUM] = (
        between(0.4, 1.2) + jitter(0.02) - np.array([0, 0, u(0, 0.15), u(0, 0.1)])
    )
    means[:, Tissue.HIPPOCAMPUS] = grey * (1 + np.array([0, 0, u(-0.05, 0.12), u(-0.03, 0.16)]))
    means[:, Tissue.CEREBELLAR_WHITE] = white + jitter(0.03)
    means[:, Tissue.CEREBELLAR_CORTEX] = grey + jitter(0.035)
    means[:, Tissue.BRAIN_STEM] = between(0.3, 1.1) + jitter(0.03)
    means[:, Tissue.VESSEL] = vessel
    return Contrast(means, csf, grey, white)


def random_curve(fields: Fields, image: Tensor, strength: float) -> Tensor:
    """Change a real contrast by a rising curve: a bend in the middle, gamma, offset.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    image : Tensor
        1 is about the brightest tissue; below 0 counts as 0.
    strength : float
        Gamma lies between exp(-strength) and exp(strength).
    """
    u = fields.uniform
    gamma, offset = float(np.exp(u(-strength, strength))), u(-0.06, 0.06)
    bend = u(-0.15, 0.15) * 0.5
    x = image.clamp_min(0)
    # Bent before the power: |bend| < 1 / pi keeps that rising, whatever the gamma.
    return (x + bend * torch.sin(np.pi * x.clamp(0, 1))).clamp_min(0) ** gamma + offset


def render_tissues(
    fields: Fields, contrast: Contrast, fractions: Tensor, real: Tensor | None, mix: float
) -> Tensor:
    """Render the image without lesions, (4, n, rows, columns).

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    contrast : Contrast
        Mean of each tissue in each channel.
    fractions : Tensor, (12, n, rows, columns)
        Sum to 1 inside the brain.
    real : Tensor, (4, n, rows, columns), or None
        Real contrasts of the same anatomy.
    mix : float
        Share of the real contrast, in [0, 1].
    """
    means = torch.as_tensor(contrast.means, dtype=torch.float32, device=fractions.device)
    image = torch.einsum("mk,knyx->mnyx", means, fractions)
    if real is not None and mix > 0:
        curved = [
            random_curve(fields, channel, 0.33) * fields.uniform(low, high)
            for channel, (low, high) in zip(
                real, ((0.7, 1.0), (0.75, 1.0), (0.6, 1.05), (0.6, 0.8)), strict=True
            )
        ]
        image = mix * torch.stack(curved) + (1 - mix) * image
    # Texture: fine everywhere, coarse within a tissue.
    scale = fields.uniform(0.9, 3.8)
    weak = 0.4 if real is not None and mix > 0.99 else 1.0
    spread = torch.as_tensor(
        fields.rng.uniform(0, 0.03, contrast.means.shape),
        dtype=torch.float32,
        device=fractions.device,
    )
    for channel in range(4):
        image[channel] += fields.uniform(0.005, 0.03) * weak * fields.smooth(scale)
        image[channel] += torch.tensordot(spread[channel], fractions, 1) * fields.smooth(6.0)
    return image


def measured_levels(image: Tensor, fractions: Tensor, contrast: Contrast) -> Contrast:
    """Return the contrast with reference levels measured in a rendered image."""
    groups = {
        "csf": ((Tissue.CSF, Tissue.VENTRICLE), 0.8),
        "grey": ((Tissue.CORTEX, Tissue.STRIATUM), 0.7),
        "white": ((Tissue.WHITE,), 0.8),
    }
    levels = {}
    for name, (tissues, least) in groups.items():
        share = fractions[list(tissues)].sum(0)
        values = image[:, share > least]
        levels[name] = (
            values.median(dim=1).values.cpu().numpy().astype(float)
            if values.shape[1] > 60
            else getattr(contrast, name)
        )
    return Contrast(contrast.means, **levels)
