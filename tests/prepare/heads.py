"""A head as an examination shows it, small and quick: a brain in a skull, four sequences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_gliocam.case import Case, Grid, Modality, OriginalSeries, Preparation
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS
from napari_gliocam.threshold import Segmentation

#: 1.6 mm cubes, x to the left as in most files; a small head, so that tests are quick.
AFFINE = np.array([[-1.6, 0, 0, 32], [0, -1.6, 0, 40], [0, 0, 1.6, -32], [0, 0, 0, 1]])
SHAPE = (40, 50, 40)


def brain_volume(seed: int, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float32]:
    """Return a textured brain on a background of 0, in the file's axes.

    The same structures for every seed, in another contrast.
    """
    rng = np.random.default_rng(5)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    radius = np.sqrt((place[0] / 0.8) ** 2 + (place[1] / 0.85) ** 2 + (place[2] / 0.75) ** 2)
    inside = radius + 0.06 * ndi.gaussian_filter(rng.standard_normal(shape), 2) * 10 < 1
    parts = ndi.gaussian_filter(rng.standard_normal(shape), 2.0)
    kinds = np.digitize(parts, np.quantile(parts, (0.25, 0.5, 0.75)))
    levels = np.random.default_rng(seed).permutation([0.35, 0.55, 0.75, 1.0])
    image = levels[kinds] * inside * 1000
    return ndi.gaussian_filter(image, 0.6).astype(np.float32) * inside


def segmented(case: Case) -> Segmentation:
    """Return core and edema in the middle of a case, as if networks had found them."""
    place = np.stack(np.meshgrid(*map(np.arange, case.grid.shape), indexing="ij"))
    centre = np.array(case.grid.shape)[:, None, None, None] * (0.55, 0.45, 0.4)[0]
    spacing = np.array(case.grid.spacing)[:, None, None, None]
    distance = np.sqrt((((place - centre) * spacing) ** 2).sum(0))
    labels = np.where(distance < 14, 1, np.where(distance < 24, 2, 0)).astype(np.uint8)
    maps = ClassMaps.of_targets(
        case.grid,
        {target: np.zeros(case.grid.shape, np.float32) for target in TARGETS},
        provenance={"bundle": {"name": "test-bundle"}},
    )
    return Segmentation(labels, maps, Thresholds())


def prepared_case(original: OriginalSeries, grid: Grid) -> Case:
    """Return a case on a grid, as if it had been prepared from one T1ce series."""
    return Case(
        "case",
        {Modality.T1CE: np.ones(grid.shape, np.float32)},
        grid,
        preparation=Preparation(("T1ce was moved.",), {Modality.T1CE: original}),
    )
