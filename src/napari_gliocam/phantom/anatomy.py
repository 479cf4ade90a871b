"""Brains without tumours: soft tissue maps on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from napari_gliocam.phantom.fields import Fields, SliceGrid, soft_step


class Tissue(IntEnum):
    """Structures that get an intensity of their own."""

    CSF = 0
    VENTRICLE = 1
    CORTEX = 2
    WHITE = 3
    THALAMUS = 4
    STRIATUM = 5
    PALLIDUM = 6
    HIPPOCAMPUS = 7
    CEREBELLAR_WHITE = 8
    CEREBELLAR_CORTEX = 9
    BRAIN_STEM = 10
    VESSEL = 11


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A brain on a regular grid with axes S, P, L, its centre at 0.

    Parameters
    ----------
    tissues : Tensor of float16, (12, Z, Y, X)
        Fraction of each `Tissue` in each voxel, in [0, 1].
    depth : Tensor of float16, (Z, Y, X)
        Distance in mm to the brain's surface, positive inside.
    spacing : float
        mm, the same along all axes.
    contrasts : Tensor of float16, (4, Z, Y, X), or None
        Real T1, T1ce, T2, FLAIR, 1 = the 98th percentile of the brain.
    """

    tissues: Tensor
    depth: Tensor
    spacing: float
    contrasts: Tensor | None = None

    def to(self, device: torch.device) -> Anatomy:
        """Return a copy on another device, so that sampling there copies nothing."""
        contrasts = None if self.contrasts is None else self.contrasts.to(device)
        return Anatomy(self.tissues.to(device), self.depth.to(device), self.spacing, contrasts)

    @cached_property
    def extent(self) -> tuple[float, float]:
        """Return the lowest and highest slice with brain, in mm."""
        seen = torch.nonzero((self.depth > 0).flatten(1).sum(1) > 200 / self.spacing**2)[:, 0]
        middle = (self.depth.shape[0] - 1) / 2
        low, high = ((float(i) - middle) * self.spacing for i in (seen[0], seen[-1]))
        return low, high

    def sample(self, z: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Sample tissues (12, ...), depth (...) and contrasts (4, ...) at positions in mm."""
        shape = self.depth.shape
        half = [max(n - 1, 1) / 2 * self.spacing for n in shape]
        where = torch.stack([x / half[2], y / half[1], z / half[0]], dim=-1)[None]

        def at(volume: Tensor) -> Tensor:
            # Positions beyond the grid take the border: depth there is well below zero.
            volume = volume.to(where.device).float()[None]
            return grid_sample(volume, where, padding_mode="border", align_corners=True)[0]

        contrasts = None if self.contrasts is None else at(self.contrasts)
        return at(self.tissues).clamp_min(0.0), at(self.depth[None])[0], contrasts

    @cached_property
    def ventricle_centre(self) -> tuple[float, float, float]:
        """Return the centre of mass of the ventricles, (z, y, x) in mm."""
        weight = self.tissues[Tissue.VENTRICLE].double()
        total = float(weight.sum())
        centre = []
        for axis, count in enumerate(weight.shape):
            others = [a for a in range(3) if a != axis]
            place = (torch.arange(count) - (count - 1) / 2) * self.spacing
            profile = weight.sum(others).cpu()
            centre.append(float((profile * place).sum()) / total if total > 0 else 0.0)
        return centre[0], centre[1], centre[2]


def enlarge_ventricles(
    fields: Fields, anatomy: Anatomy, z: Tensor, y: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions in the brain before its ventricles grew (or, seldom, shrank).

    Around the ventricles the brain is magnified, less and less with the distance; every
    position moves along a ray from their centre and none passes another.
    """
    grown = fields.uniform(0.1, 0.4) if fields.chance(0.75) else -fields.uniform(0.05, 0.25)
    reach = fields.uniform(18, 30)  # so that the surface hardly moves
    offset = [a - c for a, c in zip((z, y, x), anatomy.ventricle_centre, strict=True)]
    square = offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2
    pull = grown * torch.exp(-square / (2 * reach**2))
    return z - offset[0] * pull, y - offset[1] * pull, x - offset[2] * pull


def vary_folds(fields: Fields, fractions: Tensor) -> Tensor:
    """Widen sulci (atrophy) or tighten them, with borders between tissues as sharp as on a scan.

    Parameters
    ----------
    fields : Fields
        Grid and random numbers of the phantom.
    fractions : Tensor, (12, n, rows, columns)
        Sum to 1; label maps, interpolated, come blurred.

    Returns
    -------
    Tensor, (12, n, rows, columns)
        Sum to 1.
    """
    sharp = fields.uniform(0, 1)
    weighted = fractions * (1 - sharp + sharp * fractions)
    weighted[Tissue.CSF] *= fields.log_uniform(0.3, 2.0)
    return weighted / weighted.sum(0).clamp_min(1e-3)


def procedural_anatomy(seed: int, spacing: float = 1.5) -> Anatomy:
    """Draw a brain by formulas alone: folded cortex, ventricles, nuclei, cerebellum, stem.

    Parameters
    ----------
    seed : int
        The same seed draws the same brain.
    spacing : float
        Grid of the maps in mm.
    """
    rng = np.random.default_rng([seed, 7])
    shape = tuple(int(np.ceil(mm / spacing)) for mm in (176, 200, 164))
    z_axis = (np.arange(shape[0]) - (shape[0] - 1) / 2) * spacing
    grid = SliceGrid(z_axis, (shape[1], shape[2]), (spacing, spacing))
    fields = Fields(grid, rng)
    z, y, x = grid.points
    side = x.abs()

    def ellipsoid(cz: float, cy: float, cx: float, rz: float, ry: float, rx: float) -> Tensor:
        """Return about the signed distance in mm, positive inside; mirrored left and right."""
        r = torch.sqrt(((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((side - cx) / rx) ** 2)
        return (1 - r) * min(rz, ry, rx)

    # The cerebrum, flat below, with temporal lobes; a fissure parts the hemispheres.
    cerebrum = torch.minimum(ellipsoid(8, -2, 0, 66, 84, 67), (z + 30 + 0.10 * y) * 0.9)
    temporal = ellipsoid(-22, -12, 38, 24, 40, 23)
    cerebrum = torch.maximum(cerebrum, temporal) + 1.0 * fields.smooth(12)
    corpus = ellipsoid(16, -2, 0, 13, 42, 30)
    fissure = torch.maximum(side - 1.4 - 0.4 * fields.smooth(9).abs(), corpus)
    cerebellum = ellipsoid(-46, 42, 22, 22, 30, 34) + 0.8 * fields.smooth(8)
    stem = torch.minimum(ellipsoid(-46, 12, 0, 44, 15, 15), -z - 6)
    depth = torch.maximum(torch.maximum(cerebrum, cerebellum), stem)

    # Sulci: sheets of CSF where a smooth field crosses zero, down to some 2 cm; the field's
    # distance to zero, in mm, is the distance to the nearest sulcus.
    fold = 3.6 * fields.smooth(5.2).abs()
    deep = soft_step(cerebrum - fields.uniform(15, 20) - 3 * fields.smooth(15), 2.0)
    sulcus = fold - 0.9 + 40 * deep
    sulci = soft_step(-sulcus, 0.35)
    fissure_csf = soft_step(-fissure, 0.4)
    ribbon = torch.minimum(torch.minimum(cerebrum, sulcus), fissure.clamp_min(0) + 0.5)
    ventricle = torch.maximum(
        ellipsoid(14, -14, 9, 10, 26, 7), ellipsoid(8, 24, 16, 9, 24, 7)
    ) + 0.6 * fields.smooth(12)
    third = torch.minimum(ellipsoid(2, 4, 0, 14, 16, 3.5), 3.0 - side)
    fourth = ellipsoid(-42, 26, 0, 9, 6, 8)
    ventricles = torch.maximum(torch.maximum(ventricle, third), fourth)

    parts: dict[Tissue, Tensor] = {
        Tissue.VENTRICLE: soft_step(ventricles, 0.7),
        Tissue.THALAMUS: soft_step(ellipsoid(4, 12, 11, 10, 15, 9), 0.8),
        Tissue.STRIATUM: soft_step(
            torch.maximum(ellipsoid(10, -22, 14, 12, 14, 6), ellipsoid(2, -8, 26, 14, 22, 7)), 0.8
        ),
        Tissue.PALLIDUM: soft_step(ellipsoid(1, -4, 19, 8, 11, 5), 0.8),
        Tissue.HIPPOCAMPUS: soft_step(ellipsoid(-20, 14, 27, 7, 22, 7), 0.8),
        Tissue.BRAIN_STEM: soft_step(stem - cerebrum.clamp_min(-3), 1.0) * soft_step(stem, 0.8),
        Tissue.CEREBELLAR_WHITE: soft_step(cerebellum - 8 - 2 * fields.smooth(6), 1.0),
        Tissue.CEREBELLAR_CORTEX: soft_step(cerebellum - cerebrum.clamp_min(0), 0.8),
        Tissue.CSF: torch.maximum(sulci, fissure_csf),
        Tissue.CORTEX: soft_step(3.0 - ribbon, 0.6),
        Tissue.WHITE: torch.ones_like(depth),
    }
    # Earlier parts lie over later ones; what is left outside the brain is CSF.
    left = torch.ones_like(depth)
    inside = soft_step(depth, 0.7)
    tissues = torch.zeros(len(Tissue), *shape)
    for tissue, fraction in parts.items():
        share = left * fraction * (inside if tissue is not Tissue.CSF else 1.0)
        tissues[tissue] += share
        left = left - share
    tissues[Tissue.CSF] += left.clamp_min(0)
    return Anatomy(tissues.half(), depth.clamp(-30, 60).half(), spacing)
