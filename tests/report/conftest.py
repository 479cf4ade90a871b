"""A case with maps, and a segmentation of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.report import picture
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds

SHAPE, SPACING = (8, 40, 36), (4.0, 2.0, 1.5)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Drawing them takes most of the time of a report."""
    monkeypatch.setattr(picture, "HEIGHT", 120)


@pytest.fixture
def make_case():
    def make(name="anna", *, expert=True, modalities=tuple(Modality)) -> Case:
        rng = np.random.default_rng(0)
        brain = np.zeros(SHAPE, dtype=bool)
        brain[1:-1, 4:36, 4:32] = True
        labels = np.zeros(SHAPE, dtype=np.uint8)
        labels[2:6, 8:24, 8:22] = 2
        labels[3:5, 12:18, 10:18] = 1
        volumes = {
            m: (rng.normal(300, 40, SHAPE).clip(1) * brain + 300 * (labels > 0)).astype(np.int16)
            for m in modalities
        }
        return Case(
            name,
            volumes,
            Grid(np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1.0]), SHAPE[::-1]),
            sources={m: Path(f"/home/secret-patient/{name}_{m.value}.nii.gz") for m in modalities},
            expert=ExpertLabels(labels, "gliocam", Path(f"/home/secret-patient/{name}_seg.nii.gz"))
            if expert
            else None,
            warnings=("The slices are oblique: <shown> straightened.",),
        )

    return make


@pytest.fixture
def make_segmentation(make_case):
    """Core a little shifted; some of it claimed by both; found on slices with lesion alone."""

    def make(case=None, *, found=True):
        case = case or make_case()
        truth = make_case().expert.labels
        tumour = 0.9 * np.roll(truth > 0, 1, axis=1) * found
        core = np.where(truth == 1, 0.8, 0.2)
        edema = np.where(truth == 2, 0.8, 0.2)
        edema[3, 12:14] = 0.7
        probabilities = np.zeros((SHAPE[0], 3), dtype=np.float32)
        probabilities[2:6] = 0.9
        maps = ClassMaps(
            case.grid,
            tumour.astype(np.float32),
            core.astype(np.float32),
            edema.astype(np.float32),
            probabilities,
            {
                "bundle": {"name": "tiny", "origin": "random <numbers>", "licence": "CC0-1.0"},
                "device": "CPU, 2 threads",
                "precision": "float32",
            },
        )
        return apply_thresholds(maps, Thresholds())

    return make
