"""Find the brain in a head, in any sequence, with the network that ships."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_gliocam.case import Grid, bounding_box
from napari_gliocam.errors import CaseError
from napari_gliocam.io.background import clear_background
from napari_gliocam.io.volume import LARGEST_BRAIN_ML
from napari_gliocam.prepare.resample import even_grid, inside, resample
from napari_gliocam.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.prepare.series import SeriesVolume

#: No brain of an adult or a child is smaller in ml, as far as it is in the field of view.
SMALLEST_BRAIN_ML = 150.0
#: More than an axial slice through a brain, less than one through most heads: of 20 label maps of
#: heads the brains reach 144 to 202 cm², the heads 224 to 267 cm².
_LARGEST_SLICE_CM2 = 220.0
#: Stripped brains of 42 patients of BraTS fill at most 1,730 ml and 37 cm² of the lowest or
#: uppermost slice.  A head that fills less than `LARGEST_BRAIN_ML`, because its field of view is
#: short or bone and fluid count as air, fills more than one of these.
_LARGEST_SURE_ML, _LARGEST_END_CM2 = 1800.0, 50.0
#: A head fills this many times the brain that the network finds in it: 1.4 to 2.1 times in drawn
#: heads, 0.99 to 1.09 times in stripped series of seven patients of BraTS.
_HEAD_FROM = 1.25
#: Thicker borders in mm (`unsure_mm`) are not those of a head: 1.3 to 2.2 mm in drawn heads, in
#: most of their parts of 40 mm and more and in slices of 5 mm; 2.3 to 4.9 mm in noise.
UNSURE_FROM_MM = 2.25
#: Mean probability from which a place is brain.  From 0.35 on, which was tried, too, more of drawn
#: lesions is kept (99.5 % instead of 98.9 %), and more dura.
BRAIN_FROM = 0.5


def stripped_brain(volume: SeriesVolume) -> NDArray[np.bool_] | None:
    """Return the brain of a volume that is skull-stripped already; None for a head.

    A head that fills no more than a brain can is told by `may_show_skull` and `shows_skull`.

    Parameters
    ----------
    volume : SeriesVolume
        Its background may have any even value.

    Returns
    -------
    ndarray of bool, shape (S, P, L), or None
    """
    cleared = clear_background(volume.data)
    if cleared is None:
        return None
    brain: NDArray[np.bool_] = cleared[0] != 0
    voxels = np.count_nonzero(brain, axis=(1, 2))
    filled_ml = int(voxels.sum()) * volume.grid.voxel_ml
    # The volume alone would take a few slices of a head whose air is even for a brain.
    slice_cm2 = int(voxels.max()) * volume.grid.spacing[1] * volume.grid.spacing[2] / 100
    stripped = 0 < filled_ml <= LARGEST_BRAIN_ML and slice_cm2 <= _LARGEST_SLICE_CM2
    return brain if stripped else None


def may_show_skull(filled: NDArray[np.bool_], grid: Grid) -> bool:
    """Return True if a volume fills more than the stripped brain of a patient does as a rule.

    Parameters
    ----------
    filled : ndarray of bool, shape (S, P, L)
        Where the volume is not background.
    grid : Grid
        Of the volume.
    """
    pixel_cm2 = grid.spacing[1] * grid.spacing[2] / 100
    end_cm2 = max(np.count_nonzero(filled[0]), np.count_nonzero(filled[-1])) * pixel_cm2
    filled_ml = np.count_nonzero(filled) * grid.voxel_ml
    return bool(end_cm2 > _LARGEST_END_CM2 or filled_ml > _LARGEST_SURE_ML)


def shows_skull(
    filled: NDArray[np.bool_], grid: Grid, logits: NDArray[np.float32], own: Grid
) -> bool:
    """Return True if a volume fills clearly more than the brain that the network finds in it.

    Parameters
    ----------
    filled, grid
        See `may_show_skull`.
    logits : ndarray of float32, shape (S, P, L)
        As `brain_logits` returns them.
    own : Grid
        Of the logits.
    """
    found_ml = np.count_nonzero(logits > 0) * own.voxel_ml
    filled_ml = np.count_nonzero(filled) * grid.voxel_ml
    return bool(found_ml >= SMALLEST_BRAIN_ML and filled_ml > _HEAD_FROM * found_ml)


def brain_logits(volume: SeriesVolume) -> tuple[NDArray[np.float32], Grid]:
    """Run the network over a head.

    Parameters
    ----------
    volume : SeriesVolume
        With skull, any sequence, any background.

    Returns
    -------
    logits : ndarray of float32, shape (S, P, L)
        Above 0 is brain.
    grid : Grid
        Of the logits: cubes of 2 mm along the axes of the body.  It ends a voxel outside the
        field of view, so that a series has no say about places that it does not show.
    """
    import torch

    from napari_gliocam.prepare.strip_net import SPACING, STRIDE, load_strip_net, standardise

    grid = even_grid(volume.grid, SPACING, STRIDE)
    air = float(np.percentile(volume.data[::4, ::4, ::4], 1))
    coarse = resample(volume.data, volume.grid, grid, outside=air)
    with torch.inference_mode():
        image = standardise(torch.from_numpy(coarse))
        logits: NDArray[np.float32] = load_strip_net()(image[None, None])[0, 0].numpy()
    return _shown(logits, grid, volume.grid)


def _shown(
    logits: NDArray[np.float32], grid: Grid, shown: Grid
) -> tuple[NDArray[np.float32], Grid]:
    """Cut off what the network was given around the field of view, but for a voxel."""
    box = bounding_box(grid.to_file(inside(shown, grid)), (1, 1, 1))
    if box is None:  # a slice or two lie between the cubes' centres: nothing was seen of them
        return np.full_like(logits, -np.inf), grid
    part = grid.to_file(logits)[box]
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    x, y, z = part.shape
    cut = Grid(affine, (x, y, z))
    return np.ascontiguousarray(cut.from_file(part)), cut


def unsure_mm(logits: NDArray[np.float32], grid: Grid) -> float:
    """Return how thick the border of the brain is where the network is not sure of it, in mm.

    Parameters
    ----------
    logits : ndarray of float32, shape (S, P, L)
        Above 0 is brain.
    grid : Grid
        Of the logits, cubes.

    Returns
    -------
    float
        Volume of the places with a probability of 0.1 to 0.9, by the area of the brain's surface.
    """
    unsure = np.count_nonzero(np.abs(logits) < np.log(9))
    faces = sum(np.count_nonzero(np.diff(logits > 0, axis=axis)) for axis in range(3))
    return grid.spacing[0] * unsure / max(faces, 1)


def brain_of(logits: NDArray[np.float32], grid: Grid, name: str) -> NDArray[np.bool_]:
    """Return the brain that logits show: one part without holes.

    Parameters
    ----------
    logits : ndarray of float32, shape (S, P, L)
        Above 0 is brain.
    grid : Grid
        Of the logits.
    name : str
        What messages call the series.

    Raises
    ------
    CaseError
        There is no brain.
    """
    parts, count = ndi.label(logits > 0)
    if count:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        brain: NDArray[np.bool_] = ndi.binary_fill_holes(parts == sizes.argmax())
        if np.count_nonzero(brain) * grid.voxel_ml >= SMALLEST_BRAIN_ML:
            return brain
    raise CaseError(
        f"No brain was found in {name}; choose another series, or give skull-stripped images."
    )


def stripping(
    heads: Sequence[tuple[NDArray[np.float32], Grid, NDArray[np.float64]]], grid: Grid
) -> Generator[Progress, None, NDArray[np.bool_]]:
    """Vote on the brain of an examination.

    Parameters
    ----------
    heads : sequence of (logits, grid of the logits, movement)
        Of each series; the movement, shape (4, 4), takes a place in the case to the series.
    grid : Grid
        The case's grid.

    Yields
    ------
    Progress
        Series done.

    Returns
    -------
    ndarray of bool, shape (S, P, L)
        The brain, one part without holes: where the mean of the probabilities of all series
        that show the place exceeds `BRAIN_FROM`.
    """
    coarse = even_grid(grid, 2.0)
    total = np.zeros(coarse.shape, dtype=np.float32)
    votes = np.zeros(coarse.shape, dtype=np.float32)
    for number, (logits, own, movement) in enumerate(heads):
        yield Progress(number, len(heads), "stripping")
        chance = 1 / (1 + np.exp(-logits.clip(-30, 30)))
        total += resample(chance, own, coarse, movement)
        votes += inside(own, coarse, movement)
    mean = (total / np.maximum(votes, 1) - BRAIN_FROM).astype(np.float32)
    keep = brain_of(mean, coarse, "the study")
    # Smooth at the border on the fine grid, but only where the coarse brain is.
    near = ndi.binary_dilation(keep, iterations=2)
    outside = np.float32(-BRAIN_FROM)
    fine = resample(np.where(near, mean, outside), coarse, grid, outside=float(outside))
    yield Progress(len(heads), len(heads), "stripping")
    filled: NDArray[np.bool_] = ndi.binary_fill_holes(fine > 0)
    return filled
