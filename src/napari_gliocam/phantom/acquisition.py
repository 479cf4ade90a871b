"""Faults of acquisition and preparation: bias, shading, residues, blur, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_gliocam.phantom.contrast import FLAIR, T1, T1CE, T2
from napari_gliocam.phantom.fields import Fields, blur, soft_step
from napari_gliocam.slices import area_matrix, bilinear_matrix


@dataclass(frozen=True)
class Faults:
    """How often each fault of an acquisition occurs, in a case or in a channel of it.

    Parameters
    ----------
    coil, susceptibility, shading : float
        In a case: shine of a surface coil, loss at the skull base, a slope over the head.
    edge, blur, thick, motion : float
        In a channel: brightness that changes towards the surface, loss of sharpness, thick
        slices of another plane, ghosts of a moving head.
    cropped : float
        In a case: the field of view ends inside the brain.
    coarse : float
        In a channel: 8-bit values.
    """

    coil: float = 0.35
    susceptibility: float = 0.2
    shading: float = 0.3
    edge: float = 0.35
    blur: float = 0.45
    thick: float = 0.12
    motion: float = 0.05
    cropped: float = 0.08
    coarse: float = 0.1


def skull_strip_residue(
    fields: Fields, image: Tensor, brain: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """Leave bits of meninges, fat or orbit around the brain.

    Returns
    -------
    image : Tensor, (4, n, rows, columns)
        T1, T1ce, T2, FLAIR; about [0, 2]. Changed in place.
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


def field_of_view(fields: Fields, extent: tuple[float, float]) -> Tensor:
    """Draw a field of view that ends inside the brain, bool, (n, rows, columns).

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    extent : (low, high)
        mm; where the brain begins and ends along z.
    """
    u = fields.uniform
    z, y, x = fields.grid.points
    low, high = extent
    missing = u(0.02, 0.16) * (high - low)
    # The slab was planned along the skull base, so it is tilted to the head.
    height = z + u(-0.15, 0.15) * y + u(-0.05, 0.05) * x
    top = fields.chance(0.5)
    seen = height < high - missing if top else height > low + missing
    return seen.expand(fields.grid.size)


def acquire(
    fields: Fields,
    image: Tensor,
    depth: Tensor,
    *,
    strong: float = 1.0,
    faults: Faults | None = None,
) -> Tensor:
    """Apply shine, loss, shading, thick slices, motion, blur, bias, Rician noise, coarse values.

    Parameters
    ----------
    fields, image, depth
        As in `napari_gliocam.phantom.distractors.add_distractors`.
    strong : float
        Scales all of it; 0 leaves a clean image.
    faults : Faults, optional
        How often each fault occurs; the defaults of `Faults` if not given.
    """
    u = fields.uniform
    faults = faults or Faults()
    image = _shade(fields, image.clone(), strong, faults)
    for channel in range(4):
        out = image[channel] * torch.exp(u(0, 0.2) * strong * fields.smooth(u(30, 70)))
        if fields.chance(faults.edge * strong):  # brighter or darker towards the edge
            out = out * (1 + u(-0.2, 0.25) * torch.exp(-depth.clamp_min(0) / u(6, 18)))
        if fields.chance(faults.thick * strong):
            out = thick_slices(fields, out, u(2.5, 6.0))
        if fields.chance(faults.motion * strong):
            out = move(fields, out, u(0.5, 4.0))
        if fields.chance(faults.blur):
            out = blur(out, u(0.2, 0.7) * 1.5 / fields.grid.pixel_mm[0])
        sigma = u(0.002, 0.022) * max(strong, 0.3)
        out = torch.sqrt((out + sigma * fields.white()) ** 2 + (sigma * fields.white()) ** 2)
        if fields.chance(faults.coarse * strong):
            out = coarsen(out, u(1.2, 2.5))
        image[channel] = out
    return image


def _shade(fields: Fields, image: Tensor, strong: float, faults: Faults) -> Tensor:
    """Brighten or darken large parts of the head, in place."""
    u = fields.uniform
    z, y, x = fields.grid.points
    if fields.chance(faults.coil * strong):  # a surface coil near the edge
        centre = fields.rng.normal(size=3)
        centre *= np.array([55.0, 75.0, 60.0]) / np.linalg.norm(centre)
        reach = u(12, 40)
        dz, dy, dx = (a - float(c) for a, c in zip((z, y, x), centre, strict=True))
        shine = torch.exp(-(dz**2 + dy**2 + dx**2) / (2 * reach**2))
        for channel in (T1, T1CE, T2, FLAIR):
            if channel == FLAIR or fields.chance(0.6):
                image[channel] *= torch.exp(u(0.05, 0.5) * shine)
    if fields.chance(faults.susceptibility * strong):  # susceptibility at the skull base
        centre_y, centre_x, centre_z = u(-70, 20), u(-40, 40), u(-50, -15)
        distance = torch.sqrt(
            (z - centre_z) ** 2 + (y - centre_y) ** 2 + ((x - centre_x) * u(0.6, 1.6)) ** 2
        )
        weight = soft_step((1 - distance / u(7, 22) + 0.2 * fields.smooth(8)) * u(2, 6))
        sign = u(-0.7, 0.25)
        for channel, part in ((T1, 0.5), (T1CE, 0.5), (T2, 1.0), (FLAIR, u(0.5, 1))):
            image[channel] *= 1 + weight * sign * part
    if fields.chance(faults.shading * strong):  # linear shading
        angle = u(0, 2 * np.pi)
        slope = (np.cos(angle) * x + np.sin(angle) * y) / 90
        for channel in range(4):
            image[channel] *= torch.exp(u(0, 0.3) * slope)
    return image


def thick_slices(fields: Fields, image: Tensor, thickness_mm: float) -> Tensor:
    """Simulate thick slices of one plane that were resampled to this grid.

    Each thick slice is the mean over its thickness; between their centres it is interpolated,
    as registration to the other modalities does.

    Parameters
    ----------
    fields : Fields
        The plane is drawn: sagittal, coronal or, where the slices lie evenly, axial.
    image : Tensor, (n, rows, columns)
        One channel.
    thickness_mm : float
        As wide as a pixel, or less, changes nothing.
    """
    axes = fields.grid.axes
    even = len(axes[0]) > 2 and np.ptp(np.diff(axes[0])) < 1e-3
    along = int(fields.rng.integers(0 if even else 1, 3))
    count = len(axes[along])
    few = max(1, round(count * abs(axes[along][1] - axes[along][0]) / thickness_mm))
    if few >= count:
        return image
    matrix = torch.from_numpy(bilinear_matrix(few, count) @ area_matrix(count, few))
    spread: Tensor = torch.tensordot(image, matrix.to(image.device), dims=([along], [1]))
    return spread.movedim(-1, along)


def move(fields: Fields, image: Tensor, shift_mm: float) -> Tensor:
    """Add ghosts: part of the lines of k-space was read while the head lay elsewhere.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    image : Tensor, (n, rows, columns)
        One channel.
    shift_mm : float
        How far the head moved, along the direction that is phase-encoded (the rows).
    """
    rows = image.shape[1]
    frequency = torch.fft.fftfreq(rows, device=image.device)
    order = torch.fft.fftshift(torch.arange(rows, device=image.device))
    # Lines are read from one edge of k-space to the other; the head jumps now and then.
    jumps = np.sort(fields.rng.integers(0, rows, int(fields.rng.integers(2, 7))))
    place = np.zeros(rows)
    for jump in jumps:
        place[jump:] = fields.rng.normal(0, shift_mm / fields.grid.pixel_mm[0])
    shift = torch.zeros(rows, device=image.device)
    shift[order] = torch.as_tensor(place, dtype=torch.float32, device=image.device)
    # Most of the energy, and so the place of the head, is in the middle: it stays.
    shift = shift - shift[0]
    turn = torch.polar(torch.ones_like(shift), -2 * np.pi * frequency * shift)
    moved: Tensor = torch.fft.ifft(torch.fft.fft(image, dim=1) * turn[:, None], dim=1)
    return moved.abs()


def coarsen(image: Tensor, top: float) -> Tensor:
    """Round to 8-bit values: 256 steps from 0 to ``top``; what is brighter is cut off."""
    return torch.round(image.clamp(0, top) * (255 / top)) * (top / 255)
