"""Labels that are those of another case are told by the json beside them, or by their name."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.io import save_segmentation
from napari_gliocam.io.results import doubt_of_case
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds

from ..small_case import make_case, make_maps


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)).to_filename(path)
    return path


@pytest.mark.parametrize(
    ("file", "case", "doubtful"),
    [
        ("BraTS2021_01478_seg.nii.gz", "BraTS2021_00006", True),
        ("BraTS2021_00006_seg.nii.gz", "BraTS2021_00006", False),
        ("sub-02/sub-02_ses-1_seg.nii.gz", "sub-01_ses-1", True),
        ("sub-01/sub-01_ses-2_seg.nii.gz", "sub-01_ses-1", True),
        ("reader2.nii.gz", "BraTS2021_00006", False),
        ("reader 2_seg.nii.gz", "anna", False),
    ],
)
def test_other_numbers_in_the_same_name_are_another_case(
    tmp_path: Path, file: str, case: str, doubtful: bool
) -> None:
    doubt = doubt_of_case(write(tmp_path / file), case)
    assert bool(doubt) == doubtful
    if doubtful:
        assert Path(file).name in doubt
        assert case in doubt


def test_the_json_of_a_result_goes_before_its_name(tmp_path: Path) -> None:
    case = make_case("P-12")
    result = apply_thresholds(make_maps(case), Thresholds())
    path = tmp_path / "P-11_seg.nii.gz"
    save_segmentation(result, path, case=case)
    assert not doubt_of_case(path, "P-12")
    assert "P-12" in doubt_of_case(path, "P-11")
