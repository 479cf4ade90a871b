"""Separate lesions: connected components of the whole tumour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import bounding_box
from napari_gliocam.settings import MIN_LESION_ML


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of a case.

    Parameters
    ----------
    box : (S, P, L) of slice
        The part of the case that holds all of the tumour.
    numbers : ndarray of int32, shape of ``box``
        1 for the largest lesion, 2 for the next; 0 outside and in parts that are too small.
    count : int
        Number of them.
    small : int
        Parts that are too small.
    small_voxels : int
        Their voxels.
    """

    box: tuple[slice, ...]
    numbers: NDArray[np.int32]
    count: int
    small: int = 0
    small_voxels: int = 0

    def case_numbers(self, shape: tuple[int, int, int]) -> NDArray[np.int32]:
        """Return the lesion number of every voxel of a case, as for a labels layer, (S, P, L)."""
        numbers = np.zeros(shape, dtype=np.int32)
        numbers[self.box] = self.numbers
        return numbers


def find_lesions(
    labels: NDArray[Any], *, voxel_ml: float = 0.001, min_ml: float = MIN_LESION_ML
) -> Lesions | None:
    """Find the lesions: components of core and edema together, 26 neighbours, largest first.

    Parameters
    ----------
    labels : ndarray of an integer type or bool, shape (S, P, L)
        Tumour where it is not 0.
    voxel_ml : float
        Volume of a voxel in ml.
    min_ml : float
        Smaller components are counted, but are no lesions.

    Returns
    -------
    Lesions or None
        None where there is no tumour at all.
    """
    from scipy import ndimage

    box = bounding_box(labels)
    if box is None:
        return None
    parts, count = ndimage.label(labels[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    kept = np.flatnonzero(sizes * voxel_ml >= min_ml * (1 - 1e-9))
    kept = kept[np.argsort(-sizes[kept], kind="stable")]
    number = np.zeros(count + 1, dtype=np.int32)
    number[kept + 1] = np.arange(1, len(kept) + 1)
    return Lesions(
        box,
        number[parts],
        len(kept),
        small=count - len(kept),
        small_voxels=int(sizes.sum() - sizes[kept].sum()),
    )
