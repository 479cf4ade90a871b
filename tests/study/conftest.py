"""A tiny bundle, two tiny cases with outlines, and a study that takes a second."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet

AFFINE = np.diag([-1.0, -1.5, 3.0, 1.0])
SHAPE = (50, 60, 9)  # as in the file: L, P, S

STUDY = """
title = "A tiny study"
tests = "GradCAM"
[table]
over = "slices"
scoring = "all-slices"
[pictures]
count = 1
[[row]]
name = "GradCAM"
method = "gradcam"
gate = false
published = { core = { dice = [0.6, 0.4] } }
[[row]]
name = "LayerCAM, refined"
method = "layercam"
gate = false
components = true
[[row]]
name = "as saved"
gate = false
[[row]]
name = "both"
rule = "and"
[[row.members]]
method = "gradcam"
gate = false
threshold = 0.4
[[row.members]]
method = "exit"
gate = false
threshold = 0.3
[[row]]
name = "nothing"
method = "empty"
"""


def write_case(folder, name, seed, labels=True):
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[8:-8, 10:-10, 2:] = True
    truth = np.zeros(SHAPE, dtype=np.uint8)
    truth[15:30, 20:40, 5:8] = 2
    truth[20:25, 25:32, 5:8] = 4
    (folder / name).mkdir(parents=True)
    for modality in ("flair", "t1ce", "t2"):
        volume = rng.normal(300, 50, SHAPE) + 300 * (truth > 0)
        image = nib.Nifti1Image((volume.clip(1) * brain).astype(np.int16), AFFINE)
        image.to_filename(folder / name / f"{name}_{modality}.nii.gz")
    if labels:
        nib.Nifti1Image(truth, AFFINE).to_filename(folder / name / f"{name}_seg.nii.gz")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    for number in (1, 2):
        write_case(folder, f"case-{number}", number)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(
        GliocamNet(width=4), BundleInfo("tiny", "random numbers", "CC0-1.0", width=4), folder
    )
    return folder


@pytest.fixture
def study_file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    return path
