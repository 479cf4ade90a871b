"""What the scanner and the preparation do to an image: bias, shading, residues, blur, noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.contrast import FLAIR, T1, T1CE, T2
from napari_gliocam.phantom.fields import Fields, blur, soft_step


def skull_strip_residue(
    fields: Fields, image: Tensor, brain: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """Leave bits of meninges, fat or orbit around the brain.

    Returns
    -------
    image : Tensor, (4, n, rows, columns)
    brain : Tensor of bool, (n, rows, columns)
        Grown by the residues.
    """
    u = fields.uniform
    reach = u(-3.5, 1.0) + u(1.5, 5) * fields.smooth(u(6, 21))
    residue = ~brain & (-depth <= reach.clamp(0, 11)) & (depth > -12)
    if not residue.any():
        return image, brain
    t1 = u(0.02, 0.25) if fields.chance(0.4) else u(0.3, 0.9)
    values = (t1, t1 * u(1.0, 2.2), u(0.03, 0.9), u(0.03, 1.2))
    out = [
        torch.where(residue, value * (1 + 0.35 * fields.smooth(3.0)), channel)
        for channel, value in zip(image, values, strict=True)
    ]
    return torch.stack(out), brain | residue


def acquire(fields: Fields, image: Tensor, depth: Tensor, *, strong: float = 1.0) -> Tensor:
    """Bias fields, coil shine, susceptibility, edge shading, blur and Rician noise.

    Parameters
    ----------
    fields : Fields
    image : Tensor, (4, n, rows, columns)
    depth : Tensor, (n, rows, columns)
        mm below the brain's surface.
    strong : float
        Scales all of it; 0 leaves a clean image.
    """
    u = fields.uniform
    z, y, x = fields.grid.points
    image = image.clone()
    if fields.chance(0.35 * strong):  # a surface coil near the edge
        centre = fields.rng.normal(size=3)
        centre *= np.array([55.0, 75.0, 60.0]) / np.linalg.norm(centre)
        reach = u(12, 40)
        dz, dy, dx = (a - float(c) for a, c in zip((z, y, x), centre, strict=True))
        shine = torch.exp(-(dz**2 + dy**2 + dx**2) / (2 * reach**2))
        for channel in (T1, T1CE, T2, FLAIR):
            if channel == FLAIR or fields.chance(0.6):
                image[channel] *= torch.exp(u(0.05, 0.5) * shine)
    if fields.chance(0.2 * strong):  # susceptibility at the skull base
        centre_y, centre_x, centre_z = u(-70, 20), u(-40, 40), u(-50, -15)
        distance = torch.sqrt(
            (z - centre_z) ** 2 + (y - centre_y) ** 2 + ((x - centre_x) * u(0.6, 1.6)) ** 2
        )
        weight = soft_step((1 - distance / u(7, 22) + 0.2 * fields.smooth(8)) * u(2, 6))
        sign = u(-0.7, 0.25)
        for channel, part in ((T1, 0.5), (T1CE, 0.5), (T2, 1.0), (FLAIR, u(0.5, 1))):
            image[channel] *= 1 + weight * sign * part
    if fields.chance(0.3 * strong):  # linear shading
        angle = u(0, 2 * np.pi)
        slope = (np.cos(angle) * x + np.sin(angle) * y) / 90
        for channel in range(4):
            image[channel] *= torch.exp(u(0, 0.3) * slope)
    for channel in range(4):
        out = image[channel] * torch.exp(u(0, 0.2) * strong * fields.smooth(u(30, 70)))
        if fields.chance(0.35 * strong):  # brighter or darker towards the edge
            out = out * (1 + u(-0.2, 0.25) * torch.exp(-depth.clamp_min(0) / u(6, 18)))
        if fields.chance(0.6):
            out = blur(out, u(0.2, 0.75) * 1.5 / fields.grid.pixel_mm[0])
        sigma = u(0.002, 0.018) * max(strong, 0.3)
        image[channel] = torch.sqrt(
            (out + sigma * fields.white()) ** 2 + (sigma * fields.white()) ** 2
        )
    return image
