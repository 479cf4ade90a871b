"""Mean field of the fully connected CRF (Krähenbühl and Koltun 2011), in 2-D and 3-D.

The energy is that of ``pydensecrf``: unary ``-log p``, Potts, one smoothness and one bilateral
kernel, each normalised symmetrically.  An iteration is ``Q <- softmax(-U + sum_k w_k K̃_k Q)``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finished
from napari_gliocam.refine.parameters import CrfParameters
from napari_gliocam.refine.pydense import pydensecrf_marginals

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_gliocam.refine.grid import GridFilter
    from napari_gliocam.refine.lattice import Lattice

    Kernel = Lattice | GridFilter

#: Probabilities below this count as this, so that no class is ruled out; as in ``pydensecrf``.
FLOOR = 1e-5


def running_crf(
    probabilities: NDArray[np.floating],
    image: NDArray[Any] | None = None,
    parameters: CrfParameters | None = None,
    *,
    spacing: Sequence[float] | None = None,
    mask: NDArray[np.bool_] | None = None,
    slicewise: bool = False,
    device: str = "cpu",
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Compute the marginals of the dense CRF, whose arg-max is the label map.  Imports torch.

    Parameters
    ----------
    probabilities : ndarray, shape (K, P, L) or (K, S, P, L)
        At least 0, finite, of K >= 1 classes; scaled to sum to 1.
    image : ndarray, shape (C, P, L) or (C, S, P, L), optional
        Any number of modalities in intensities of 0 to 255 (see `to_bytes`), finite inside the
        mask.  Without one the bilateral kernel is left out.
    parameters : CrfParameters, optional
        Paper 2's by default.
    spacing : sequence of float, optional
        Voxel size in mm along each axis of the grid, 1 by default.
    mask : ndarray of bool, shape of the grid, optional
        Voxels that take part; the others keep their probabilities and are not looked at.
    slicewise : bool
        True: the slices of a 3-D grid do not see each other.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs; the fastest there is by default.

    Yields
    ------
    Progress
        While the kernels are built and after each iteration.

    Returns
    -------
    ndarray of float32, shape of the probabilities
        In [0, 1], summing to 1 over the classes.

    Raises
    ------
    GliocamError
        If shapes do not fit or values are not finite.
    """
    import torch

    from napari_gliocam.device import choose_device

    parameters = parameters or CrfParameters()
    start = _normalised(probabilities)
    grid = start.shape[1:]
    taking_part = np.ones(grid, dtype=np.bool_) if mask is None else mask
    _check_shapes(grid, image, taking_part, spacing)
    if not taking_part.any():
        return start
    energy = -np.log(np.maximum(start[:, taking_part], FLOOR))
    sizes = [1.0] * len(grid) if spacing is None else list(spacing)
    if parameters.backend == "pydensecrf":
        start[:, taking_part] = yield from pydensecrf_marginals(
            energy,
            np.nonzero(taking_part),
            None if image is None else image[:, taking_part],
            parameters,
            sizes,
            slicewise=slicewise,
        )
        return start
    unary = torch.from_numpy(energy).to(choose_device(device))
    points = _Points(taking_part, image, sizes, slicewise, unary.device)
    kernels: list[tuple[Kernel, float]] = []
    if parameters.gaussian_weight > 0:
        yield Progress(0, 1, "building the CRF")
        kernels.append((_smoothness(points, parameters), parameters.gaussian_weight))
    if parameters.bilateral_weight > 0 and image is not None:
        bilateral = yield from _bilateral(points, parameters)
        kernels.append((bilateral, parameters.bilateral_weight))
    marginals = yield from mean_field(unary, kernels, parameters.iterations)
    start[:, taking_part] = marginals.cpu().numpy()
    return start


dense_crf = finished(running_crf, "dense_crf")


def mean_field(
    unary: Tensor, kernels: Sequence[tuple[Kernel, float]], iterations: int
) -> Generator[Progress, None, Tensor]:
    """Mean field over N points.  Imports torch.

    Parameters
    ----------
    unary : Tensor of float32, shape (K, N)
        Negative log-probability of K labels at N points.
    kernels : sequence of (Kernel, float)
        Filters with their Potts weights.
    iterations : int
        Number of mean-field steps, at least 1.

    Yields
    ------
    Progress
        After each iteration.

    Returns
    -------
    Tensor of float32, shape (K, N)
        Marginals.
    """
    import torch

    marginals = (-unary).softmax(0)
    # Marginals sum to 1, so the message of the last class follows from the others.
    sums = [(kernel @ torch.ones_like(unary[:1]))[0] for kernel, _ in kernels]
    for done in range(1, iterations + 1):
        energy = -unary
        for (kernel, weight), total in zip(kernels, sums, strict=True):
            if len(unary) > 1:
                messages = kernel @ marginals[:-1]
                energy[:-1].add_(messages, alpha=weight)
                energy[-1].add_(total - messages.sum(0), alpha=weight)
        marginals = energy.softmax(0)
        yield Progress(done, iterations, "dense CRF")
    return marginals


def to_bytes(volume: NDArray[Any], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale intensities to 0 to 255: the 0.5 and 99.5 percentiles of the brain become the ends.

    The papers stretch the whole volume from its minimum to its maximum; percentiles keep one
    bright voxel from deciding what ``intensity_width`` means.

    Parameters
    ----------
    volume, brain : ndarray, same shape
        Intensities, and True in the brain.

    Returns
    -------
    ndarray of float32
        0 where the volume is constant over the brain.
    """
    values = volume[brain]
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 0.0)
    if not high > low:
        return np.zeros(volume.shape, dtype=np.float32)
    scaled = (volume.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(scaled, 0.0, 255.0, out=scaled)


def _normalised(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    values = np.array(probabilities, dtype=np.float32)
    if values.ndim not in (3, 4) or not len(values):
        raise GliocamError(
            f"The probabilities have the shape {values.shape}; give classes first, then two or "
            "three axes of a grid."
        )
    if not np.isfinite(values).all() or (values < 0).any():
        raise GliocamError(
            "The probabilities hold values that are negative, NaN or infinite; compute the maps "
            "again or clear those voxels."
        )
    total = values.sum(axis=0)
    values[:, total == 0] = 1.0  # nothing is known there
    values /= values.sum(axis=0)
    return values


def _check_shapes(
    grid: tuple[int, ...],
    image: NDArray[Any] | None,
    mask: NDArray[np.bool_],
    spacing: Sequence[float] | None,
) -> None:
    if mask.shape != grid or (image is not None and image.shape[1:] != grid):
        raise GliocamError(
            f"The probabilities lie on a grid of {grid}, the image or the mask on another; "
            "cut them from the same case."
        )
    if spacing is not None and (len(spacing) != len(grid) or not min(spacing) > 0):
        raise GliocamError(
            f"The spacing is {tuple(spacing)}; give a size above 0 mm for each of the "
            f"{len(grid)} axes."
        )
    if image is not None and not np.isfinite(image[:, mask]).all():
        raise GliocamError(
            "The image holds NaN or infinite voxels; replace them, or leave them out by the mask."
        )


@dataclass(frozen=True, eq=False)
class _Points:
    """The voxels that take part."""

    mask: NDArray[np.bool_]
    image: NDArray[Any] | None
    spacing: Sequence[float]
    slicewise: bool
    device: torch.device


def _smoothness(points: _Points, parameters: CrfParameters) -> GridFilter:
    """Return the kernel of positions alone, exact."""
    import torch

    from napari_gliocam.refine.grid import make_grid_filter

    widths: list[float | None] = [parameters.gaussian_width / size for size in points.spacing]
    if points.slicewise:
        widths[0] = None
    where = torch.from_numpy(np.flatnonzero(points.mask)).to(points.device)
    return make_grid_filter(where, points.mask.shape, widths)


def _bilateral(points: _Points, parameters: CrfParameters) -> Generator[Progress, None, Lattice]:
    """Return the kernel of positions and intensities, on the permutohedral lattice."""
    import torch

    from napari_gliocam.refine.lattice import making_lattice

    assert points.image is not None
    where = np.nonzero(points.mask)
    first = 1 if points.slicewise else 0
    scales = [size / parameters.bilateral_width for size in points.spacing]
    features = [where[axis] * scales[axis] for axis in range(first, len(where))]
    features += [modality[where] / parameters.intensity_width for modality in points.image]
    stacked = torch.from_numpy(np.stack(features).astype(np.float32)).to(points.device)
    group = torch.from_numpy(where[0]).to(points.device) if points.slicewise else None
    return (yield from making_lattice(stacked, group))
