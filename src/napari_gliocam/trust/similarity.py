"""How alike two maps are: SSIM and rank correlation over the brain, beside unrelated maps."""

# mypy: untyped-calls-exclude="skimage"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.slices import SliceStack

#: Side of the window of the SSIM, in pixels of the network.
_WINDOW = 7


@dataclass(frozen=True)
class Similarity:
    """How alike two maps are.

    Parameters
    ----------
    ssim : float
        Structural similarity, mean over the brain, in [-1, 1].
    rank_correlation : float
        Spearman's, over the pixels of the brain, in [-1, 1]; 0 where one of the maps is the same
        everywhere, so that it ranks nothing.
    """

    ssim: float
    rank_correlation: float


@dataclass(frozen=True, eq=False)
class Plane:
    """A map of one slice on the network's grid.

    Parameters
    ----------
    map_ : ndarray of float32, (H, W)
        In [0, 1].
    inside : ndarray of bool, (H, W)
        Pixels of the brain.
    """

    map_: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @property
    def is_flat(self) -> bool:
        """Whether the map is the same all over the brain."""
        values = self.map_[self.inside]
        return not values.size or bool(values.max() <= values.min())


def planes_of(
    maps: ClassMaps, target: Target, stack: SliceStack, slices: Sequence[int]
) -> dict[int, Plane]:
    """Return the map of some slices of a case on the network's grid.

    Parameters
    ----------
    maps : ClassMaps
        Of the case.
    target : Target
        One that has a map.
    stack : SliceStack
        Of the case.
    slices : sequence of int
        Slices of the case that show brain.
    """
    rows = [stack.frame.indices.index(index) for index in slices]
    frame = replace(stack.frame, indices=tuple(slices))
    taken = frame.take(maps.of(target))
    return {
        index: Plane(map_, stack.brain[row])
        for index, row, map_ in zip(slices, rows, taken, strict=True)
    }


def compare_planes(a: Plane, b: Plane) -> Similarity:
    """Compare two maps where both slices show brain.

    Parameters
    ----------
    a, b : Plane
        Of the same size.
    """
    from scipy.stats import spearmanr
    from skimage.metrics import structural_similarity

    both = a.inside & b.inside
    if not both.any():
        return Similarity(0.0, 0.0)
    _, local = structural_similarity(a.map_, b.map_, win_size=_WINDOW, data_range=1.0, full=True)
    first, second = a.map_[both], b.map_[both]
    rank = 0.0
    if first.max() > first.min() and second.max() > second.min():
        rank = float(spearmanr(first, second).statistic)
    return Similarity(float(local[both].mean()), rank)


def mean_similarity(pairs: Sequence[Similarity]) -> Similarity:
    """Return the mean of one or more comparisons."""
    return Similarity(
        float(np.mean([p.ssim for p in pairs])),
        float(np.mean([p.rank_correlation for p in pairs])),
    )


def unrelated(planes: Mapping[int, Plane]) -> Similarity | None:
    """Return how alike maps are that have nothing to do with each other.

    Each slice is compared with the one half of the list away, mirrored left to right, so that
    neither a shared lesion nor the side of the brain counts (Arun et al. 2021 take maps of
    different images); one slice alone is compared with its own mirror image.

    Parameters
    ----------
    planes : mapping of int to Plane
        By slice; flat ones are left out.

    Returns
    -------
    Similarity or None
        None where every map is flat.
    """
    useful = [plane for plane in planes.values() if not plane.is_flat]
    half = len(useful) // 2
    found = [
        compare_planes(a, Plane(b.map_[:, ::-1], b.inside[:, ::-1]))
        for a, b in zip(useful, [*useful[half:], *useful[:half]], strict=True)
    ]
    return mean_similarity(found) if found else None
