from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.targets import CORE, EDEMA
from napari_gliocam.threshold import Segmentation, apply_thresholds

SHAPE = (9, 48, 44)
LESION = slice(3, 7)  # the slices that show it


@pytest.fixture
def case() -> Case:
    """A brain with a bright disc of edema and a core in it, on four of nine slices of 2 mm."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    radius = np.hypot(y - 24, x - 22)
    truth = np.zeros(SHAPE, dtype=np.uint8)
    truth[LESION] = np.where(radius < 6, CORE, np.where(radius < 12, EDEMA, 0))
    brain = np.broadcast_to(radius < 20, SHAPE)
    volumes = {}
    for modality, levels in (
        (Modality.FLAIR, (300, 600, 800)),
        (Modality.T1CE, (400, 900, 350)),
        (Modality.T2, (300, 700, 750)),
    ):
        volume = np.asarray(levels)[truth] + rng.normal(0, 25, SHAPE)
        volumes[modality] = (volume.clip(1) * brain).astype(np.int16)
    grid = Grid(np.diag([-1.0, -1.0, 2.0, 1.0]), SHAPE[::-1])
    return Case("disc", volumes, grid, expert=ExpertLabels(truth, "gliocam"))


@pytest.fixture
def segmentation(case: Case) -> Segmentation:
    """What blurred, shifted maps of the truth give."""
    assert case.expert is not None
    truth = case.expert.labels

    def blurred(mask):
        map_ = gaussian_filter(np.roll(mask, 2, axis=2).astype(np.float32), (0, 3, 3))
        return (map_ / map_.max() * 0.98 * case.brain).astype(np.float32)

    maps = ClassMaps(
        case.grid,
        blurred(truth > 0),
        blurred(truth == CORE),
        blurred(truth == EDEMA),
        np.ones((SHAPE[0], 3), dtype=np.float32),
    )
    return apply_thresholds(maps)
