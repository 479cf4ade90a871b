"""What Save offers for a case, and what each way writes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Case, Grid, Modality, OriginalSeries
from napari_gliocam.io.naming import dicom_report_name
from napari_gliocam.ui.panel.saving import LABELS, ways_to_save

from ...prepare.heads import AFFINE, SHAPE, prepared_case, segmented

GRID = Grid(AFFINE, SHAPE)


def case_of(original: Grid, *, dicom: bool = False, paths: tuple[Path, ...] = ()) -> Case:
    moved = np.eye(4)
    moved[:3, 3] = (0, 0, 4)
    return prepared_case(OriginalSeries("s", original, moved, paths, dicom), GRID)


def test_a_case_as_it_was_read_has_one_grid(tmp_path):
    case = Case("case", {Modality.T1CE: np.ones(GRID.shape, np.float32)}, GRID)
    assert [way.title for way in ways_to_save(case)] == ["NIfTI", "NIfTI, and the maps"]
    written = ways_to_save(case)[1].write(segmented(case), case, tmp_path / "case_seg.nii.gz")
    assert {path.name for path in written} == {
        "case_seg.nii.gz",
        "case.json",
        "case_tumour_map.nii.gz",
        "case_core_map.nii.gz",
        "case_edema_map.nii.gz",
        "case_slices.csv",
    }
    assert all(path.exists() for path in written)


def test_labels_come_back_to_the_grid_of_a_series(tmp_path):
    original = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (30, 42, 28))
    case = case_of(original)
    *_, way, with_maps = ways_to_save(case)
    assert way.title == "NIfTI on the grid of the T1ce series"
    assert with_maps.title == f"{way.title}, and the maps"
    (path,) = way.write(segmented(case), case, tmp_path / "a.nii.gz")
    written = with_maps.write(segmented(case), case, tmp_path / "a.nii.gz")
    assert [one.name for one in written[1:]] == [
        f"case_on_t1ce_{target}_map.nii.gz" for target in ("tumour", "core", "edema")
    ]
    assert all(nib.load(one).shape == original.file_shape for one in written)
    image = nib.load(path)
    assert image.shape == original.file_shape
    assert np.allclose(image.affine, original.affine)
    assert set(np.unique(image.dataobj)) <= {0, 1, 2}


def test_names_get_an_ending_that_fits():
    *_, dicom = ways_to_save(case_of(GRID, dicom=True))
    assert dicom.named("/a/b_seg.nii.gz") == "/a/b_seg.dcm"
    assert dicom.named("/a/b.dcm") == "/a/b.dcm"
    assert dicom_report_name("b.DCM") == dicom_report_name("b_seg.dcm") == "b_report.dcm"
    assert LABELS.named("/a/b") == "/a/b.nii.gz"
    assert LABELS.named("/a/b.NII") == "/a/b.NII"


def test_dicom_comes_with_its_report(tmp_path):
    pytest.importorskip("highdicom")
    import pydicom

    from ...prepare.dicom_files import write_series

    stored = np.full(SHAPE, 7, np.int16)
    paths = write_series(tmp_path / "in", stored, AFFINE, description="t1 post gd")
    case = case_of(GRID, dicom=True, paths=tuple(paths))
    *_, way = ways_to_save(case)
    written = way.write(segmented(case), case, tmp_path / "p_seg.dcm")
    assert [path.name for path in written] == ["p_seg.dcm", "p_report.dcm"]
    assert [pydicom.dcmread(path).Modality for path in written] == ["SEG", "SR"]
