from __future__ import annotations

import io
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Grid, Modality, OriginalSeries
from napari_gliocam.errors import SaveError
from napari_gliocam.prepare.dicom_out import dicom_result
from napari_gliocam.prepare.examination import find_examination
from napari_gliocam.prepare.resample import even_grid
from napari_gliocam.prepare.way_back import labels_on_original

from .dicom_files import write_series
from .heads import AFFINE, SHAPE, brain_volume, prepared_case, segmented

TURN = np.eye(4)
TURN[:3, :3] = Rotation.from_euler("xyz", (12, -7, 5), degrees=True).as_matrix()


@pytest.fixture(params=[False, True], ids=["classic", "enhanced"])
def case(request, tmp_path):
    array = brain_volume(0).astype(np.int16)
    write_series(tmp_path, array, TURN @ AFFINE, description="t1", enhanced=request.param)
    (series,) = find_examination(tmp_path).series
    assert series.stack is not None
    original = OriginalSeries(series.name, series.stack.grid, np.eye(4), series.paths, True)
    return prepared_case(original, even_grid(Grid(TURN @ AFFINE, SHAPE), 1.5))


@pytest.fixture
def written(case):
    segmentation = segmented(case)
    result = dicom_result(segmentation, case, Modality.T1CE)
    seg = hd.seg.segread(io.BytesIO(result.segmentation))
    report = hd.sr.srread(io.BytesIO(result.report))
    return segmentation, seg, report


def test_the_segmentation_reads_back_on_its_series(case, written):
    segmentation, seg, _ = written
    labels = labels_on_original(segmentation.labels, case, Modality.T1CE)
    original = case.preparation.originals[Modality.T1CE]
    wanted = original.grid.to_file(labels)
    volume = seg.get_volume(combine_segments=True)
    # highdicom's volume: LPS, axes slices, rows, columns, only the frames that are there.
    affine = np.diag([-1.0, -1, 1, 1]) @ volume.affine
    index = np.argwhere(volume.array > 0)
    places = np.c_[index, np.ones(len(index))] @ affine.T
    there = places @ np.linalg.inv(original.grid.affine).T
    assert np.abs(there[:, :3] - np.round(there[:, :3])).max() * 1.6 < 1e-3  # mm
    found = np.zeros(SHAPE, np.uint8)
    found[tuple(np.round(there[:, :3]).astype(int).T)] = volume.array[tuple(index.T)]
    assert np.array_equal(found, wanted)


def test_the_segmentation_names_what_it_shows_and_what_made_it(written):
    _, seg, _ = written
    first, second = (seg.get_segment_description(n) for n in (1, 2))
    assert (first.segment_label, second.segment_label) == ("core", "edema")
    assert second.segmented_property_type.value == "79654002"
    assert first.algorithm_identification.name == "test-bundle"


def test_nothing_of_the_patient_is_added_and_uids_are_new(case, written):
    _, seg, report = written
    source = pydicom.dcmread(case.preparation.originals[Modality.T1CE].paths[0])
    for made in (seg, report):
        assert made.PatientID == source.PatientID
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert made.SOPInstanceUID != source.SOPInstanceUID
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert seg.SeriesInstanceUID != report.SeriesInstanceUID


def test_the_report_holds_volumes_and_diameters(case, written):
    segmentation, seg, report = written
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["core", "edema"]
    for group, target in zip(groups, ("core", "edema"), strict=True):
        values = {m.name.meaning: m.value for m in group.get_measurements()}
        assert values["Volume"] == pytest.approx(segmentation.volumes_ml[target], abs=1e-3)
        assert 0 < values["Short axis"] <= values["Long axis"] < 60
        assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID


def test_a_case_that_never_was_dicom_has_no_series_to_write_on(case):
    original = replace(case.preparation.originals[Modality.T1CE], is_dicom=False)
    plain = prepared_case(original, case.grid)
    with pytest.raises(SaveError, match="was not DICOM"):
        dicom_result(segmented(plain), plain, Modality.T1CE)


def test_no_tumour_is_no_segmentation(case):
    segmentation = segmented(case)
    segmentation.labels[:] = 0
    with pytest.raises(SaveError, match="shows no tumour"):
        dicom_result(segmentation, case, Modality.T1CE)


def test_a_series_that_was_moved_away_is_an_error(case):
    for path in case.preparation.originals[Modality.T1CE].paths:
        path.unlink()
    with pytest.raises(SaveError, match="no longer where it was read"):
        dicom_result(segmented(case), case, Modality.T1CE)
