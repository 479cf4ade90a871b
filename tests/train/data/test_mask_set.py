"""Masks that teach: read, packed, refused; an expert's outline is never opened."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError, TrainingError
from napari_gliocam.io import read_case, save_segmentation
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.progress import finish
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import Segmentation
from napari_gliocam.train.data.mask_set import (
    MaskPreparation,
    agreeing,
    check_masks,
    gathering_masks,
    read_mask,
)
from napari_gliocam.train.labels.tags import SKIPPED, Tag

from ..case_files import write_cases

HOW = MaskPreparation(
    BundleInfo("tiny", "nowhere", "CC0-1.0", pixel_mm=3.0),
    SegmenterDesign(neighbours=1, neighbour_mm=5.0),
)


def save_mask(folder, case, labels):
    maps = ClassMaps.of_targets(case.grid, {})
    found = Segmentation(labels.astype(np.uint8), maps, Thresholds())
    save_segmentation(found, folder / f"{case.name}_seg.nii.gz", case=case, overwrite=True)


def bright(case):
    """A mask by intensity: no outline takes part."""
    labels = np.where(case.volumes[Modality.FLAIR] > 750, 2, 0)
    labels[case.volumes[Modality.T1CE] > 750] = 1
    return labels


@pytest.fixture
def folders(tmp_path):
    cases, masks = write_cases(tmp_path / "cases", 2), tmp_path / "masks"
    for number in range(2):
        case = read_case(cases / f"case{number}")
        save_mask(masks, case, bright(case))
    return cases, masks


def gather(cases, masks, tmp_path, second=None, tags=None):
    return finish(gathering_masks(cases, masks, second, tmp_path / "cache", HOW, tags))


def test_slices_come_with_neighbours_and_masks(folders, tmp_path):
    data = gather(*folders, tmp_path)
    assert (tuple(data.files), data.masks, data.problems) == (("case0", "case1"), 2, {})
    slices = data.slices()
    stored = slices.images[np.arange(len(slices))]
    assert stored.shape[1] == 3 * 3 + 2
    assert all(side % 32 == 0 for side in stored.shape[2:])
    masks = stored[:, -2:].astype(np.float32)
    assert masks.min() >= 0
    assert masks.max() <= 1
    shows = (masks >= 0.5).sum(axis=(2, 3)) >= HOW.min_pixels
    np.testing.assert_array_equal(slices.labels[:, 1:] > 0, shows)
    check_masks(slices)


def test_two_masks_a_case(folders, tmp_path):
    cases, masks = folders
    other = tmp_path / "other"
    for number in range(2):
        case = read_case(cases / f"case{number}")
        save_mask(other, case, np.where(bright(case) == 2, 2, 0))
    data = gather(cases, masks, tmp_path, second=other)
    slices = data.slices()
    stored = slices.images[np.arange(len(slices))]
    assert data.masks == 4
    np.testing.assert_array_equal(stored[:, -1], stored[:, -3])
    assert stored[:, -4].any()
    assert not stored[:, -2].any()


def test_slice_labels_take_the_place_of_the_masks_own(folders, tmp_path):
    tags = {"case0": {3: Tag(core=True), 4: SKIPPED}}
    plain = gather(*folders, tmp_path).slices()
    tagged = gather(*folders, tmp_path, tags=tags).slices()
    assert len(tagged) == len(plain) - 1
    assert (tagged.labels == [1, 1, 0]).all(axis=1).any()


def test_prepared_slices_are_made_once(folders, tmp_path):
    first = gather(*folders, tmp_path)
    stamps = {file: file.stat().st_mtime_ns for file in first.files.values()}
    second = gather(*folders, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in second.files.values()} == stamps
    assert first.slices().fingerprint() == second.slices().fingerprint()


def test_an_experts_outline_is_refused(folders, tmp_path):
    cases, masks = folders
    shutil.copy(cases / "case0" / "case0_seg.nii.gz", masks / "case0_seg.nii.gz")
    with pytest.raises(TrainingError, match="expert's outline"):
        gather(cases, masks, tmp_path)


def test_an_experts_outline_in_the_case_is_not_opened(folders, tmp_path):
    cases, masks = folders
    for outline in cases.rglob("*_seg.nii.gz"):
        outline.write_bytes(b"whoever opens this fails")
    data = gather(cases, masks, tmp_path)
    assert len(data.files) == 2
    assert not data.problems


def test_a_case_without_mask_is_named_and_left_out(folders, tmp_path):
    cases, masks = folders
    (masks / "case1_seg.nii.gz").unlink()
    data = gather(cases, masks, tmp_path)
    assert tuple(data.files) == ("case0",)
    assert "case1" in data.problems["case1"]


@pytest.mark.parametrize("what", ["grid", "values"])
def test_a_mask_that_does_not_fit_is_named(folders, tmp_path, what):
    cases, masks = folders
    case, file = read_case(cases / "case0"), masks / "case0_seg.nii.gz"
    image = nib.load(file)
    array = np.asarray(image.dataobj).copy()
    if what == "values":
        array[0, 0, 0] = 9
    else:
        array = array[:, :, 1:]
    nib.save(nib.Nifti1Image(array, image.affine, image.header), file)
    with pytest.raises(CaseError, match=file.name):
        read_mask(masks, case)


def test_nothing_to_learn_is_refused(folders, tmp_path):
    cases, masks = folders
    for number in range(2):
        case = read_case(cases / f"case{number}")
        save_mask(masks, case, np.zeros(case.grid.shape))
    with pytest.raises(TrainingError, match="All masks are empty"):
        check_masks(gather(cases, masks, tmp_path).slices())
    for number in range(2):
        case = read_case(cases / f"case{number}")
        save_mask(masks, case, np.where(bright(case) == 2, 2, 0))
    with pytest.raises(TrainingError, match="No mask shows core"):
        check_masks(gather(cases, masks, tmp_path).slices())


def test_no_folder_of_masks_is_refused(folders, tmp_path):
    with pytest.raises(TrainingError, match="pseudo-label"):
        gather(folders[0], tmp_path / "nowhere", tmp_path)


def test_slices_whose_masks_disagree_are_known(folders, tmp_path):
    cases, masks = folders
    other = tmp_path / "other"
    for number in range(2):
        case = read_case(cases / f"case{number}")
        save_mask(other, case, bright(case) if number else np.zeros(case.grid.shape))
    slices = gather(cases, masks, tmp_path, second=other).slices()
    agree = agreeing(slices, 0.5)
    shown = (slices.images[np.arange(len(slices))][:, -4:-2] >= 0.5).any(axis=(1, 2, 3))
    assert agree[slices.case == 1].all()
    np.testing.assert_array_equal(agree[slices.case == 0], ~shown[slices.case == 0])
