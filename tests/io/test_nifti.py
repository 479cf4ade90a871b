"""One NIfTI file, decoded and checked."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_case
from napari_gliocam.io.nifti import load_nifti

from .conftest import sentence

FLAIR, T1 = Modality.FLAIR, Modality.T1
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


def test_qform_alone_gives_the_grid(one, lps):
    def spoil(header):
        header.set_qform(lps, code="scanner")
        header["sform_code"] = 0

    _, case = one(edit=spoil)
    np.testing.assert_allclose(case.grid.affine, lps, atol=1e-5)


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


def test_bytes_behind_the_compressed_data_are_said(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "P1_flair.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(512))
    assert not any("goes on" in text for text in read_case(path).warnings)
    path.write_bytes(whole + b"--boundary--")
    assert "P1_flair.nii.gz goes on behind" in read_case(path).warnings[0]


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
