from dataclasses import replace

import pytest

from napari_gliocam.errors import CaseError
from napari_gliocam.io import save_segmentation
from napari_gliocam.settings import SegmentRequest, Thresholds
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.ui.jobs.continuing import continuing
from napari_gliocam.ui.jobs.work import Ingredients

from ...small_case import make_case, make_maps


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    work = continuing(tmp_path / "gone_seg.nii.gz", make_case(), SegmentRequest(), Ingredients())
    with pytest.raises(CaseError, match=r"gone_seg\.nii\.gz is not there"):
        next(work)


def test_the_result_of_another_case_is_refused(tmp_path):
    case, path = make_case("P-1"), tmp_path / "P-1_seg.nii.gz"
    save_segmentation(apply_thresholds(make_maps(case), Thresholds()), path, case=case)
    work = continuing(path, replace(case, name="P-2"), SegmentRequest(), Ingredients())
    with pytest.raises(CaseError, match="seems to belong to P-1, not to P-2"):
        next(work)
