from __future__ import annotations

import gzip

import numpy as np
import pytest
from nibabel import Nifti1Image
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Case, Grid, Modality, OriginalSeries
from napari_gliocam.errors import SaveError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.prepare.resample import case_grid, even_grid, resample
from napari_gliocam.prepare.way_back import (
    case_on_original,
    labels_on_original,
    pack_maps_on_original,
)

from .heads import prepared_case, segmented

GRID = Grid(np.diag([2.0, 2, 2, 1]) @ np.diag([-1.0, -1, 1, 1]), (60, 70, 50))


def movement() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    matrix[:3, 3] = (6, -9, 4)
    return matrix


def centre_mm(labels, grid: Grid, value: int) -> np.ndarray:
    index = np.argwhere(labels == value).mean(0)
    return grid.canonical_affine[:3, :3] @ index + grid.canonical_affine[:3, 3]


def test_labels_come_back_to_the_place_they_were_in():
    other = even_grid(GRID, 1.3)
    original = OriginalSeries("T1ce", other, movement(), ())
    case = prepared_case(original, GRID)
    labels = segmented(case).labels
    back = labels_on_original(labels, case, Modality.T1CE)
    assert back.shape == other.shape
    for value in (1, 2):
        there = movement() @ np.append(centre_mm(labels, GRID, value), 1)
        assert np.linalg.norm(centre_mm(back, other, value) - there[:3]) < 0.3
        volume = (labels == value).sum() * GRID.voxel_ml
        assert (back == value).sum() * other.voxel_ml == pytest.approx(volume, rel=0.04)


def test_maps_come_back_with_their_values(tmp_path):
    other = even_grid(GRID, 1.3)
    case = prepared_case(OriginalSeries("T1ce", other, movement(), ()), GRID)
    labels = segmented(case).labels
    maps = ClassMaps.of_targets(
        GRID, {"core": gaussian_filter((labels == 1).astype(np.float32), 1)}, provenance={}
    )
    packed = pack_maps_on_original(maps, case, Modality.T1CE, tmp_path)
    assert [path.name for path in packed] == ["case_on_t1ce_core_map.nii.gz"]
    core = Nifti1Image.from_bytes(
        gzip.decompress(packed[tmp_path / "case_on_t1ce_core_map.nii.gz"])
    )
    values = other.from_file(np.asarray(core.dataobj))
    assert values.dtype == np.float32
    assert 0.9 < values.max() <= 1
    back = labels_on_original(labels, case, Modality.T1CE)
    assert values[back == 1].mean() > 10 * values[back == 0].mean()


def test_the_same_grid_without_movement_gives_the_same_labels():
    case = prepared_case(OriginalSeries("T1ce", GRID, np.eye(4), ()), GRID)
    labels = segmented(case).labels
    assert labels_on_original(labels, case, Modality.T1CE) is labels


def test_overlapping_classes_stay_overlapping():
    case = prepared_case(OriginalSeries("T1ce", even_grid(GRID, 2.5), np.eye(4), ()), GRID)
    labels = segmented(case).labels
    labels[labels == 1] = 3
    assert set(np.unique(labels_on_original(labels, case, Modality.T1CE))) == {0, 2, 3}


def test_a_case_that_was_not_prepared_has_no_way_back():
    case = Case("plain", {}, GRID)
    with pytest.raises(SaveError, match="was not prepared"):
        labels_on_original(np.zeros(GRID.shape, np.uint8), case, Modality.T1CE)
    prepared = prepared_case(OriginalSeries("T1ce", GRID, np.eye(4), ()), GRID)
    with pytest.raises(SaveError, match="has no T2"):
        case_on_original(prepared, Modality.T2)


def test_a_movement_there_and_back_gives_the_volume_again():
    labels = segmented(prepared_case(OriginalSeries("T1ce", GRID, np.eye(4), ()), GRID)).labels
    smooth = gaussian_filter(labels.astype(np.float32), 2)
    there = resample(smooth, GRID, GRID, movement(), order=3)
    back = resample(there, GRID, GRID, np.linalg.inv(movement()), order=3)
    assert np.abs(back - smooth).max() < 0.05 * smooth.max()


def test_a_reference_near_1_mm_keeps_its_grid_and_others_become_cubes():
    fine = Grid(np.diag([1.0, 0.9, 5.0, 1.0]), (30, 30, 6))
    assert case_grid(fine) is fine
    thick = Grid(np.diag([0.5, 0.5, 1.0, 1.0]), (40, 40, 20))
    assert case_grid(thick).spacing == (1.0, 1.0, 1.0)
    sagittal = Grid(np.diag([5.0, 1.0, 1.0, 1.0]), (6, 30, 30))
    assert case_grid(sagittal).spacing == (1.0, 1.0, 1.0)
