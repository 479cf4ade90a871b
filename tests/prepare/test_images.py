from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io.naming import parse_name
from napari_gliocam.prepare.examination import find_examination, read_series
from napari_gliocam.prepare.images import read_image

AFFINE = np.eye(4)
AFFINE[:3, :3] = Rotation.from_euler("xyz", (10, -5, 8), degrees=True).as_matrix() @ np.diag(
    (-1.5, 2.0, 3.0)
)
AFFINE[:3, 3] = (20.0, -30.0, 5.0)
VALUES = np.random.default_rng(0).integers(0, 500, (9, 10, 11)).astype(np.int16)


def save(path) -> None:
    """The same volume in the format of the path's name."""
    if path.name.endswith((".nii.gz", ".nii")):
        nib.Nifti1Image(VALUES, AFFINE).to_filename(path)
    elif path.suffix == ".mgz":
        nib.MGHImage(VALUES.astype(np.float32), AFFINE).to_filename(path)
    else:
        nifti = path.with_name("between.nii")
        nib.Nifti1Image(VALUES, AFFINE).to_filename(nifti)
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(path))
        nifti.unlink()


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mgz", ".nrrd", ".mha", ".mhd", ".nhdr"])
def test_every_format_gives_the_same_volume_in_the_same_place(tmp_path, suffix):
    path = tmp_path / f"P1_flair{suffix}"
    save(path)
    volume = read_image(path)
    assert np.array_equal(volume.grid.to_file(volume.data), VALUES)
    assert np.allclose(volume.grid.affine, AFFINE, atol=1e-3)
    found = find_examination(tmp_path)
    assert (found.name, list(found.chosen)) == ("P1", [Modality.FLAIR])
    assert read_series(found.series[0]).data.dtype == np.float32


def test_an_analyze_pair_warns_of_its_sides(tmp_path):
    nib.AnalyzeImage(VALUES, np.diag([-1.0, 1, 1, 1])).to_filename(tmp_path / "flair.hdr")
    volume = read_image(tmp_path / "flair.hdr")
    assert volume.data.size == VALUES.size
    assert "check that left is left" in volume.notes[0]


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz", ".nrrd", ".mha"])
def test_a_damaged_file_is_one_sentence(tmp_path, suffix):
    path = tmp_path / f"flair{suffix}"
    path.write_bytes(b"no image at all" * 30)
    with pytest.raises(CaseError, match=f"flair{suffix} .*;"):
        read_image(path)


def test_labels_are_no_series(tmp_path):
    save(tmp_path / "P1_t2.mha")
    save(tmp_path / "P1_seg.mha")
    found = find_examination(tmp_path)
    assert [series.name for series in found.series] == ["P1_t2.mha"]
    assert found.left_out == (
        "P1_seg.mha holds labels, which are not brought onto the case's grid.",
    )


def test_two_cases_of_a_folder_are_never_mixed(tmp_path):
    for case in ("P", "Q"):
        save(tmp_path / f"{case}_t1ce.nii")
        save(tmp_path / f"{case}_flair.nrrd")
    with pytest.raises(CaseError, match="two or more cases, P and Q; choose a file"):
        find_examination(tmp_path)
    found = find_examination(tmp_path / "Q_flair.nrrd")
    assert found.name == "Q"
    assert {path.name for s in found.series for path in s.paths} == {"Q_t1ce.nii", "Q_flair.nrrd"}


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("p_t2 p_flair q_t1ce", "p_t2 p_flair"),
        ("smith_t2 smith_t1ce jones_flair", "smith_t2 smith_t1ce"),
        ("P01_t2 P01_flair Q02_t1ce", "P01_t2 P01_flair"),
        ("3_t2 3_flair blade_t1ce", "3_t2 3_flair blade_t1ce"),
        ("p_t2 p_flair p_9_t1ce", "p_t2 p_flair p_9_t1ce"),
        ("3_FLAIR 12_T1_post 5_T2", "3_FLAIR 12_T1_post 5_T2"),
        ("s3_FLAIR s3_T2 s12_t1_gd", "s3_FLAIR s3_T2 s12_t1_gd"),
        ("ax_t2 sag_flair cor_t1_gd", "ax_t2 sag_flair cor_t1_gd"),
        ("t2_tse_tra_p2 t2_flair_tra_p2 t1_km", "t2_tse_tra_p2 t2_flair_tra_p2 t1_km"),
        (
            "Head_t2_blade Head_t2_flair_blade Head_t1_gd",
            "Head_t2_blade Head_t2_flair_blade Head_t1_gd",
        ),
        ("blade_t2 dark_flair bravo_t1ce", "blade_t2 dark_flair bravo_t1ce"),
    ],
)
def test_an_image_of_another_name_is_asked_for_and_series_are_not(tmp_path, names, taken):
    for name in names.split():
        save(tmp_path / f"{name}.mha")
    found = find_examination(tmp_path)
    assert {series.name for series in found.chosen.values()} == {f"{n}.mha" for n in taken.split()}
    for name in set(names.split()) - set(taken.split()):
        (said,) = found.left_out
        assert said.startswith(f"{name}.mha is not taken")
        modality = parse_name(name).modality
        found = found.choosing(modality, found.find_series(name))
        assert len(found.chosen) == len(names.split())
        assert not found.left_out


def test_cases_whose_files_are_called_by_their_modality_are_told_apart_by_their_folders(tmp_path):
    for name in ("P/anat/t1ce.nii", "P/anat/flair.nii", "Q/anat/t2.nii", "Q/anat/flair.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name)
    with pytest.raises(CaseError, match="two or more cases, P/anat and Q/anat; choose a file"):
        find_examination(tmp_path)
    assert set(find_examination(tmp_path / "Q").chosen) == {Modality.T2, Modality.FLAIR}
    assert find_examination(tmp_path / "Q").name == "Q"


def test_one_case_may_have_a_folder_for_each_series(tmp_path):
    for name in ("t1ce", "flair", "t2"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / f"{name}.nii")
    assert len(find_examination(tmp_path).chosen) == 3


def test_a_colour_image_is_refused(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "t2.mha"))
    with pytest.raises(CaseError, match=r"t2.mha is a colour"):
        read_image(tmp_path / "t2.mha")


@pytest.mark.parametrize(
    ("names", "words"),
    [([], "choose the folder of an examination"), (["a.mha", "b.mha"], "choose them with --t1ce")],
)
def test_a_folder_that_tells_nothing_asks(tmp_path, names, words):
    for name in names:
        save(tmp_path / name)
    with pytest.raises(CaseError, match=words):
        find_examination(tmp_path).reference  # noqa: B018


def test_a_constant_volume_is_refused(tmp_path):
    nib.Nifti1Image(np.full((4, 5, 6), 7, np.int16), AFFINE).to_filename(tmp_path / "t2.nii")
    with pytest.raises(CaseError, match=r"t2.nii is constant"):
        read_image(tmp_path / "t2.nii")


@pytest.mark.parametrize("kind", ["random", "standard_normal", "standard_exponential"])
def test_noise_is_refused(tmp_path, kind):
    noise = getattr(np.random.default_rng(0), kind)((30, 40, 24)).astype(np.float32)
    nib.Nifti1Image(noise, AFFINE).to_filename(tmp_path / "t2.nii")
    with pytest.raises(CaseError, match=r"t2.nii is noise"):
        read_image(tmp_path / "t2.nii")
    noise[10:20, 10:30] += 5 * noise.std()  # an image under noise is none
    nib.Nifti1Image(noise, AFFINE).to_filename(tmp_path / "t2.nii")
    assert read_image(tmp_path / "t2.nii").data.std() > 0


def test_a_few_bright_voxels_are_not_judged_as_noise(tmp_path):
    """A correlation of equal values is no number, which numpy warns of."""
    data = np.zeros((30, 40, 24), np.float32)
    data[1::6, 1::6, 1::6] = 1
    nib.Nifti1Image(data, AFFINE).to_filename(tmp_path / "t2.nii")
    assert read_image(tmp_path / "t2.nii").data.max() == 1
