import numpy as np
import pytest
import torch

from napari_gliocam.case import Grid
from napari_gliocam.errors import TrainingError
from napari_gliocam.io import read_case
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.train.data.mask_set import read_mask
from napari_gliocam.train.labels.pseudo import (
    labelling_missing,
    pseudo_labelling,
    without_denied,
)
from napari_gliocam.train.labels.tags import SKIPPED, Tag

from ..case_files import write_case, write_cases


@pytest.mark.parametrize("flipped", [False, True])
def test_denied_classes_become_background_in_the_files_own_order(flipped):
    affine = np.diag([1.0, 1.0, -1.0 if flipped else 1.0, 1.0])
    labels = np.broadcast_to(np.uint8([1, 2, 3, 0]), (6, 2, 4)).copy()
    grid = Grid(affine, (4, 2, 6))
    tags = {0: Tag(), 1: Tag(core=True), 2: Tag(edema=True), 3: Tag(True, True), 4: SKIPPED}
    found, denied = without_denied(labels, grid, tags)
    by_file = found[::-1] if flipped else found
    rows = [plane[0].tolist() for plane in by_file]
    assert rows == [
        [0, 0, 0, 0],  # neither
        [1, 0, 1, 0],  # core alone: a voxel of both keeps core
        [0, 2, 2, 0],
        [1, 2, 3, 0],
        [1, 2, 3, 0],  # skipped: as the maps have it
        [1, 2, 3, 0],  # no label
    ]
    assert denied == 2 * (3 + 2 + 2)
    assert labels[0, 0].tolist() == [1, 2, 3, 0]  # unchanged


def test_masks_that_are_missing_are_made_and_others_stay(tmp_path):
    torch.manual_seed(0)
    info = BundleInfo("tiny", "random numbers", "CC0-1.0", width=4, pixel_mm=3.0)
    bundle = Bundle(info, GliocamNet(width=4).eval())
    cases, masks = write_cases(tmp_path / "cases", 1), tmp_path / "masks"
    write_case(cases, "lacking", without=("t1ce",))
    for outline in cases.rglob("*_seg.nii.gz"):
        outline.write_bytes(b"whoever opens this fails")
    work = labelling_missing(cases, masks, {}, bundle=bundle, device="cpu")
    problems = finish(work)
    assert list(problems) == ["lacking"]
    assert "T1ce" in problems["lacking"]
    for outline in cases.rglob("*_seg.nii.gz"):
        outline.unlink()
    case = read_case(cases / "case0")
    assert read_mask(masks, case).shape == case.grid.shape
    (file,) = masks.glob("case0_seg.nii.gz")
    before = file.stat().st_mtime_ns
    finish(labelling_missing(cases, masks, {}, bundle=bundle, device="cpu"))
    assert file.stat().st_mtime_ns == before
    second = tmp_path / "second"
    finish(labelling_missing(cases, masks, {}, bundle=bundle, device="cpu", second=second))
    assert file.stat().st_mtime_ns == before, "only the second mask was missing"
    assert read_mask(second, case).shape == case.grid.shape


def test_a_bundle_of_the_tumour_alone_makes_no_masks(tmp_path):
    info = BundleInfo("alone", "random numbers", "CC0-1.0", width=4, targets=TUMOUR_ALONE)
    bundle = Bundle(info, GliocamNet(width=4, targets=TUMOUR_ALONE).eval())
    cases = write_cases(tmp_path / "cases", 1)
    case = read_case(cases / "case0")
    for work in (
        pseudo_labelling(case, bundle=bundle, device="cpu"),
        labelling_missing(cases, tmp_path / "masks", {}, bundle=bundle, device="cpu"),
    ):
        with pytest.raises(TrainingError, match='"alone" knows the tumour alone'):
            finish(work)
