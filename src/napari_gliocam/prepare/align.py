"""Rigid alignment of two series of one head: mutual information, several resolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.errors import CaseError
from napari_gliocam.prepare.extras import import_simpleitk
from napari_gliocam.prepare.images import FLIP
from napari_gliocam.prepare.resample import resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.case import Grid
    from napari_gliocam.prepare.series import SeriesVolume

#: A patient does not move further between two series; beyond it something went wrong.
_FURTHEST_MM, _LARGEST_TURN = 120.0, 50.0
#: Brains that overlap less than this (Dice) were not aligned.
_LEAST_OVERLAP = 0.8
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
    """

    movement: NDArray[np.float64]
    shift: float
    turn: float
    overlap: float


def align(fixed: Brain, moving: Brain) -> Alignment:
    """Align a series to another one of the same head.

    Mattes' mutual information over the brain (Mattes et al. 2003), gradient descent at 4, 2 and
    1 times the finer sampling, as in ITK's registration framework.

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
    one, other = _image(sitk, fixed), _image(sitk, moving)
    apart = moving.centre - fixed.centre
    start = sitk.Euler3DTransform()
    start.SetCenter((FLIP[:3, :3] @ fixed.centre).tolist())
    if np.linalg.norm(apart) > _FAR_MM:
        start.SetTranslation((FLIP[:3, :3] @ apart).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(_mask(sitk, fixed, one))
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([0.5, 0.3, 0.2], seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0, 1e-3, 120, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    # With 1 mm instead of 0 at last, a T2 and a FLAIR of BraTS2021_01480 came to lie 0.6 mm off
    # instead of 0.3 mm, which changed labels of its faint core.
    method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    try:
        method.Execute(one, other)
    except RuntimeError as error:
        raise _implausible(moving, fixed, "their images do not overlap") from error
    return check(fixed, moving, _matrix(start))


def check(fixed: Brain, moving: Brain, movement: NDArray[np.float64]) -> Alignment:
    """Measure an alignment and raise `CaseError` where it is implausible."""
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
    if near > _FURTHEST_MM or turn > _LARGEST_TURN:
        raise _implausible(moving, fixed, f"it would turn the head by {turn:.0f}°")
    if overlap < _LEAST_OVERLAP:
        raise _implausible(moving, fixed, f"their brains overlap by {overlap:.0%} only")
    return Alignment(movement, shift, turn, overlap)


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
