import pytest

from napari_gliocam.errors import CaseError
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.ui.jobs.continuing import continuing
from napari_gliocam.ui.jobs.work import Ingredients

from ...small_case import make_case


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    work = continuing(tmp_path / "gone_seg.nii.gz", make_case(), SegmentRequest(), Ingredients())
    with pytest.raises(CaseError, match=r"gone_seg\.nii\.gz is not there"):
        next(work)
