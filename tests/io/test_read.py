from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError, UnpreparedError
from napari_gliocam.io import find_case, find_cases, read_case, read_labels

from ..small_case import on_disk
from .conftest import sentence

FLAIR, T1, T1CE, T2 = Modality.FLAIR, Modality.T1, Modality.T1CE, Modality.T2


def test_a_whole_case(tmp_path, write_case):
    parts = ("flair", "t1", "t1ce", "t2", "seg")
    folder = write_case(tmp_path / on_disk("Ordner mit Umlaut ä 中"), parts=parts)
    case = read_case(folder)
    assert case.name == "BraTS2021_00001"
    assert list(case.volumes) == [T1, T1CE, T2, FLAIR]
    assert case.warnings == ()
    assert case.grid.spacing == (1, 1, 1)
    assert case.sources[T2].name == "BraTS2021_00001_t2.nii.gz"
    assert case.header.get_xyzt_units()[0] == "unknown"
    assert case.expert.scheme == "brats"
    assert case.expert.source.name == "BraTS2021_00001_seg.nii.gz"
    assert np.bincount(case.expert.labels.ravel())[1:].tolist() == [2, 2]
    for modality, volume in case.volumes.items():
        stored = np.asarray(nib.load(case.sources[modality]).dataobj)
        np.testing.assert_array_equal(case.grid.to_file(volume), stored)
        assert volume.dtype == np.int16
        assert volume.flags.writeable
        assert volume.flags.c_contiguous


def test_a_mask_in_the_place_of_an_image_is_said(one, make_blob):
    _, case = one(200 * (make_blob() > 0).astype(np.uint8))
    assert "holds one value besides its background" in " ".join(case.warnings)
    _, case = one()
    assert "one value" not in " ".join(case.warnings)


def test_oblique_grids_are_said(one):
    angle = np.deg2rad(10)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    _, case = one(affine=affine)
    assert any("oblique" in warning for warning in case.warnings)
    np.testing.assert_allclose(case.grid.affine, affine, atol=1e-6)


def test_missing_orientation_is_said(one):
    def spoil(header):
        header["sform_code"] = header["qform_code"] = 0

    _, case = one(edit=spoil)
    assert any("No orientation is stored in P1_flair.nii.gz" in text for text in case.warnings)


def test_missing_modalities_are_said_but_t1_is_not_needed(tmp_path, write_case):
    assert read_case(write_case(tmp_path / "a", parts=("flair", "t1ce", "t2"))).warnings == ()
    case = read_case(write_case(tmp_path / "b", parts=("t1", "t1ce")))
    assert case.warnings == ("The case has no T2 and no FLAIR.",)
    assert case.header is not None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nan_and_inf_are_cleaned_and_counted(one, make_blob, dtype):
    array = make_blob(dtype=dtype)
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    volume, case = one(array)
    assert np.isfinite(volume).all()
    assert case.grid.to_file(volume)[0, 0, :3].tolist() == [0, 0, 0]
    assert case.warnings[0] == "P1_flair.nii.gz is NaN or infinite in 3 voxels, which count as 0."


def test_values_beyond_float32_are_cleaned(one, make_blob):
    array = make_blob(dtype="f8")
    array[5, 5, 5] = 1e300
    assert one(array)[1].warnings[0].endswith("in 1 voxel, which count as 0.")


def test_a_head_in_clean_air_is_said(one):
    head = np.zeros((26, 26, 20), np.int16)
    head[4:22, 3:23, :18] = np.random.default_rng(0).integers(1, 99, (18, 20, 18))
    _, case = one(head, affine=np.diag([9, 9, 9, 1]))  # 4.7 litres
    assert "skull" in case.warnings[0]
    _, case = one(head, affine=np.diag([6, 6, 6, 1]))  # 1.4 litres, a brain
    assert not any("skull" in warning for warning in case.warnings)


def test_unknown_files_are_said(tmp_path, write_case, write_nifti):
    folder = write_case(tmp_path)
    write_nifti(folder / "BraTS2021_00001_adc.nii.gz")
    assert read_case(folder).warnings == (
        "Not read, because the name tells no modality: BraTS2021_00001_adc.nii.gz.",
    )


# Bad files -----------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    sentence(tmp_path / "P1_flair.nii.gz")


def test_a_file_that_went_away(tmp_path, write_case):
    files = find_case(write_case(tmp_path))
    files.modalities[T2].unlink()
    with pytest.raises(CaseError, match=r"_t2.nii.gz does not exist; check the path") as caught:
        read_case(files)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_four_axes_where_three_are_meant(fails, make_blob):
    message = fails(np.stack([make_blob()] * 2, axis=-1))
    assert "4-D" in message
    assert "split it" in message


def test_constant_and_zero(fails):
    assert "all zero" in fails(np.zeros((5, 5, 5), np.int16))
    assert "every voxel is 7" in fails(np.full((5, 5, 5), 7, np.float32))
    assert "all zero" in fails(np.full((5, 5, 5), np.nan, np.float32))


# Files that are not there ---------------------------------------------------------------------


# Impossible sizes -----------------------------------------------------------------------------


def test_a_brain_of_many_litres(tmp_path, write_nifti):
    head = np.zeros((30, 30, 30), np.int16)
    head[1:-1, 1:-1, 1:-1] = 7
    head[5, 5, 5] = 8
    path = write_nifti(tmp_path / "P1_flair.nii.gz", head, np.diag([10, 10, 10, 1]))
    assert "litres, more than any head" in sentence(path)


def test_grids_that_differ_by_rounding_agree(tmp_path, write_nifti, lps):
    angle = np.deg2rad(2.3)
    turned = np.eye(4)
    turned[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turned @ lps
    write_nifti(tmp_path / "P1_flair.nii.gz", affine=affine)
    write_nifti(tmp_path / "P1_t2.nii.gz", affine=np.round(affine, 5))
    affine[:3, 3] += 0.01
    write_nifti(tmp_path / "P1_t1.nii.gz", affine=affine)
    assert len(read_case(tmp_path).volumes) == 3


# Files that do not fit together ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((0, 3, 0.5), "position, by 0.5 mm"),
        ((2, 2, 0.1), "voxel size"),
        ((0, 1, 0.02), "direction"),
    ],
)
def test_grids_that_differ(tmp_path, write_nifti, lps, change, said):
    write_nifti(tmp_path / "P1_flair.nii.gz")
    row, column, amount = change
    lps[row, column] += amount
    write_nifti(tmp_path / "P1_t2.nii.gz", affine=lps)
    message = sentence(tmp_path, ["P1_flair.nii.gz", "P1_t2.nii.gz"])
    assert said in message
    assert "resample" in message


def test_sizes_that_differ(tmp_path, write_nifti, make_blob):
    write_nifti(tmp_path / "P1_flair.nii.gz")
    write_nifti(tmp_path / "P1_t2.nii.gz", make_blob((18, 17, 15)))
    message = sentence(tmp_path, ["P1_flair.nii.gz", "P1_t2.nii.gz"])
    assert "16 × 17 × 18 and 15 × 17 × 18 voxels" in message


def test_small_differences_are_accepted(tmp_path, write_nifti, lps):
    write_nifti(tmp_path / "P1_flair.nii.gz")
    write_nifti(tmp_path / "P1_t2.nii.gz", affine=lps + 5e-4 * np.eye(4, k=2))
    assert len(read_case(tmp_path).volumes) == 2


def test_two_orders_of_the_same_voxels_agree(tmp_path, write_nifti, make_blob, lps):
    write_nifti(tmp_path / "P1_flair.nii.gz")
    turned = nib.as_closest_canonical(nib.Nifti1Image(make_blob(), lps))
    write_nifti(tmp_path / "P1_t2.nii.gz", np.asarray(turned.dataobj), turned.affine)
    case = read_case(tmp_path)
    np.testing.assert_array_equal(case.volumes[FLAIR], case.volumes[T2])


def test_labels_on_another_grid(tmp_path, write_case, write_nifti, lps):
    """The remedy was to prepare the case, which leaves labels out."""
    folder = write_case(tmp_path)
    lps[0, 3] += 1
    write_nifti(folder / "BraTS2021_00001_seg.nii.gz", np.ones((18, 17, 16), np.uint8), lps)
    assert "resample the labels" in sentence(folder, ["BraTS2021_00001_seg.nii.gz"])
    with pytest.raises(CaseError) as caught:
        read_case(folder)
    assert not isinstance(caught.value, UnpreparedError)


def test_problems_of_a_folder(tmp_path, write_nifti):
    first = write_nifti(tmp_path / "P1_flair.nii.gz")
    write_nifti(tmp_path / "P1_flair.nii")
    sentence(tmp_path, ["P1_flair.nii.gz", "P1_flair.nii"])
    (files,) = find_cases(tmp_path)
    with pytest.raises(CaseError, match="two FLAIR files"):
        read_case(files)
    # Choosing by hand settles it.
    for source in (tmp_path, files):
        assert read_case(source, modalities={FLAIR: first}).sources == {FLAIR: first}


def test_modalities_chosen_by_hand(tmp_path, write_nifti, make_blob):
    a, b = (write_nifti(tmp_path / f"{name}.nii", make_blob(seed=ord(name))) for name in "ab")
    with pytest.raises(CaseError, match=r"a\.nii, b\.nii cannot be told .* rename"):
        read_case(tmp_path)
    case = read_case(tmp_path, modalities={T2: b, FLAIR: a})
    assert case.sources == {T2: b, FLAIR: a}
    assert case.warnings == ("The case has no T1ce.",)
    with pytest.raises(CaseError, match=r"a\.nii was chosen both as T2 and as FLAIR"):
        read_case(tmp_path, modalities={T2: a, FLAIR: a})


def test_labels_alone_are_no_case(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_seg.nii.gz", np.ones((4, 4, 4), np.uint8))
    with pytest.raises(CaseError, match="only labels; add its FLAIR"):
        read_case(path)


# Labels --------------------------------------------------------------------------------------


def labels_array(*values, dtype=np.uint8):
    array = np.zeros((6, 5, 4), dtype)
    array[0, 0, : len(values)] = values
    return array


def test_scheme_is_detected_and_can_be_changed(tmp_path, write_case, write_nifti, make_blob):
    folder = write_case(tmp_path)
    seg = np.zeros(make_blob().shape, np.uint8)
    seg[0, 0, :3] = 1, 2, 3
    write_nifti(folder / "BraTS2021_00001_seg.nii.gz", seg)
    case = read_case(folder)
    assert case.expert.scheme == "brats-2023"
    other = read_case(folder, label_scheme="msd")
    assert other.expert.scheme == "msd"
    assert (case.expert.labels == 1).sum() == (other.expert.labels == 1).sum() == 2
    assert not np.array_equal(case.expert.labels, other.expert.labels)
    with pytest.raises(CaseError, match='There is no label scheme "x"'):
        read_case(folder, label_scheme="x")
    with pytest.raises(CaseError, match=r"_seg\.nii\.gz: The label values 3 .*'brats'"):
        read_case(folder, label_scheme="brats")


def test_unknown_label_values_name_the_file(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_seg.nii.gz", labels_array(1, 6, 9))
    with pytest.raises(CaseError, match=r"P1_seg\.nii\.gz: The label values 1, 6, 9 "):
        read_labels(path)


def test_labels_as_floats_and_without_lesion(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "BraTS_seg.nii.gz", labels_array(1, 2, 4, dtype=np.float64))
    file = read_labels(path)
    assert sorted(file.expert.labels.ravel().tolist())[-3:] == [1, 1, 2]
    assert file.grid.shape == (4, 5, 6)
    assert file.warnings == ()
    path = write_nifti(tmp_path / "BraTS_seg.nii.gz", labels_array())
    assert not read_labels(path).expert.labels.any()


def test_labels_in_doubt_are_said(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_seg.nii.gz", labels_array(1, 2, 3))
    (warning,) = read_labels(path).warnings
    assert "P1_seg.nii.gz" in warning
    assert "BraTS 2023" in warning
    assert read_labels(path, scheme="msd").warnings == ()
    assert read_labels(path, case_name="BraTS-GLI-00000-000").warnings == ()


def test_labels_off_by_a_rounding_error_are_accepted(tmp_path, write_nifti):
    exact = labels_array(1, 2, 4, dtype=np.float32)
    path = write_nifti(tmp_path / "BraTS_seg.nii.gz", exact * np.float32(1.00001))
    near = read_labels(path).expert.labels
    write_nifti(path, exact)
    np.testing.assert_array_equal(near, read_labels(path).expert.labels)
    write_nifti(path, exact * np.float32(1.1))
    with pytest.raises(CaseError, match=r"label values 1\.1"):
        read_labels(path)


def test_values_that_one_scheme_alone_has_are_no_doubt(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_seg.nii.gz", labels_array(1, 2, 3, 4))
    file = read_labels(path)
    assert file.expert.scheme == "brats-2023"
    assert file.warnings == ()


@pytest.mark.parametrize("name", ["mask", "seg", "P01_mask"])
def test_a_mask_of_the_whole_brain_is_no_expert_outline(tmp_path, write_case, write_nifti, name):
    folder = write_case(tmp_path, name="P01")
    brain = read_case(folder).brain
    grid = read_case(folder).grid
    path = write_nifti(folder / f"{name}.nii.gz", grid.to_file(brain).astype(np.uint8))
    case = read_case(folder)
    assert case.expert is None
    assert f"{path.name} covers the whole brain" in case.warnings[-1]
    part = brain.copy()
    part[brain.nonzero()[0].mean().astype(int) :] = False  # half of it
    write_nifti(path, grid.to_file(part).astype(np.uint8))
    assert read_case(folder).expert is not None


def test_labels_must_be_one_volume_on_the_grid(tmp_path, write_nifti, lps):
    path = write_nifti(tmp_path / "P1_seg.nii.gz", np.ones((3, 3, 3, 2), np.uint8))
    with pytest.raises(CaseError, match="4-D"):
        read_labels(path)
    path = write_nifti(tmp_path / "P1_seg.nii.gz", labels_array(1))
    with pytest.raises(CaseError, match=r"another grid .* resample"):
        read_labels(path, Grid(lps, (7, 5, 4)))
    assert read_labels(path, Grid(lps, (6, 5, 4))).expert.labels.sum() == 1


# The Decathlon -------------------------------------------------------------------------------


@pytest.fixture
def msd(tmp_path, write_nifti, make_blob):
    channels = [make_blob(seed=seed, dtype=np.float32) for seed in range(4)]
    path = write_nifti(tmp_path / "imagesTr" / "BRATS_001.nii.gz", np.stack(channels, axis=-1))
    labels = np.zeros(channels[0].shape, np.uint8)
    labels[0, 0, :3] = 1, 2, 3
    write_nifti(tmp_path / "labelsTr" / "BRATS_001.nii.gz", labels)
    return path, channels


def test_msd(msd):
    path, channels = msd
    case = read_case(path)
    assert case.warnings == ()
    assert case.expert.scheme == "msd"
    assert np.bincount(case.expert.labels.ravel())[1:].tolist() == [2, 1]
    for modality, channel in zip((FLAIR, T1, T1CE, T2), channels, strict=True):
        np.testing.assert_array_equal(case.grid.to_file(case.volumes[modality]), channel)


def test_msd_order_from_its_description(msd):
    path, channels = msd
    order = {"0": "T2w", "1": "FLAIR", "2": "T1w", "3": "t1gd"}
    description = path.parent.parent / "dataset.json"
    description.write_text(json.dumps({"modality": order}), encoding="utf-8")
    case = read_case(path)
    np.testing.assert_array_equal(case.grid.to_file(case.volumes[T2]), channels[0])
    description.write_text(json.dumps({"modality": {"0": "T2w"}}), encoding="utf-8")
    with pytest.raises(CaseError, match=r"BRATS_001\.nii\.gz is .* correct dataset\.json"):
        read_case(path)


def test_msd_name_on_a_3d_file(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "BRATS_003.nii.gz")
    with pytest.raises(CaseError, match=r"BRATS_003\.nii\.gz .* rename"):
        read_case(path)


def test_msd_channel_that_is_empty(msd):
    path, channels = msd
    channels[1][:] = 0
    nib.save(nib.Nifti1Image(np.stack(channels, -1), np.eye(4)), path)
    with pytest.raises(CaseError, match=r"The T1 of BRATS_001\.nii\.gz is all zero"):
        read_case(replace(find_case(path), labels=None))


# The real cases ------------------------------------------------------------------------------


def test_real_cases(real_case):
    case = read_case(real_case)
    assert case.warnings == ()
    assert case.grid.shape == (155, 240, 240)
    assert case.grid.spacing == (1, 1, 1)
    assert set(case.volumes) == set(Modality)
    assert case.expert.scheme == "brats"
    flair = nib.load(case.sources[FLAIR])
    np.testing.assert_array_equal(case.grid.to_file(case.volumes[FLAIR]), flair.dataobj)
    raw = np.asarray(nib.load(case.expert.source).dataobj)
    expert = case.grid.to_file(case.expert.labels)
    np.testing.assert_array_equal(expert == 1, np.isin(raw, [1, 4]))
    np.testing.assert_array_equal(expert == 2, raw == 2)


def test_a_real_file_cut_in_half(real_case, tmp_path):
    source = find_case(real_case).modalities[T1]
    path = tmp_path / source.name
    shutil.copyfile(source, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut off" in sentence(path, [path.name])


def test_reading_needs_no_torch_and_no_window():
    code = (
        "import sys, napari_gliocam.io; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'napari', 'qtpy', 'vispy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
