"""Heads with skull and skin in contrasts that no scanner makes, to train a skull stripper.

In the manner of SynthStrip (Hoopes et al. 2022, doi 10.1016/j.neuroimage.2022.119474): label
maps are deformed, every label gets a random intensity, and a network that learns from such images
finds the brain in any sequence.  Added here: tumours and cavities, at the brain's border too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage as ndi
from torch import Tensor
from torch.nn.functional import avg_pool3d, interpolate, max_pool3d

from napari_gliocam.case import bounding_box
from napari_gliocam.phantom.fields import Fields, SliceGrid, blur
from napari_gliocam.phantom.sources import FREESURFER, largest_component, read_canonical

#: Labels from here on lie outside the brain (SynthSeg).
OUTSIDE = 500
CSF = 24
#: Skull and marrow, skin, other soft tissue: the groups that a scanner shows alike.
_BONE, _SKIN = (514, 515, 516), (511,)
#: Lesions get codes of their own, after those of the labels.
_LESION_CODES = 3
#: Points of a voxel along each axis whose labels are averaged.
_FINE = 2
#: Sulci and cisterns up to twice as wide belong to the brain.
_CLOSING_MM = 8.0
#: The brain's border lies this far outside its tissue.
_MARGIN_MM = 1.0
#: Sheets of dura and sinuses between parts of the brain are thinner than twice this, as are spurs
#: along vessels and nerves; bone and muscle around the brain are thicker.
_THIN_MM = 3.0


@dataclass(frozen=True, eq=False)
class HeadLabels:
    """A label map of a head, ready to be drawn.

    Parameters
    ----------
    codes : Tensor of uint8, shape (S, P, L)
        Index into ``names``.
    brain : Tensor of bool, shape (S, P, L)
        The brain with the sulci that its folds enclose.
    names : tuple of int
        FreeSurfer number of each code; 0, air, is the first.
    spacing : float
        Voxel size in mm along all axes.
    """

    codes: Tensor
    brain: Tensor
    names: tuple[int, ...]
    spacing: float

    @cached_property
    def centre(self) -> tuple[float, float, float]:
        """Index of the middle of the brain along S, P and L."""
        s, p, l = (torch.nonzero(self.brain[::4, ::4, ::4]).float().mean(0) * 4).tolist()
        return s, p, l

    def to(self, device: torch.device) -> HeadLabels:
        """Return the head on a device, where its images are then drawn."""
        return replace(self, codes=self.codes.to(device), brain=self.brain.to(device))


@dataclass(frozen=True, eq=False)
class DrawnHead:
    """An image of a head, and where its brain is.

    Parameters
    ----------
    image : Tensor of float32, shape (S, P, L)
        In arbitrary units, with an arbitrary background.
    brain, lesion : Tensor of float32, shape (S, P, L)
        Share of the brain, and of its lesions, in each voxel, in [0, 1].
    """

    image: Tensor
    brain: Tensor
    lesion: Tensor


def load_head(path: Path) -> HeadLabels:
    """Read a label map with FreeSurfer's numbers inside the brain, 500 and more outside.

    Parameters
    ----------
    path : Path
        NIfTI file with cubic voxels.
    """
    labels, voxel = read_canonical(path, np.int16)
    return head_of_labels(labels, voxel[0])


def head_of_labels(labels: NDArray[np.int16], spacing: float) -> HeadLabels:
    """Return the head of a label map that is in memory.

    Parameters
    ----------
    labels : ndarray of int16, shape (S, P, L)
        FreeSurfer's numbers inside the brain, 500 and more outside, 0 air.
    spacing : float
        Voxel size in mm along all axes.
    """
    brain = brain_of_labels(labels, spacing)
    # Stray voxels in the air come from the automatic labelling, not from a head.
    labels = np.where(largest_component(labels > 0), labels, 0)
    low, high = np.flatnonzero(brain.any(axis=(1, 2)))[[0, -1]]
    neck = round(70 / spacing)
    keep = slice(max(low - neck, 0), high + round(40 / spacing))
    labels, brain = labels[keep], brain[keep]
    names = tuple(int(n) for n in np.unique(np.append(labels, 0)))
    codes = np.searchsorted(names, labels).astype(np.uint8)
    return HeadLabels(torch.from_numpy(codes), torch.from_numpy(brain), names, spacing)


def brain_of_labels(labels: NDArray[np.int16], spacing: float) -> NDArray[np.bool_]:
    """Return the brain of a label map: its tissue, ventricles and what its folds enclose.

    The convention of published masks (SRI24): sulci, cisterns and the thin sheets of dura and
    sinuses between the lobes belong to the brain, the skull base does not; no holes, no spurs.

    Parameters
    ----------
    labels : ndarray of int16, shape (S, P, L)
        FreeSurfer's numbers inside the brain, 500 and more outside, 0 air.
    spacing : float
        Voxel size in mm.
    """
    brain = np.zeros(labels.shape, dtype=np.bool_)
    tissue = (labels > 0) & (labels < OUTSIDE) & (labels != CSF)
    margin = round(_CLOSING_MM / spacing) + 2
    box = bounding_box(tissue, (margin,) * 3)
    assert box is not None
    labels, tissue = labels[box], tissue[box]
    solid = largest_component(ndi.binary_opening(tissue))
    solid = ndi.binary_dilation(solid, iterations=2) & tissue
    wide = _grow(np.pad(solid, margin), _CLOSING_MM / spacing)
    closed = ~_grow(~wide, (_CLOSING_MM - _MARGIN_MM) / spacing)
    closed = closed[(slice(margin, -margin),) * 3]
    closed &= ~_open(labels >= OUTSIDE, _THIN_MM / spacing)
    closed = largest_component(_open(closed, _THIN_MM / spacing))
    brain[box] = ndi.binary_fill_holes(closed)
    return brain


def _grow(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Dilate a mask by a ball with a radius in voxels."""
    grown: NDArray[np.bool_] = ndi.distance_transform_edt(~mask) <= radius
    return grown


def _open(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Remove the parts of a mask that are thinner than twice a radius in voxels."""
    padded = np.pad(mask, 1)  # so that the mask ends at the array's border
    opened = _grow(ndi.distance_transform_edt(padded) > radius, radius) & padded
    return opened[1:-1, 1:-1, 1:-1]


@dataclass(frozen=True, eq=False)
class HeadAnatomy:
    """A head in its place in the scanner, before a sequence shows it.

    Parameters
    ----------
    head : HeadLabels
        Where it comes from.
    codes : Tensor of int32, shape (S, P, L)
        As in ``head``, on the fine grid; lesions have the codes that follow.
    brain : Tensor of bool, shape (S, P, L)
        The brain on the fine grid.
    shape : tuple of 3 int
        Voxels of the image along S, P, L.
    spacing : float
        Voxel size of the image in mm.
    """

    head: HeadLabels
    codes: Tensor
    brain: Tensor
    shape: tuple[int, int, int]
    spacing: float

    @cached_property
    def shares(self) -> tuple[Tensor, Tensor]:
        """Shares of the brain and of its lesions in each voxel of the image."""
        lesion = self.codes >= len(self.head.names)
        return _pool(self.brain.float()), _pool(lesion.float())


def draw_head(
    head: HeadLabels,
    rng: np.random.Generator,
    *,
    moved: bool = True,
    lesions: int | None = None,
    cut_off: bool = True,
) -> DrawnHead:
    """Draw one image of a head.

    Parameters
    ----------
    head : HeadLabels
        The anatomy.
    rng : numpy Generator
        Source of all random numbers.
    moved, lesions
        See `draw_anatomy`.
    cut_off : bool
        Whether the field of view may end inside the head.

    Returns
    -------
    DrawnHead
    """
    anatomy = draw_anatomy(head, rng, moved=moved, lesions=lesions)
    return draw_sequence(anatomy, rng, cut_off=cut_off)


def draw_anatomy(
    head: HeadLabels,
    rng: np.random.Generator,
    *,
    shape: tuple[int, int, int] = (96, 112, 96),
    spacing: float = 2.0,
    moved: bool = True,
    lesions: int | None = None,
) -> HeadAnatomy:
    """Put a head in its place and draw its lesions.

    Parameters
    ----------
    head : HeadLabels
        The anatomy.
    rng : numpy Generator
        Source of all random numbers.
    shape : tuple of 3 int
        Voxels of the image along S, P, L.
    spacing : float
        Voxel size of the image in mm.
    moved : bool
        Whether the head is turned, scaled, shifted and deformed.
    lesions : int, optional
        Number of lesions; drawn by default (0 to 2).

    Returns
    -------
    HeadAnatomy
    """
    fields = Fields(_fine_grid(shape, spacing, head.codes.device), rng)
    codes, brain = _sample(head, fields, moved)
    count = int(rng.choice(3, p=(0.4, 0.4, 0.2))) if lesions is None else lesions
    for _ in range(count):
        _draw_lesion(codes, brain, head, fields)
    return HeadAnatomy(head, codes, brain, shape, spacing)


def draw_sequence(
    anatomy: HeadAnatomy, rng: np.random.Generator, *, cut_off: bool = True
) -> DrawnHead:
    """Draw one image of an anatomy, in a contrast that no scanner makes.

    Parameters
    ----------
    anatomy : HeadAnatomy
        The head in its place.
    rng : numpy Generator
        Source of all random numbers.
    cut_off : bool
        Whether the field of view may end inside the head.

    Returns
    -------
    DrawnHead
    """
    codes, head = anatomy.codes, anatomy.head
    fields = Fields(_grid(anatomy.shape, anatomy.spacing, codes.device), rng)
    levels, spread = (t.to(codes.device) for t in _draw_contrast(head, fields))
    image, variance = (
        _pool(values.index_select(0, codes.flatten()).view(codes.shape))
        for values in (levels, spread**2 / _FINE**3)  # the mean of a voxel's points varies less
    )
    image = image + variance.sqrt() * fields.white()
    share, lesion = (values.clone() for values in anatomy.shares)
    image = _acquire(image, share, fields)
    if cut_off and rng.random() < 0.5:
        _cut_off(image, (share, lesion), rng)
    return DrawnHead(image, share, lesion)


def _pool(values: Tensor) -> Tensor:
    """Return the mean of the points of each voxel."""
    pooled: Tensor = avg_pool3d(values[None], _FINE)[0]
    return pooled


def _grid(shape: tuple[int, int, int], spacing: float, device: torch.device) -> SliceGrid:
    places = (np.arange(shape[0]) - (shape[0] - 1) / 2) * spacing
    return SliceGrid(places, shape[1:], (spacing, spacing), device)


def _fine_grid(shape: tuple[int, int, int], spacing: float, device: torch.device) -> SliceGrid:
    return _grid((shape[0] * _FINE, shape[1] * _FINE, shape[2] * _FINE), spacing / _FINE, device)


def _sample(head: HeadLabels, fields: Fields, moved: bool) -> tuple[Tensor, Tensor]:
    """Return codes and brain on the grid of the fields, after a random movement."""
    rng, u = fields.rng, fields.uniform
    turn = np.eye(3)
    if moved:
        turn = _rotation(rng.normal(0, (9, 12, 9)))
        turn *= [u(0.85, 1.18) * u(0.95, 1.05) for _ in range(3)]
        if fields.chance(0.5):
            turn[2] = -turn[2]
    scale = u(25, 60)
    limits = head.codes.shape
    index = torch.zeros(fields.grid.size, dtype=torch.int32, device=head.codes.device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for axis in range(3):
        steps = turn[axis] / head.spacing
        z, y, x = (p * step for p, step in zip(fields.grid.points, steps, strict=True))
        centre = head.centre[axis] + (rng.normal(0, 10) / head.spacing if moved else 0.0)
        at = (z + (y + centre)) + x
        if moved:
            at.add_(fields.smooth(scale), alpha=u(0, 3.5) / head.spacing)
            # Another shape of the skull.
            at.add_(fields.smooth(90), alpha=u(0, 6) / head.spacing)
        voxel = at.round_().to(torch.int32)
        inside &= (voxel >= 0) & (voxel < limits[axis])
        index.mul_(limits[axis]).add_(voxel.clamp_(0, limits[axis] - 1))
    places = index.flatten()
    codes = head.codes.flatten().index_select(0, places).view(index.shape) * inside
    brain = head.brain.flatten().index_select(0, places).view(index.shape) & inside
    return codes.to(torch.int32), brain


def _rotation(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    matrix: NDArray[np.float64] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return matrix


def _draw_lesion(codes: Tensor, brain: Tensor, head: HeadLabels, fields: Fields) -> None:
    """Draw a lesion into the codes; where it displaces CSF at the border, the brain grows."""
    rng, u = fields.rng, fields.uniform
    step = fields.grid.pixel_mm[0]
    coarse = brain[::4, ::4, ::4].float()
    reach = max(round(6 / (4 * step)), 1)
    outside = max_pool3d(1 - coarse[None], 2 * reach + 1, 1, reach)[0]
    weight = (coarse * outside if fields.chance(0.6) else coarse) + 1e-6
    cumulative = weight.flatten().double().cumsum(0)
    place = torch.searchsorted(cumulative, cumulative[-1:] * rng.random())
    place = place.clamp_max(weight.numel() - 1)
    rows, columns = weight.shape[1:]
    centre = [
        c * 4 * step for c in (place // (rows * columns), place // columns % rows, place % columns)
    ]
    z, y, x = (p - p.min() for p in fields.grid.points)
    radius, squeeze = u(7, 32), [u(0.75, 1.3) for _ in range(3)]
    dz, dy, dx = ((p - c) * s for p, c, s in zip((z, y, x), centre, squeeze, strict=True))
    distance = torch.sqrt(dz**2 + dy**2 + dx**2)
    level = 1 - distance / radius + u(0.08, 0.3) * fields.smooth(radius * u(0.4, 0.9))
    first = len(head.names)
    csf = head.names.index(CSF) if CSF in head.names else -1
    edge = codes == csf
    if fields.chance(0.7):  # effaced sulci and cisterns: the core reaches the skull
        brain |= edge & (level > u(0, 0.3))
    if fields.chance(0.7):
        codes.masked_fill_(brain & (level > -u(0.2, 0.9)), first)  # edema
    codes.masked_fill_(brain & (level > 0), first + 1)
    if fields.chance(0.6):  # necrosis, a cyst or a cavity
        codes.masked_fill_(brain & (level > u(0.15, 0.5)), first + 2)


def _draw_contrast(head: HeadLabels, fields: Fields) -> tuple[Tensor, Tensor]:
    """Return the mean of each code, and the standard deviation inside it."""
    rng, u = fields.rng, fields.uniform
    names = np.array(head.names)
    count = len(names) + _LESION_CODES
    levels = rng.uniform(0, 1, count)
    if fields.chance(0.7):  # left and right alike
        for numbers in FREESURFER.values():
            alike = np.flatnonzero(np.isin(names, numbers))
            levels[alike] = levels[alike[:1]] + rng.normal(0, 0.04, len(alike))
    if fields.chance(0.6):  # tissues in groups, as scanners show them
        csf, grey, white = u(0, 1), u(0.2, 0.9), u(0.2, 0.9)
        bone, skin = u(0, 0.25), u(0.2, 1.3)
        inside = (names > 0) & (names < OUTSIDE)
        levels[: len(names)] = np.where(inside, grey, u(0.1, 0.9))
        tissues = {name.name: numbers for name, numbers in FREESURFER.items()}
        fluid = (*tissues["CSF"], *tissues["VENTRICLE"])
        pale = (*tissues["WHITE"], *tissues["CEREBELLAR_WHITE"], *tissues["BRAIN_STEM"])
        for numbers, level in ((fluid, csf), (pale, white), (_BONE, bone), (_SKIN, skin)):
            levels[: len(names)][np.isin(names, numbers)] = level
        levels[: len(names)] += rng.normal(0, 0.04, len(names))
        if fields.chance(0.4):  # marrow
            levels[: len(names)][np.isin(names, _BONE[2:])] = u(0.2, 1.2)
        if fields.chance(0.5):
            levels[len(names) :] = u(0.1, 1.3) + rng.normal(0, 0.2, _LESION_CODES)
    spread = rng.uniform(0, 0.12, count) * rng.random()
    levels[0], spread[0] = u(0, 0.05) if fields.chance(0.8) else u(0, 1), u(0, 0.03)
    return torch.from_numpy(levels).float(), torch.from_numpy(spread).float()


def _acquire(image: Tensor, share: Tensor, fields: Fields) -> Tensor:
    """Add what a scanner adds: texture, shading, blur or thick slices, noise, a gamma."""
    rng, u = fields.rng, fields.uniform
    image = image + u(0, 0.06) * fields.smooth(u(4, 12)) * (image > 0.05)
    if fields.chance(0.06):  # already stripped
        image = image * (share > 0.3)
    image = image * torch.exp(u(0, 0.45) * fields.smooth(u(45, 110)))
    if fields.chance(0.5):
        image = blur(image, u(0.2, 1.0))
    if fields.chance(0.4):  # thick slices
        axis, thick = int(rng.integers(3)), int(rng.integers(2, 4))
        moved = image.movedim(axis, 0)
        planes = moved.shape[0] // thick * thick
        mean = moved[:planes].reshape(-1, thick, *moved.shape[1:]).mean(1)
        smooth = interpolate(
            mean.flatten(1).T[None], size=planes, mode="linear", align_corners=False
        )[0].T.reshape(planes, *moved.shape[1:])
        image = torch.cat([smooth, moved[planes:]]).movedim(0, axis).contiguous()
    sd = fields.log_uniform(0.004, 0.12)
    if fields.chance(0.6):  # Rician: a magnitude
        image = torch.sqrt((image + sd * fields.white()) ** 2 + (sd * fields.white()) ** 2)
    else:
        image = image + sd * fields.white()
    low = image.min()
    span = (image.max() - low).clamp_min(1e-6)
    return ((image - low) / span) ** fields.log_uniform(0.6, 1.6)


def _cut_off(image: Tensor, shares: tuple[Tensor, ...], rng: np.random.Generator) -> None:
    """End the field of view inside the head on one or two sides."""
    outside = image.min() if rng.random() < 0.8 else torch.zeros_like(image[0, 0, 0])
    for _ in range(int(rng.integers(1, 3))):
        axis, side = int(rng.choice(3, p=(0.7, 0.15, 0.15))), bool(rng.random() < 0.5)
        planes = int(rng.integers(2, image.shape[axis] // 3))
        edge = slice(None, planes) if side else slice(-planes, None)
        where = (slice(None),) * axis + (edge,)
        image[where] = outside
        for share in shares:
            share[where] = 0.0
