from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import find_case, find_cases, read_case, read_labels
from napari_gliocam.io.nifti import load_nifti

FLAIR, T1, T1CE, T2 = Modality.FLAIR, Modality.T1, Modality.T1CE, Modality.T2


@pytest.fixture
def one(tmp_path, write_nifti):
    """Write one FLAIR and read it; returns volume and case."""

    def read(array=None, **options):
        path = write_nifti(tmp_path / "P1_flair.nii.gz", array, **options)
        case = read_case(path)
        return case.volumes[FLAIR], case

    return read


@pytest.fixture
def fails(tmp_path, write_nifti):
    """Write one FLAIR, expect one sentence that names it; returns the sentence."""

    def read(array=None, **options):
        path = write_nifti(tmp_path / "P1_flair.nii.gz", array, **options)
        return sentence(path)

    return read


def sentence(path, names=None):
    with pytest.raises(CaseError) as caught:
        read_case(path)
    message = str(caught.value)
    for name in names or ["P1_flair.nii.gz"]:
        assert name in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_a_whole_case(tmp_path, write_case):
    parts = ("flair", "t1", "t1ce", "t2", "seg")
    folder = write_case(tmp_path / "Ordner mit Umlaut ä 中", parts=parts)
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


ORDERS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


@pytest.mark.parametrize(("axes", "signs"), ORDERS)
def test_each_voxel_order_gives_the_same_case(tmp_path, write_nifti, make_blob, lps, axes, signs):
    straight = make_blob((8, 9, 10))
    ornt = np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)], dtype=float)
    turned = nib.Nifti1Image(straight, lps).as_reoriented(ornt)
    path = write_nifti(tmp_path / "P1_flair.nii", np.asarray(turned.dataobj), turned.affine)
    case = read_case(path)
    expected = Grid(lps, straight.shape)
    np.testing.assert_array_equal(case.volumes[FLAIR], expected.from_file(straight))
    np.testing.assert_allclose(case.grid.canonical_affine, expected.canonical_affine, atol=1e-5)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "i8", "f4", "f8"])
def test_dtypes_and_byte_orders(tmp_path, make_blob, order, kind):
    array = make_blob(dtype=kind)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(kind))
    nib.save(nib.Nifti1Image(array, np.eye(4), header), tmp_path / "flair.nii.gz")
    case = read_case(tmp_path)
    volume = case.volumes[FLAIR]
    assert volume.dtype == (np.float32 if kind[0] == "f" else np.dtype(kind))
    assert volume.dtype.isnative
    np.testing.assert_array_equal(case.grid.to_file(volume), array)
    assert case.header.endianness == nib.volumeutils.native_code


def test_scale_factors(tmp_path, make_blob):
    image = nib.Nifti1Image(make_blob(), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    path = tmp_path / "flair.nii"
    nib.save(image, path)
    array = load_nifti(path).array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, nib.load(path).get_fdata())
    # In memory the background is 0, whatever it is in the file.
    case = read_case(path)
    volume = case.grid.to_file(case.volumes[FLAIR])
    np.testing.assert_allclose(volume, nib.load(path).get_fdata() - 10)
    assert case.warnings[0] == "flair.nii has a background of 10, which counts as 0."


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(
    slope=st.floats(0.001, 100),
    inter=st.floats(-1000, 1000),
    kind=st.sampled_from(["u1", "i2", "i4", "f4", "f8"]),
)
def test_any_scale_factor_gives_the_values_nibabel_gives(tmp_path, make_blob, slope, inter, kind):
    array = make_blob((6, 6, 6), dtype=kind)
    header = nib.Nifti1Header()
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, slope, inter
    path = tmp_path / "flair.nii"
    path.write_bytes(header.binaryblock + bytes(4) + array.tobytes("F"))
    expected = nib.load(path).get_fdata()
    np.testing.assert_allclose(load_nifti(path).array, expected, rtol=1e-5, atol=1e-3)


def test_nifti_2_and_a_name_that_lies_about_compression(tmp_path, make_blob):
    nib.save(nib.Nifti2Image(make_blob(), np.eye(4)), tmp_path / "x.nii")
    packed = gzip.compress((tmp_path / "x.nii").read_bytes())
    (tmp_path / "x.nii").rename(tmp_path / "P1_t1.nii.gz")
    (tmp_path / "P1_flair.nii").write_bytes(packed)
    case = read_case(tmp_path)
    assert set(case.volumes) == {T1, FLAIR}
    assert isinstance(case.header, nib.Nifti2Header)


def test_several_gzip_members(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:700]) + gzip.compress(raw[700:]))
    assert read_case(path).volumes[FLAIR].any()


def test_trailing_axis_of_length_one_and_one_slice(one, make_blob):
    volume, case = one(make_blob()[..., None])
    assert volume.ndim == 3
    _, case = one(make_blob((18, 17, 1)))
    assert case.grid.shape == (1, 17, 18)
    _, case = one(make_blob((18, 17, 1))[..., 0])
    assert case.grid.shape == (1, 17, 18)


def test_thin_and_thick_voxels(one, make_blob):
    volume, case = one(make_blob((64, 64, 5)), affine=np.diag([0.5, 0.5, 5, 1]))
    assert case.grid.spacing == (5, 0.5, 0.5)
    assert volume.shape == (5, 64, 64)
    assert case.warnings[-1] == "The case has no T1ce and no T2."


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


def test_qform_alone_gives_the_grid(one, lps):
    def spoil(header):
        header.set_qform(lps, code="scanner")
        header["sform_code"] = 0

    _, case = one(edit=spoil)
    np.testing.assert_allclose(case.grid.affine, lps, atol=1e-5)


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


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_gz(tmp_path, write_nifti, keep):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    assert "cut off" in sentence(path)


def test_a_flipped_byte_in_gz(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1  # the checksum
    path.write_bytes(raw)
    assert "damaged" in sentence(path)


@pytest.mark.parametrize("keep", [0, 100, 400, 5000])
def test_truncated_nii(tmp_path, write_nifti, keep):
    path = write_nifti(tmp_path / "P1_flair.nii")
    path.write_bytes(path.read_bytes()[:keep])
    assert ("cut off" if keep else "empty") in sentence(path, ["P1_flair.nii"])


@pytest.mark.parametrize("content", [b"DICM" * 500, gzip.compress(b"hello " * 500), b"\x1f\x8b"])
def test_not_a_nifti(tmp_path, content):
    path = tmp_path / "P1_flair.nii.gz"
    path.write_bytes(content)
    sentence(path)


def test_header_and_data_in_two_files(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[344:348] = b"ni1\0"
    path.write_bytes(raw)
    assert "with its data inside" in sentence(path)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.data())
def test_a_damaged_header_never_gives_a_traceback(tmp_path, write_nifti, data):
    path = write_nifti(tmp_path / "P1_flair.nii")
    raw = bytearray(path.read_bytes())
    for _ in range(3):
        raw[data.draw(st.integers(0, 347))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        read_case(path)
    except CaseError as error:
        assert "P1_flair" in str(error)  # noqa: PT017


def test_four_axes_where_three_are_meant(fails, make_blob):
    message = fails(np.stack([make_blob()] * 2, axis=-1))
    assert "4-D" in message
    assert "split it" in message


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "colour"),
        (np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")]), "colour"),
        (np.dtype(np.complex64), "complex"),
        (np.dtype(np.complex128), "complex"),
    ],
)
def test_colour_and_complex(fails, dtype, said):
    assert said in fails(np.ones((4, 4, 4), dtype=dtype))


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4, 0)])
def test_zero_sized(fails, shape):
    assert "no voxels" in fails(np.zeros(shape, np.int16))


def test_constant_and_zero(fails):
    assert "all zero" in fails(np.zeros((5, 5, 5), np.int16))
    assert "every voxel is 7" in fails(np.full((5, 5, 5), 7, np.float32))
    assert "all zero" in fails(np.full((5, 5, 5), np.nan, np.float32))


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_voxel_sizes_that_cannot_be(fails, size, axis):
    def spoil(header):
        header["pixdim"][axis] = size
        header["sform_code"] = 0 if size == -1 else 2

    assert "voxel size" in fails(edit=spoil)


def test_a_negative_voxel_size_beside_a_good_affine_is_accepted(one, lps):
    def spoil(header):
        header["pixdim"][1:4] = -1, 1, -1

    volume, case = one(edit=spoil)
    np.testing.assert_allclose(case.grid.affine, lps)
    assert case.grid.spacing == (1, 1, 1)
    assert volume.any()


def test_two_orientations_that_put_left_on_opposite_sides_are_said(one, lps):
    def spoil(header):
        mirrored = lps.copy()
        mirrored[0] *= -1
        header.set_qform(mirrored, code="scanner")

    _, case = one(edit=spoil)
    (said,) = [text for text in case.warnings if "opposite sides" in text]
    assert "P1_flair.nii.gz" in said

    def agree(header):
        header.set_qform(lps, code="scanner")

    assert not any("orientations" in text for text in one(edit=agree)[1].warnings)


# Files that are not there ---------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize(
    ("target", "remedy"),
    [(".git/annex/objects/Xk/MD5E-s8--1.nii.gz", "git annex get"), ("/gone/a.nii.gz", "copy")],
)
def test_a_link_to_nothing_names_its_target(tmp_path, write_case, target, remedy):
    folder = write_case(tmp_path)
    path = folder / "BraTS2021_00001_t2.nii.gz"
    path.unlink()
    path.symlink_to(target)
    for source in (folder, path):
        message = sentence(source, ["BraTS2021_00001_t2.nii.gz", target])
        assert remedy in message


@pytest.mark.parametrize(
    ("content", "target", "remedy"),
    [
        (b"/annex/objects/MD5E-s8--1.nii.gz\n", "MD5E-s8--1.nii.gz", "git annex get"),
        (b"../.git/annex/objects/Xk/zz/SHA-s8--2\n", "Xk/zz/SHA-s8--2", "git annex get"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 8\n",
            "sha256:4d7a",
            "git lfs pull",
        ),
    ],
)
def test_a_pointer_whose_content_was_not_fetched(tmp_path, write_case, content, target, remedy):
    folder = write_case(tmp_path)
    (folder / "BraTS2021_00001_t2.nii.gz").write_bytes(content)
    assert remedy in sentence(folder, ["BraTS2021_00001_t2.nii.gz", target])


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
def test_a_pipe_is_refused_at_once(tmp_path, write_case):
    folder = write_case(tmp_path)
    (folder / "BraTS2021_00001_t2.nii.gz").unlink()
    os.mkfifo(folder / "BraTS2021_00001_t2.nii.gz")
    assert "is a pipe" in sentence(folder, ["BraTS2021_00001_t2.nii.gz"])


# Impossible sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "units", "said"),
    [(10, 0, "450 × 1600 × 240 mm"), (1000, 3, "micrometres"), (0.001, 1, "metres")],
)
def test_a_head_of_impossible_size(tmp_path, write_nifti, scale, units, said):
    affine = np.diag([5 * scale, 16 * scale, scale, 1])

    def spoil(header):
        header["xyzt_units"] = units

    array = np.ones((9, 10, 24), np.int16)
    message = sentence(write_nifti(tmp_path / "P1_flair.nii.gz", array, affine, spoil))
    assert "as no head is" in message
    assert said in message


def test_more_voxels_than_any_image_of_a_head_are_refused_before_they_are_read(
    tmp_path, write_nifti
):
    def spoil(header):
        header["dim"][1:4] = 1000
        header["pixdim"][1:4] = 0.2
        header["srow_x"], header["srow_y"] = [0.2, 0, 0, 0], [0, 0.2, 0, 0]
        header["srow_z"] = [0, 0, 0.2, 0]

    path = write_nifti(tmp_path / "P1_flair.nii.gz", edit=spoil)
    assert "1,000,000,000 voxels" in sentence(path)


def test_a_stream_that_inflates_beyond_its_header_is_refused(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw + bytes(1000)))
    assert read_case(path).volumes[FLAIR].any()
    path.write_bytes(gzip.compress(raw + bytes(10**8), 1))
    tracemalloc.start()
    try:
        message = sentence(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "its header announces" in message
    assert peak < 10**7


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30, -400, 3])
def test_data_offsets_that_cannot_be(fails, value):
    def spoil(header):
        header["vox_offset"] = value

    fails(edit=spoil)


def test_a_brain_of_many_litres(tmp_path, write_nifti):
    head = np.zeros((30, 30, 30), np.int16)
    head[1:-1, 1:-1, 1:-1] = 7
    head[5, 5, 5] = 8
    path = write_nifti(tmp_path / "P1_flair.nii.gz", head, np.diag([10, 10, 10, 1]))
    assert "litres, more than any head" in sentence(path)


def test_bytes_behind_the_compressed_data_are_said(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(512))
    assert not any("goes on" in text for text in read_case(path).warnings)
    path.write_bytes(whole + b"--boundary--")
    assert "P1_flair.nii.gz goes on behind" in read_case(path).warnings[0]


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


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_affines_that_cannot_be(fails, value):
    def spoil(header):
        header["srow_y"] = value

    assert "affine" in fails(edit=spoil)


def test_an_affine_with_two_equal_axes(fails):
    def spoil(header):
        header["srow_x"], header["srow_y"] = [1, 1, 0, 0], [0, 0, 0, 0]
        header["srow_z"] = [0, 0, 1, 0]

    assert "affine" in fails(edit=spoil)


def test_a_quaternion_that_cannot_be(fails):
    def spoil(header):
        header["sform_code"], header["qform_code"] = 0, 1
        header["quatern_b"] = header["quatern_c"] = header["quatern_d"] = 1

    assert "orientation" in fails(edit=spoil)


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
    folder = write_case(tmp_path)
    lps[0, 3] += 1
    write_nifti(folder / "BraTS2021_00001_seg.nii.gz", np.ones((18, 17, 16), np.uint8), lps)
    sentence(folder, ["BraTS2021_00001_flair.nii.gz", "BraTS2021_00001_seg.nii.gz"])


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
