"""Parts of a tumour that stay: connected components, and the holes in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import bounding_box
from napari_gliocam.refine.parameters import ComponentParameters
from napari_gliocam.targets import BACKGROUND, BOTH, CORE, EDEMA


def clean_components(
    labels: NDArray[np.uint8],
    parameters: ComponentParameters | None = None,
    *,
    voxel_ml: float = 0.001,
) -> NDArray[np.uint8]:
    """Drop small parts of the tumour, fill its holes, and fill the core.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.
    parameters : ComponentParameters, optional
        The defaults of `ComponentParameters` if not given.
    voxel_ml : float
        Volume of a voxel in ml.

    Returns
    -------
    ndarray of uint8
        A new array.
    """
    parameters = parameters or ComponentParameters()
    cleaned = labels.copy()
    box = bounding_box(labels > 0)
    if box is None:
        return cleaned
    part = cleaned[box]
    part[~kept_components(part > 0, parameters, voxel_ml=voxel_ml)] = BACKGROUND
    if parameters.fill_holes:
        _fill_tumour(part)
    if parameters.fill_core:
        _fill_core(part)
    return cleaned


def kept_components(
    mask: NDArray[np.bool_], parameters: ComponentParameters, *, voxel_ml: float = 0.001
) -> NDArray[np.bool_]:
    """Return the 3-D components (26 neighbours) that are large enough.

    A component stays if it has ``min_fraction`` of the largest one, or ``min_ml`` where that
    is above 0; the largest always stays.
    """
    from scipy import ndimage

    components, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count < 2:
        return mask.copy()
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    kept = sizes >= max(1.0, parameters.min_fraction * sizes.max())
    if parameters.min_ml > 0:
        kept |= (sizes * voxel_ml >= parameters.min_ml) & (sizes > 0)
    stays: NDArray[np.bool_] = kept[components]
    return stays


def holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels that a mask encloses, in its own slice or in space, as a mask."""
    from scipy import ndimage

    filled = ndimage.binary_fill_holes(mask)
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        filled[index] |= ndimage.binary_fill_holes(mask[index])
    enclosed: NDArray[np.bool_] = filled & ~mask
    return enclosed


def _fill_tumour(labels: NDArray[Any]) -> None:
    """Give every hole the class of the nearest tumour voxel."""
    from scipy import ndimage

    enclosed = holes(labels > 0)
    if enclosed.any():
        nearest = ndimage.distance_transform_edt(
            labels == 0, return_distances=False, return_indices=True
        )
        labels[enclosed] = labels[tuple(nearest[:, enclosed])]


def _fill_core(labels: NDArray[Any]) -> None:
    """Edema that core encloses is taken for necrosis, which belongs to the core."""
    core = (labels == CORE) | (labels == BOTH)
    labels[holes(core) & (labels == EDEMA)] = CORE
