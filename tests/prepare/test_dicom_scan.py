from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.prepare import prepare
from napari_gliocam.prepare.examination import find_examination, read_series
from napari_gliocam.prepare.images import itk_affine

from .dicom_files import write_series
from .heads import AFFINE, brain_volume

SHAPE = (10, 12, 8)


def array(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-200, 900, SHAPE).astype(np.int16)


def affine(degrees=(0, 0, 0), signs=(-1, -1, 1)) -> np.ndarray:
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag(np.array(signs) * (1.5, 2.0, 3.0))
    matrix[:3, 3] = (10.0, -20.0, 5.0)
    return matrix


#: Axial, axial from the head down, coronal, sagittal, oblique.
PLACES = {
    "axial": affine(),
    "downwards": affine(signs=(-1, -1, -1)) @ np.diag([1, 1, 1, 1.0]),
    "coronal": affine((90, 0, 0)),
    "sagittal": affine((0, 90, 90)),
    "oblique": affine((20, -12, 7)),
}


@pytest.fixture(params=[False, True], ids=["classic", "enhanced"])
def enhanced(request) -> bool:
    return request.param


@pytest.mark.parametrize("place", PLACES)
def test_voxels_lie_where_another_reader_puts_them(tmp_path, place, enhanced):
    paths = write_series(tmp_path, array(), PLACES[place], enhanced=enhanced, slope=2, intercept=-7)
    volume = read_series(find_examination(tmp_path).series[0])
    if enhanced:
        other = SimpleITK.ReadImage(str(paths[0]))
    else:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
        other = reader.Execute()
    values = SimpleITK.GetArrayFromImage(other).transpose(2, 1, 0).astype(float)
    # Every voxel of one reader is looked up in the other by its place in mm.
    index = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1).reshape(-1, 3)
    places = np.c_[index, np.ones(len(index))] @ itk_affine(other).T
    ours = places @ np.linalg.inv(volume.grid.canonical_affine).T
    rounded = np.round(ours[:, :3]).astype(int)
    assert np.abs(ours[:, :3] - rounded).max() < 1e-3
    assert np.allclose(volume.data[tuple(rounded.T)], values[tuple(index.T)])
    assert np.allclose(volume.grid.to_file(volume.data).max(), array().max() * 2.0 - 7)


def test_what_simpleitk_writes_is_read_in_the_same_place(tmp_path):
    image = SimpleITK.GetImageFromArray(array().transpose(2, 1, 0).astype(np.int16))
    turn = Rotation.from_euler("xyz", (15, -8, 30), degrees=True).as_matrix()
    image.SetDirection(turn.ravel().tolist())
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((3.0, -40.0, 12.0))
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    series = generate_uid()
    for z in range(image.GetDepth()):
        one = image[:, :, z]
        one.SetMetaData("0008|0060", "MR")
        one.SetMetaData("0020|000d", "1.2.3")
        one.SetMetaData("0020|000e", series)
        one.SetMetaData("0010|0020", "P1")
        one.SetMetaData(
            "0020|0032", "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, z))))
        )
        one.SetMetaData("0020|0037", "\\".join(map(str, [*turn[:, 0], *turn[:, 1]])))
        writer.SetFileName(str(tmp_path / f"{z}.dcm"))
        writer.Execute(one)
    volume = read_series(find_examination(tmp_path).series[0])
    assert np.allclose(volume.grid.affine, itk_affine(image), atol=1e-3)
    assert np.array_equal(volume.grid.to_file(volume.data), array())


def test_a_compressed_series_is_read(tmp_path):
    write_series(tmp_path, array(), affine(), syntax=RLELossless)
    volume = read_series(find_examination(tmp_path).series[0])
    assert np.array_equal(volume.grid.to_file(volume.data), array())


@pytest.mark.parametrize(
    ("description", "times", "tags", "modality"),
    [
        ("t1_mprage_sag", "t1", {}, Modality.T1),
        ("t1_mprage_sag", "t1", {"ContrastBolusAgent": "Gadovist"}, Modality.T1CE),
        ("t1_mprage_pre", "t1", {"ContrastBolusAgent": "Gadovist"}, Modality.T1),
        ("AX T1 POST GD", "t1", {}, Modality.T1CE),
        ("t2_tse_tra", "t2", {}, Modality.T2),
        ("t2_tirm_tra_dark-fluid", "flair", {}, Modality.FLAIR),
        ("t2_space", "flair", {}, Modality.FLAIR),
        ("Sag 3D", "flair", {}, Modality.FLAIR),
        ("Ax", "t2", {}, Modality.T2),
        ("Ax", "t1", {"ContrastBolusAgent": "Dotarem"}, Modality.T1CE),
        ("Ax", None, {}, None),
        ("t1_tse", "t2", {}, None),  # they disagree
    ],
)
def test_modality_of_a_series(tmp_path, description, times, tags, modality):
    write_series(tmp_path, array(), affine(), description=description, times=times, **tags)
    (series,) = find_examination(tmp_path).series
    assert series.modality is modality
    assert bool(series.reason) == (modality is not None or times == "t2")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "diffusion"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"Modality": "CT"}, "CT"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"Rows": None}, "without pixel data"),
        ({"SeriesDescription": "ep2d_diff_b1000"}, "diffusion"),
        ({"SeriesDescription": "SWI_Images"}, "susceptibility"),
        ({"SeriesDescription": "TOF 3D"}, "angiography"),
        ({"EncryptedAttributesSequence": [Dataset()]}, "encrypted"),
    ],
)
def test_what_is_none_of_the_four_is_left_out_by_name(tmp_path, tags, words):
    write_series(tmp_path / "good", array(), affine(), description="t1")
    write_series(tmp_path / "other", array(), affine(), SeriesNumber=2, **tags)
    found = find_examination(tmp_path)
    assert len(found.series) == 1
    assert words in found.left_out[0]


def _broken(tmp_path, number):
    """A series whose files are changed by a function of (index, dataset)."""
    paths = write_series(tmp_path / "other", array(), affine(), description="t2", times="t2")
    write_series(tmp_path / "good", array(), affine(), description="t1", SeriesNumber=2)
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        number(index, dataset)
        dataset.save_as(path)
    return paths


def tilt(index, dataset):
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y + 0.5 * index, z]


def turn_half(index, dataset):
    if index > 3:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def twice(index, dataset):
    if index == 4:
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], 5.0 + 3 * 3.0]


def echoes(index, dataset):
    dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], 5.0 + (index // 2) * 3.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (tilt, "tilted gantry"),
        (turn_half, "several orientations"),
        (twice, "more than once"),
        (echoes, "every slice 2 times"),
    ],
)
def test_slices_that_make_no_volume_are_left_out_by_name(tmp_path, change, words):
    _broken(tmp_path, change)
    found = find_examination(tmp_path)
    assert [series.modality for series in found.series] == [Modality.T1]
    assert words in found.left_out[0]


def test_missing_slices_are_named(tmp_path):
    paths = write_series(tmp_path / "other", array(), affine(), description="t2", times="t2")
    write_series(tmp_path / "good", array(), affine(), description="t1")
    paths[3].unlink()
    assert "slices 3 and 4 is 6 mm where it is 3 mm" in find_examination(tmp_path).left_out[0]


def test_a_slice_that_was_copied_twice_counts_once(tmp_path):
    paths = write_series(tmp_path, array(), affine())
    (tmp_path / "copy").write_bytes(paths[2].read_bytes())
    volume = read_series(find_examination(tmp_path).series[0])
    assert volume.grid.file_shape == SHAPE


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PatientID": "P2"}, "more than one patient"),
        ({"StudyInstanceUID": generate_uid()}, "more than one examination"),
    ],
)
def test_two_patients_or_examinations_are_refused_without_a_name(tmp_path, tags, words):
    write_series(tmp_path / "a", array(), affine())
    write_series(tmp_path / "b", array(), affine(), **tags)
    with pytest.raises(CaseError, match=words) as caught:
        find_examination(tmp_path)
    assert "P2" not in str(caught.value)


def test_of_several_series_the_one_that_covers_most_is_proposed(tmp_path):
    write_series(tmp_path / "a", array()[:, :, :6], affine(), description="t1 short")
    write_series(tmp_path / "b", array(), affine(), description="t1 long", SeriesNumber=2)
    found = find_examination(tmp_path)
    assert len(found.series) == 2
    assert found.chosen[Modality.T1].name.startswith("t1 long")
    other = found.choosing(Modality.T1, found.find_series("short"))
    assert other.chosen[Modality.T1].name.startswith("t1 short")


def test_pixels_that_are_not_there_are_an_error(tmp_path):
    paths = write_series(tmp_path, array(), affine())
    dataset = pydicom.dcmread(paths[0])
    del dataset.PixelData
    dataset.save_as(paths[0])
    with pytest.raises(CaseError, match=r"of .* has no pixel data; export"):
        read_series(find_examination(tmp_path).series[0])


def test_pixels_that_are_cut_off_are_an_error_that_names_the_series(tmp_path):
    paths = write_series(tmp_path, array(), affine(), description="t1")
    paths[3].write_bytes(paths[3].read_bytes()[:-40])
    with pytest.raises(CaseError, match=r"of t1.* cannot be decoded .*; export the series again"):
        read_series(find_examination(tmp_path).series[0])


def test_a_folder_without_any_brain_series_says_why(tmp_path):
    write_series(tmp_path, array(), affine(), Modality="CT")
    with pytest.raises(CaseError, match=r"no series that shows a brain.*CT"):
        find_examination(tmp_path)


def test_images_of_another_format_fill_what_the_dicom_lacks(tmp_path):
    write_series(tmp_path, array(), affine(), description="t1")
    for name in ("P1_t1.nii", "P1_t2.nii", "P1_seg.nii"):
        nib.Nifti1Image(array(), affine()).to_filename(tmp_path / name)
    found = find_examination(tmp_path)
    chosen = {modality: series.is_dicom for modality, series in found.chosen.items()}
    assert chosen == {Modality.T1: True, Modality.T2: False}
    assert [one.name for one in found.series if not one.is_dicom] == ["P1_t1.nii", "P1_t2.nii"]


def test_results_beside_dicom_do_not_stop_it(tmp_path):
    write_series(tmp_path, array(), affine(), description="t1")
    nib.Nifti1Image(array(), affine()).to_filename(tmp_path / "P1_seg.nii")
    assert set(find_examination(tmp_path).chosen) == {Modality.T1}


def test_images_are_taken_where_no_dicom_series_shows_a_brain(tmp_path):
    write_series(tmp_path, array(), affine(), description="localizer")
    nib.Nifti1Image(array(), affine()).to_filename(tmp_path / "P1_t2.nii")
    found = find_examination(tmp_path)
    assert set(found.chosen) == {Modality.T2}
    assert "localiser" in found.left_out[0]


def test_a_series_in_an_unknown_transfer_syntax_is_left_out_by_name(tmp_path):
    write_series(tmp_path / "1", array(), affine(), description="t1")
    for path in write_series(tmp_path / "2", array(), affine(), description="t2"):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.3.4.5.6")
        dataset.save_as(path, implicit_vr=False, little_endian=True)
    found = find_examination(tmp_path)
    assert set(found.chosen) == {Modality.T1}
    assert "t2" in found.left_out[0]
    assert "transfer syntax that no installed package decodes (1.2.3.4.5.6)" in found.left_out[0]


def test_files_that_may_be_encrypted_are_named(tmp_path):
    write_series(tmp_path, array(), affine(), description="t1")
    for name in ("IM9001", "IM9002"):
        (tmp_path / name).write_bytes(b"0\x82" + bytes(range(256)))
    assert "2 files without an image, the first is IM9001" in find_examination(tmp_path).left_out[0]


def test_files_that_only_begin_as_dicom_are_named(tmp_path):
    write_series(tmp_path, array(), affine(), description="t1")
    (tmp_path / "torn").write_bytes(bytes(128) + b"DICM" + bytes(range(200)))
    assert "1 file cannot be read, the first is torn" in find_examination(tmp_path).left_out[0]


def test_nothing_of_a_header_is_among_the_warnings_that_are_saved(tmp_path):
    write_series(tmp_path / "a", brain_volume(0).astype(np.int16), AFFINE, description="t1 Doe")
    write_series(tmp_path / "b", array(), affine(), description="adc Doe", SeriesNumber=2)
    case = prepare(find_examination(tmp_path))
    assert "1 of the series or files in its folder was left out" in " ".join(case.warnings)
    assert "Doe" not in " ".join((*case.warnings, *case.preparation.steps))
