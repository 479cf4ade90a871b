"""A small case with expert labels, and records of made-up figures."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.measure import score_labels

SHAPE, SPACING = (6, 16, 14), (4.0, 1.0, 1.5)


@pytest.fixture
def make_case():
    """A brain with a bright tumour: edema around a core, on slices 2 and 3 of 6."""

    def make(name="anna", *, modalities=(Modality.T1CE, Modality.FLAIR), expert=True) -> Case:
        rng = np.random.default_rng(0)
        brain = np.zeros(SHAPE, dtype=bool)
        brain[1:, 2:14, 2:12] = True
        labels = np.zeros(SHAPE, dtype=np.uint8)
        labels[2:4, 5:9, 4:8] = 2
        labels[2:4, 6:8, 5:7] = 1
        volumes = {}
        for modality in modalities:
            bright = labels == 1 if modality is Modality.T1CE else labels > 0
            volume = (rng.normal(100, 10, SHAPE) + 100 * bright).clip(1)
            volumes[modality] = (volume * brain).astype(np.int16)
        affine = np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1])
        return Case(
            name,
            volumes,
            Grid(affine, SHAPE[::-1]),
            expert=ExpertLabels(labels, "gliocam") if expert else None,
        )

    return make


@pytest.fixture
def make_record():
    """A record of labels that find the given number of a tumour's 10 columns."""

    def make(case: str, found: int, method="gliocam", *, columns=10, slices=2):
        expert = np.zeros((slices, 1, 20), dtype=np.uint8)
        expert[0, 0, :columns] = 1
        labels = np.zeros_like(expert)
        labels[0, 0, :found] = 1
        return score_labels(labels, expert, (1, 1, 1), case=case, method=method)

    return make
