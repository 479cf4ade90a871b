"""Rigid alignment of two series of one head: mutual information, several resolutions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as ndi

from napari_gliocam.case import bounding_box
from napari_gliocam.errors import CaseError
from napari_gliocam.prepare.extras import import_simpleitk
from napari_gliocam.prepare.images import FLIP
from napari_gliocam.prepare.resample import resample
from napari_gliocam.wording import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.case import Grid
    from napari_gliocam.prepare.series import SeriesVolume

#: A patient does not move further between two series; beyond it something went wrong.
_FURTHEST_MM, _LARGEST_TURN = 120.0, 50.0
#: Brains that overlap less than this (Dice) were not aligned.
_LEAST_OVERLAP = 0.8
#: Brains of drawn heads and of patients overlap by more, once they are aligned by their images.
_SURE_OVERLAP = 0.93
#: An alignment by shape has to overlap by this much more than one by images.
_FINER = 0.02
#: Every level of resolution.
_ALL = slice(None)
#: Distances to the brain's border are followed so far in mm, at so many places.
_REACH_MM, _SHAPE_POINTS = 15.0, 40_000
#: Brains whose centres lie further apart in mm are brought together first.
_FAR_MM = 30.0
#: Kept around the brain.
_MARGIN_MM = 12.0


@dataclass(eq=False)
class Brain:
    """A series with its brain, as far as alignment needs it.

    Parameters
    ----------
    volume : SeriesVolume
        The series.
    brain : ndarray of bool, shape (S, P, L)
        Its brain.
    grid : Grid
        Of the brain, which may be coarser than the series.
    """

    volume: SeriesVolume
    brain: NDArray[np.bool_]
    grid: Grid

    @property
    def centre(self) -> NDArray[np.float64]:
        """Centre of the brain, RAS+ mm, shape (3,)."""
        index = np.array([float(np.mean(axis)) for axis in np.nonzero(self.brain)])
        affine = self.grid.canonical_affine
        centre: NDArray[np.float64] = affine[:3, :3] @ index + affine[:3, 3]
        return centre


@dataclass(frozen=True, eq=False)
class Alignment:
    """The movement from one series to another.

    Parameters
    ----------
    movement : ndarray, shape (4, 4)
        A place in the fixed series, RAS+ mm, to the same place in the moving one.
    shift : float
        How far the centre of the brain moved, in mm.
    turn : float
        By how much it turned, in degrees.
    overlap : float
        Dice of the two brains after it, in [0, 1].
    apart : float
        How far the centres of the brains then lie apart, in mm.
    by_shape : bool
        Whether the brains were aligned by their shape alone, since their images led away from it.
    """

    movement: NDArray[np.float64]
    shift: float
    turn: float
    overlap: float
    apart: float = 0.0
    by_shape: bool = False

    @property
    def fault(self) -> str:
        """Why it is implausible; empty where it is not."""
        if self.apart > _FURTHEST_MM:
            return f"the centres of their brains would lie {self.apart:.0f} mm apart"
        if self.turn > _LARGEST_TURN:
            return f"it would turn the head by {self.turn:.0f}°"
        if self.overlap < _LEAST_OVERLAP:
            return f"their brains overlap by {percent(self.overlap)} only"
        return ""

    @property
    def is_sure(self) -> bool:
        """Whether nothing better is to be looked for."""
        return not self.fault and self.overlap >= _SURE_OVERLAP


def align(fixed: Brain, moving: Brain) -> Alignment:
    """Align a series to another one of the same head.

    Mattes' mutual information over the brain (Mattes et al. 2003), gradient descent at 4, 2 and
    1 times the finer sampling, as in ITK's registration framework.  Where the two brains do not
    come to lie on each other, it is tried again from an alignment of their shapes, which is the
    result where the images still lead away from it, as with strong shading.

    Parameters
    ----------
    fixed, moving : Brain
        The series that stays, and the one that is brought to it.

    Raises
    ------
    CaseError
        The result is implausible: too far, too much turned, or the brains do not overlap.
    GliocamError
        The extra ``prepare`` is not installed.
    """
    sitk = import_simpleitk("align two series")
    found = _by_images(sitk, fixed, moving, _start(sitk, fixed, moving))
    if not found or not found.is_sure:
        tried = [one for one in (found, *_again(sitk, fixed, moving)) if one]
        # Of about the same overlap, the images place the brains more finely than their shapes.
        found = max(
            tried,
            key=lambda one: (not one.fault, one.overlap - _FINER * one.by_shape),
            default=None,
        )
    if found is None:
        raise _implausible(moving, fixed, "their images do not overlap")
    if found.fault:
        raise _implausible(moving, fixed, found.fault)
    return found


def _start(sitk: Any, fixed: Brain, moving: Brain, *, centred: bool = False) -> Any:
    """Return the movement to start from: none, or one of the centre if it lies far away."""
    apart = moving.centre - fixed.centre
    start = sitk.Euler3DTransform()
    start.SetCenter((FLIP[:3, :3] @ fixed.centre).tolist())
    if centred or np.linalg.norm(apart) > _FAR_MM:
        start.SetTranslation((FLIP[:3, :3] @ apart).tolist())
    return start


def _again(sitk: Any, fixed: Brain, moving: Brain) -> Generator[Alignment, None, None]:
    """Align by shape, and by the images from there as long as they do not lead away."""
    shaped = _by_shape(sitk, fixed, moving)
    if shaped is None:
        return
    best, reached = shaped
    yield best
    for levels in (slice(1), slice(1, None)):
        found = _by_images(sitk, fixed, moving, reached, levels)
        if found is None or found.overlap <= best.overlap - _FINER:
            return
        best = found
    yield best


def _by_images(
    sitk: Any, fixed: Brain, moving: Brain, start: Any, levels: slice = _ALL
) -> Alignment | None:
    """Align by mutual information, moving the start; None where the images lose each other."""
    one, other = _image(sitk, fixed), _image(sitk, moving)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(_mask(sitk, fixed, one))
    method.SetMetricSamplingPercentagePerLevel([0.5, 0.3, 0.2][levels], seed=1)
    method.SetShrinkFactorsPerLevel([4, 2, 1][levels])
    # With 1 mm instead of 0 at last, a T2 and a FLAIR of BraTS2021_01480 came to lie 0.6 mm off
    # instead of 0.3 mm, which changed labels of its faint core.
    method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0][levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return _descended(sitk, method, start, (one, other), (fixed, moving), by_shape=False)


def _by_shape(sitk: Any, fixed: Brain, moving: Brain) -> tuple[Alignment, Any] | None:
    """Align the distances to the borders of the brains; return the transform of ITK as well.

    It starts from where the brains lie and from one centre on the other, and the better one counts.
    """
    found = []
    one, other = _distances(sitk, fixed), _distances(sitk, moving)
    for centred in (False, True):
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMeanSquares()
        share = min(1.0, _SHAPE_POINTS / one.GetNumberOfPixels())
        method.SetMetricSamplingPercentage(share, seed=1)
        start = _start(sitk, fixed, moving, centred=centred)
        made = _descended(sitk, method, start, (one, other), (fixed, moving), by_shape=True)
        if made is not None:
            found.append((made, start))
    return max(found, key=lambda pair: pair[0].overlap, default=None)


def _descended(
    sitk: Any,
    method: Any,
    start: Any,
    images: tuple[Any, Any],
    brains: tuple[Brain, Brain],
    *,
    by_shape: bool,
) -> Alignment | None:
    """Run a registration, which moves its start; None where the images lose each other."""
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0, 1e-3, 120, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=True)
    try:
        method.Execute(*images)
    except RuntimeError:
        return None
    return _measured(*brains, _matrix(start), by_shape=by_shape)


def _measured(
    fixed: Brain, moving: Brain, movement: NDArray[np.float64], *, by_shape: bool
) -> Alignment:
    centre = np.append(fixed.centre, 1.0)
    shift = float(np.linalg.norm((movement @ centre - centre)[:3]))
    cosine = (np.trace(movement[:3, :3]) - 1) / 2
    turn = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    brought = resample(moving.brain.astype(np.float32), moving.grid, fixed.grid, movement) > 0.5
    seen = (
        resample(np.ones(moving.brain.shape, np.float32), moving.grid, fixed.grid, movement) > 0.5
    )
    here = fixed.brain & seen
    both = int(np.count_nonzero(here & brought))
    either = int(np.count_nonzero(here)) + int(np.count_nonzero(brought))
    overlap = 2 * both / max(either, 1)
    near = float(np.linalg.norm((movement @ centre)[:3] - moving.centre))
    return Alignment(movement, shift, turn, overlap, near, by_shape)


def _implausible(moving: Brain, fixed: Brain, why: str) -> CaseError:
    return CaseError(
        f"{moving.volume.name} cannot be aligned to {fixed.volume.name} ({why}); check that both "
        "show the same head, or leave it out."
    )


def _image(sitk: Any, brain: Brain) -> Any:
    """Return a SimpleITK image around the brain, with its intensities cut at percentiles."""
    data, grid = brain.volume.data, brain.volume.grid
    low, high = np.percentile(data[::2, ::2, ::2], (0.5, 99.5))
    seen = np.nonzero(brain.brain)
    ends = np.array([[axis.min(), axis.max()] for axis in seen])
    # From voxels of the brain's grid, which may be coarser, to those of the series.
    corners = np.array(list(np.ndindex(2, 2, 2)))
    places = np.where(corners == 0, ends[:, 0], ends[:, 1])
    between = np.linalg.inv(grid.canonical_affine) @ brain.grid.canonical_affine
    index = places @ between[:3, :3].T + between[:3, 3]
    margin = _MARGIN_MM / np.array(grid.spacing)
    first = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0) + margin) + 1, grid.shape).astype(int)
    part = tuple(slice(start, stop) for start, stop in zip(first, last, strict=True))
    affine = grid.canonical_affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    return _placed(sitk, np.clip(data[part], low, high), affine)


def _distances(sitk: Any, brain: Brain) -> Any:
    """Return a SimpleITK image of the distance to the brain's border in mm, positive inside."""
    spacing = brain.grid.spacing
    box = bounding_box(brain.brain, tuple(ceil(_REACH_MM / mm) for mm in spacing))
    assert box is not None
    inside = brain.brain[box]
    deep, far = (ndi.distance_transform_edt(side, sampling=spacing) for side in (inside, ~inside))
    affine = brain.grid.canonical_affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return _placed(sitk, np.clip(deep - far, -_REACH_MM, _REACH_MM).astype(np.float32), affine)


def _placed(sitk: Any, data: NDArray[np.generic], canonical: NDArray[np.float64]) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    affine = FLIP @ canonical
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _mask(sitk: Any, brain: Brain, like: Any) -> Any:
    mask = _placed(sitk, brain.brain.astype(np.uint8), brain.grid.canonical_affine)
    mask = sitk.BinaryDilate(mask, (1, 1, 1))
    return sitk.Resample(mask, like, sitk.Transform(), sitk.sitkNearestNeighbor)


def _matrix(transform: Any) -> NDArray[np.float64]:
    """Return a rigid transform of ITK as a matrix on RAS+ mm."""
    centre = np.array(transform.GetCenter())
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - turn @ centre
    movement: NDArray[np.float64] = FLIP @ matrix @ FLIP
    return movement
