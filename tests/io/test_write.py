from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_gliocam
from napari_gliocam.case import Modality
from napari_gliocam.errors import SaveError
from napari_gliocam.io import (
    read_case,
    read_labels,
    save_maps,
    save_segmentation,
    suggested_name,
)
from napari_gliocam.io.atomic import check_writable
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.sidecar import read_sidecar, written_here
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TUMOUR_ALONE

from ..small_case import on_disk

ORDERS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


@pytest.fixture
def saved(tmp_path, make_case, make_segmentation):
    """A case with its result, and where it may go."""
    case = make_case()
    return case, make_segmentation(case), tmp_path / "out" / "P1_seg.nii.gz"


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize(("axes", "signs"), ORDERS)
def test_each_voxel_order_comes_back(tmp_path, write_nifti, make_segmentation, axes, signs):
    affine = np.zeros((4, 4))
    for column, (axis, sign, size) in enumerate(zip(axes, signs, (1.0, 2.0, 3.0), strict=True)):
        affine[axis, column] = sign * size
    affine[:, 3] = 11, -7, 5, 1
    array = np.zeros((6, 8, 10), np.int16)
    array[2:4, 2:6, 2:8] = np.arange(48).reshape(2, 4, 6) + 1
    case = read_case(write_nifti(tmp_path / "P1_flair.nii", array, affine))
    segmentation = make_segmentation(case)
    path, _ = save_segmentation(segmentation, tmp_path / "P1_seg.nii", case=case)

    image = nib.load(path)
    assert image.shape == array.shape
    np.testing.assert_array_equal(image.affine, nib.load(case.sources[Modality.FLAIR]).affine)
    np.testing.assert_array_equal(image.dataobj, case.grid.to_file(segmentation.labels))
    # Read again it is the same: voxels and world positions.
    again = read_labels(path, case.grid)
    np.testing.assert_array_equal(again.expert.labels, segmentation.labels)
    np.testing.assert_array_equal(again.grid.canonical_affine, case.grid.canonical_affine)
    assert again.expert.scheme == "gliocam"


def test_header_codes_and_units_are_the_files_own(tmp_path, write_nifti, make_segmentation, lps):
    oblique = lps.copy()
    oblique[:3, :3] = nib.eulerangles.euler2mat(0.1, 0.2, 0.3) @ np.diag([0.5, 0.75, 5])

    def edit(header):
        header.set_sform(oblique, code="mni")
        header.set_qform(oblique, code="aligned")
        header.set_xyzt_units("mm", "sec")
        header["cal_max"], header["descrip"], header["db_name"] = 900, b"Mr. Smith", b"Smith"
        header["scl_slope"] = 3

    source = write_nifti(tmp_path / "P1_flair.nii.gz", affine=oblique, edit=edit)
    case = read_case(source)
    path, _ = save_segmentation(make_segmentation(case), tmp_path / "r_seg.nii.gz", case=case)
    old, new = nib.load(source).header, nib.load(path).header
    for key in ("sform_code", "qform_code", "xyzt_units", "pixdim", "srow_x", "srow_y", "srow_z"):
        np.testing.assert_array_equal(new[key], old[key], err_msg=key)
    for key in ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
        np.testing.assert_array_equal(new[key], old[key], err_msg=key)
    assert new.get_data_dtype() == np.uint8
    assert new.get_slope_inter() == (None, None)
    assert new["cal_max"] == 0
    assert new.get_intent()[0] == "label"
    assert b"Smith" not in nib.load(path).to_bytes()
    assert new["descrip"].item().startswith(b"napari-gliocam")


@pytest.mark.parametrize("kind", ["big-endian", "nifti-2", "4-D"])
def test_unusual_sources(tmp_path, make_blob, make_segmentation, kind):
    array = make_blob()
    if kind == "big-endian":
        image = nib.Nifti1Image(array, np.eye(4), nib.Nifti1Header(endianness=">"))
    elif kind == "nifti-2":
        image = nib.Nifti2Image(array, np.eye(4))
    else:
        image = nib.Nifti1Image(array[..., None], np.eye(4))
    nib.save(image, tmp_path / "P1_flair.nii")
    case = read_case(tmp_path)
    segmentation = make_segmentation(case)
    path, _ = save_segmentation(segmentation, tmp_path / "r_seg.nii.gz", case=case)
    assert nib.load(path).shape == array.shape
    assert isinstance(nib.load(path), nib.Nifti2Image) == (kind == "nifti-2")
    np.testing.assert_array_equal(read_labels(path).expert.labels, segmentation.labels)


def test_what_a_scanner_wrote_about_the_patient_is_left_out(
    tmp_path, make_blob, make_segmentation, lps
):
    image = nib.Nifti1Image(make_blob(), lps)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Mr. Smith"))
    nib.save(image, tmp_path / "P1_flair.nii")
    case = read_case(tmp_path)
    path, _ = save_segmentation(make_segmentation(case), tmp_path / "r_seg.nii", case=case)
    assert b"Smith" not in path.read_bytes()
    assert path.stat().st_size == 352 + make_blob().size


def test_the_result_of_another_case(saved, make_case):
    _, segmentation, path = saved
    with pytest.raises(SaveError, match="not one of Fall 8"):
        save_segmentation(segmentation, path, case=make_case(file_shape=(6, 7, 6), name="Fall 8"))


def test_a_case_made_by_code(saved):
    case, segmentation, path = saved
    files = save_segmentation(segmentation, path, case=case)
    assert files == [path, path.with_name("P1.json")]
    image = nib.load(path)
    np.testing.assert_allclose(image.affine, case.grid.affine)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    assert not leftovers(path.parent)


def test_overlapping_classes_are_kept(saved):
    case, segmentation, path = saved
    segmentation = replace(segmentation, settings=Thresholds(exclusive=False, tumour_threshold=0))
    segmentation.labels[0, 0, :3] = 1, 2, 3
    save_segmentation(segmentation, path, case=case)
    np.testing.assert_array_equal(read_labels(path).expert.labels, segmentation.labels)
    content = json.loads(path.with_name("P1.json").read_text(encoding="utf-8"))
    assert content["labels"]["3"] == "core and edema"


def test_the_json_beside_it(saved):
    case, segmentation, path = saved
    source = Path("/home/mueller/P1_flair.nii.gz")
    case = replace(case, sources={Modality.FLAIR: source}, warnings=("Something.",))
    _, described = save_segmentation(segmentation, path, case=case)
    text = described.read_text(encoding="utf-8")
    assert "/home" not in text
    content = json.loads(text)
    assert content["settings"]["tumour_threshold"] == 0.4
    assert content["volumes_ml"] == pytest.approx(segmentation.volumes_ml)
    assert content["labels"] == {"0": "background", "1": "core", "2": "edema"}
    assert content["sources"] == {"flair": "P1_flair.nii.gz"}
    assert content["missing"] == ["t1", "t1ce", "t2"]
    assert content["case"] == "Fall 7 Müller"
    assert content["warnings"] == ["Something."]
    assert content["version"] == napari_gliocam.__version__
    assert "not a medical device" in content["notice"]
    assert content["provenance"] == {
        "bundle": "bundle",
        "seconds": {"tumour": 1.5},
        "lost": None,
        "shape": [1, 2],
    }
    assert Thresholds(**content["settings"]) == segmentation.settings


@pytest.mark.parametrize(
    ("name", "described"),
    [("P1_seg.nii.gz", "P1.json"), ("a b.nii", "a b.json"), ("_seg.nii", "_seg.json")],
)
def test_where_the_json_lies(tmp_path, saved, name, described):
    case, segmentation, _ = saved
    files = save_segmentation(segmentation, tmp_path / name, case=case)
    assert [file.name for file in files] == [name, described]


def test_the_same_result_gives_the_same_bytes(tmp_path, saved):
    case, segmentation, _ = saved
    one, _ = save_segmentation(segmentation, tmp_path / "a.nii.gz", case=case)
    two, _ = save_segmentation(segmentation, tmp_path / "b.nii.gz", case=case)
    assert one.read_bytes() == two.read_bytes()


def test_maps(tmp_path, saved):
    case, segmentation, _ = saved
    segmentation.maps.core[0, 0, 0] = 1.0000001
    files = save_maps(segmentation.maps, case, tmp_path / on_disk("Ordner ä"))
    names = [
        f"{safe_name('Fall 7 Müller')}_{target}_map.nii.gz"
        for target in ("tumour", "core", "edema")
    ]
    assert [file.name for file in files] == names
    for file, target in zip(files, ("tumour", "core", "edema"), strict=True):
        image = nib.load(file)
        values = case.grid.from_file(np.asarray(image.dataobj))
        assert image.get_data_dtype() == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
        np.testing.assert_allclose(values, getattr(segmentation.maps, target), atol=1e-6)
    with pytest.raises(SaveError, match=r"tumour_map\.nii\.gz exists"):
        save_maps(segmentation.maps, case, tmp_path / on_disk("Ordner ä"))
    assert (
        len(save_maps(segmentation.maps, case, tmp_path / on_disk("Ordner ä"), overwrite=True)) == 3
    )


def test_no_map_of_an_earlier_result_stays_beside_new_ones(tmp_path, saved):
    """Maps of core and edema stayed beside labels of the tumour alone."""
    case, segmentation, _ = saved
    before = save_maps(segmentation.maps, case, tmp_path)
    foreign = tmp_path / before[2].name
    image = nib.load(foreign)
    image.header["descrip"] = b"of another program"
    nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header).to_filename(foreign)
    alone = replace(segmentation.maps, targets=TUMOUR_ALONE)
    save_maps(alone, case, tmp_path, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([before[0], foreign])


def test_a_name_that_is_no_file_name(tmp_path, saved):
    case, segmentation, _ = saved
    case = replace(case, name="../a/b:c")
    for file in save_maps(segmentation.maps, case, tmp_path / "x"):
        assert file.parent == tmp_path / "x"


@pytest.mark.parametrize("name", ["x.png", "x", "x.nii.zip"])
def test_other_suffixes(tmp_path, saved, name):
    case, segmentation, _ = saved
    with pytest.raises(SaveError, match=r"choose a name that does"):
        save_segmentation(segmentation, tmp_path / name, case=case)


# Nothing is lost -----------------------------------------------------------------------------


def test_existing_files_stay_unless_told(saved):
    case, segmentation, path = saved
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(SaveError, match="--overwrite") as caught:
        save_segmentation(segmentation, path, case=case)
    assert path.name in str(caught.value)
    assert [file.read_text() for file in path.parent.iterdir()] == ["old"]
    path.unlink()
    save_segmentation(segmentation, path, case=case)
    save_segmentation(segmentation, path, case=case, overwrite=True)


@pytest.mark.parametrize(
    "content", ['{"mine": 1}', '{"software": "napari-gliocam"}', "no json", "[" * 100_000, ""]
)
def test_a_json_of_another_is_never_replaced(saved, content):
    case, segmentation, path = saved
    path.parent.mkdir()
    other = path.with_name("P1.json")
    other.write_text(content)
    for overwrite in (False, True):
        with pytest.raises(SaveError, match=r"P1\.json exists and was not saved with P1_seg"):
            save_segmentation(segmentation, path, case=case, overwrite=overwrite)
    assert [file.name for file in path.parent.iterdir()] == ["P1.json"]
    assert other.read_text() == content


def test_the_json_of_other_labels_of_ours_is_never_replaced(tmp_path, saved):
    """``anna.nii.gz`` and ``anna_seg.nii.gz`` would share one json."""
    case, segmentation, _ = saved
    _, described = save_segmentation(segmentation, tmp_path / "anna.nii.gz", case=case)
    before = described.read_bytes()
    with pytest.raises(SaveError, match=r"anna\.json exists"):
        save_segmentation(segmentation, tmp_path / "anna_seg.nii.gz", case=case, overwrite=True)
    assert described.read_bytes() == before


def test_a_json_of_ours_does_not_make_the_experts_file_our_result(
    tmp_path, saved, write_nifti, make_segmentation
):
    case, segmentation, _ = saved
    values = np.zeros(case.grid.file_shape, np.uint8)
    values[0, 0, :3] = 1, 2, 4
    expert = write_nifti(tmp_path / "anna_seg.nii.gz", values, case.grid.affine)
    save_segmentation(segmentation, tmp_path / "anna.nii.gz", case=case)
    read = read_labels(expert, case.grid)
    assert (read.expert.scheme, read.own) == ("brats", False)
    assert read_sidecar(expert) == {}
    assert read_sidecar(tmp_path / "anna.nii.gz")["case"] == case.name


def test_labels_that_were_changed_after_they_were_saved(tmp_path, saved):
    case, segmentation, path = saved
    save_segmentation(segmentation, path, case=case)
    assert read_labels(path).warnings == ()
    assert read_sidecar(path)
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[0] = 1
    nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    (warning,) = [text for text in read_labels(path).warnings if "changed" in text]
    assert "P1.json" in warning
    assert read_sidecar(path) == {}
    # It is still the json of these labels: saving again replaces both.
    save_segmentation(segmentation, path, case=case, overwrite=True)
    assert read_sidecar(path)


def test_a_result_whose_header_another_program_dropped_is_known_by_its_checksum(saved):
    case, segmentation, path = saved
    path = path.with_name("P1_seg.nii")
    _, described = save_segmentation(segmentation, path, case=case)
    raw = bytearray(path.read_bytes())
    raw[148:228] = bytes(80)  # descrip
    path.write_bytes(raw)
    assert not written_here(path)
    content = json.loads(described.read_text(encoding="utf-8"))
    content["labels_file"]["sha256"] = hashlib.sha256(raw).hexdigest()
    described.write_text(json.dumps(content))
    assert written_here(path)


def test_a_second_rename_that_fails_puts_the_first_file_back(saved, monkeypatch):
    case, segmentation, path = saved
    save_segmentation(segmentation, path, case=case)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    segmentation.labels[:] = 0
    for error in (errno.EIO, KeyboardInterrupt):
        with monkeypatch.context() as patch:
            calls = []
            real = Path.replace

            def fail(self, target, calls=calls, real=real, error=error):
                calls.append(self)
                if len(calls) == 2:
                    raise KeyboardInterrupt if error is KeyboardInterrupt else OSError(error, "x")
                return real(self, target)

            patch.setattr(Path, "replace", fail)
            with pytest.raises((SaveError, KeyboardInterrupt)):
                save_segmentation(segmentation, path, case=case, overwrite=True)
        assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_first_save_whose_second_rename_fails_leaves_nothing(saved, monkeypatch):
    case, segmentation, path = saved
    refuse(monkeypatch, Path, "replace", errno.EIO, after=1)
    with pytest.raises(SaveError):
        save_segmentation(segmentation, path, case=case)
    assert list(path.parent.iterdir()) == []


def test_a_kill_between_the_two_renames_is_noticed(saved, monkeypatch):
    case, segmentation, path = saved
    save_segmentation(segmentation, path, case=case)
    described = path.with_name("P1.json")
    old = described.read_bytes()
    segmentation.labels[:] = 1
    save_segmentation(segmentation, path, case=case, overwrite=True)
    described.write_bytes(old)  # as if it had not come to it
    assert any("changed" in text for text in read_labels(path).warnings)


def test_two_writers_at_once_leave_labels_and_json_of_one(saved):
    case, segmentation, path = saved
    others = []
    for value in range(8):
        labels = np.full_like(segmentation.labels, value % 3)
        labels[0, 0, 0] = value // 3
        others.append(replace(segmentation, labels=labels))
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(save_segmentation, other, path, case=case, overwrite=True)
            for other in others * 3
        ]
        for job in jobs:
            job.result()
    content = json.loads(path.with_name("P1.json").read_text(encoding="utf-8"))
    assert content["labels_file"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sorted(file.name for file in path.parent.iterdir()) == ["P1.json", "P1_seg.nii.gz"]


def test_parts_of_a_killed_run_are_removed_by_the_next(saved):
    case, segmentation, path = saved
    code = (
        "import os, sys, pathlib; from napari_gliocam.io import atomic; "
        "atomic._take_places = lambda staged: os._exit(9); "
        "atomic.write_files({pathlib.Path(sys.argv[1]) / 'a.nii.gz': b'1'}, overwrite=True)"
    )
    path.parent.mkdir()
    (path.parent / ".mine.part").touch()
    killed = subprocess.run([sys.executable, "-c", code, str(path.parent)], check=False)
    assert killed.returncode == 9
    (part,) = [file for file in path.parent.iterdir() if file.name.startswith(".gliocam-")]
    os.utime(part, (0, 0))
    save_segmentation(segmentation, path, case=case)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        ".mine.part",
        "P1.json",
        "P1_seg.nii.gz",
    ]


def test_the_suggested_name_is_never_that_of_labels(tmp_path, write_case, make_segmentation):
    case = read_case(write_case(tmp_path, parts=("flair", "t1", "t1ce", "t2", "seg")))
    name = suggested_name(case)
    assert name == f"{case.name}_gliocam_seg.nii.gz"
    save_segmentation(make_segmentation(case), tmp_path / name, case=case)
    again = read_case(tmp_path)
    assert again.expert.source == case.expert.source
    np.testing.assert_array_equal(again.expert.labels, case.expert.labels)


@pytest.mark.parametrize("name", ["a" * 300, "Müller" * 60, "a" * 151, "中" * 100])
def test_a_long_name_fits_with_every_ending(tmp_path, saved, name):
    case, segmentation, _ = saved
    case = replace(case, name=name)
    save_segmentation(segmentation, tmp_path / suggested_name(case), case=case)
    save_maps(segmentation.maps, case, tmp_path)
    assert safe_name(safe_name(name)) == safe_name(name)
    assert safe_name(name + "1") != safe_name(name)


def test_where_nothing_can_be_written_is_found_before_the_work(tmp_path, monkeypatch):
    check_writable(tmp_path / "a" / "b", ["x.nii.gz"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SaveError, match=r"file is a file, not a folder"):
            check_writable(folder)
    with pytest.raises(SaveError, match="longer than the 255 bytes"):
        check_writable(tmp_path, ["x" * 300])
    refuse(monkeypatch, Path, "touch", errno.EROFS)
    with pytest.raises(SaveError, match="Read-only file system"):
        check_writable(tmp_path / "a")


def refuse(patch, owner, name, code, *, after=0):
    """Let a call fail with an error of the system, from the call after the first ``after`` on."""
    only = "xb" if name == "write_part" else None
    name = "open" if only else name
    real, calls = getattr(owner, name), []

    def fail(*args, **options):
        if only in (None, *args):
            calls.append(args)
        if len(calls) > after:
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    patch.setattr(owner, name, fail)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "code", "after"),
    [
        (os, "fsync", errno.ENOSPC, 0),
        (os, "fsync", errno.ENOSPC, 1),
        (Path, "write_part", errno.EACCES, 0),
        (Path, "write_part", errno.EROFS, 1),
        (Path, "replace", errno.EPERM, 0),
    ],
)
def test_what_lay_there_stays(saved, monkeypatch, owner, name, code, after, maps):
    case, segmentation, path = saved

    def save():
        if maps:
            return save_maps(segmentation.maps, case, path.parent, overwrite=True)
        return save_segmentation(segmentation, path, case=case, overwrite=True)

    before = {file: file.read_bytes() for file in save()}
    segmentation.labels[:] = 0
    segmentation.maps.tumour[:] = 0
    with monkeypatch.context() as patch:
        refuse(patch, owner, name, code, after=after)
        with pytest.raises(SaveError) as caught:
            save()
    message = str(caught.value)
    assert os.strerror(code) in message
    assert str(path.parent) in message
    assert message.endswith(".")
    assert isinstance(caught.value.__cause__, OSError)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    save()
    assert any(file.read_bytes() != before[file] for file in before)


def test_a_first_save_that_fails_leaves_nothing(saved, monkeypatch):
    case, segmentation, path = saved
    refuse(monkeypatch, os, "fsync", errno.ENOSPC)
    with pytest.raises(SaveError, match="No space left"):
        save_segmentation(segmentation, path, case=case)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path, saved):
    case, segmentation, _ = saved
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="could not be written"):
        save_segmentation(segmentation, tmp_path / "file" / "P1_seg.nii", case=case)
    (tmp_path / "x.nii").mkdir()
    with pytest.raises(SaveError, match="is a folder"):
        save_segmentation(segmentation, tmp_path / "x.nii", case=case)


@pytest.mark.skipif(os.name == "nt", reason="rights work otherwise on Windows")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(tmp_path, saved):
    case, segmentation, _ = saved
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SaveError, match="Permission denied"):
            save_segmentation(segmentation, tmp_path / "P1_seg.nii", case=case)
    finally:
        tmp_path.chmod(0o700)


def test_the_cases_own_files_are_never_replaced(tmp_path, write_case, make_segmentation):
    folder = write_case(tmp_path, parts=("flair", "t1ce", "t2", "seg"))
    case = read_case(folder)
    segmentation = make_segmentation(case)
    for target in (case.expert.source, case.sources[Modality.FLAIR]):
        before = target.read_bytes()
        with pytest.raises(SaveError, match="own files"):
            save_segmentation(segmentation, target, case=case, overwrite=True)
        assert target.read_bytes() == before


def test_a_result_in_the_cases_folder_is_no_expert_and_may_be_replaced(
    tmp_path, write_case, make_segmentation
):
    folder = write_case(tmp_path)
    case = read_case(folder)
    path = folder / f"{case.name}_seg.nii.gz"
    save_segmentation(make_segmentation(case), path, case=case)
    again = read_case(folder)
    assert again.expert is None
    assert f"{path.name} is a result of this program" in again.warnings[-1]
    assert read_labels(path).own
    save_segmentation(make_segmentation(again), path, case=again, overwrite=True)


def test_what_a_header_says_beside_the_image_is_left_out(tmp_path, write_nifti, make_segmentation):
    def edit(header):
        for field in ("data_type", "db_name", "aux_file", "descrip", "intent_name"):
            header[field] = b"Smith"

    case = read_case(write_nifti(tmp_path / "P1_flair.nii", edit=edit))
    path, _ = save_segmentation(make_segmentation(case), tmp_path / "r_seg.nii", case=case)
    assert b"Smith" not in path.read_bytes()


def test_a_real_case_comes_back(real_case, tmp_path, make_segmentation):
    case = read_case(real_case)
    segmentation = make_segmentation(case)
    segmentation.labels[:] = case.expert.labels
    path, _ = save_segmentation(segmentation, tmp_path / "r_seg.nii.gz", case=case)
    flair, image = nib.load(case.sources[Modality.FLAIR]), nib.load(path)
    np.testing.assert_array_equal(image.affine, flair.affine)
    for key in ("sform_code", "qform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(image.header[key], flair.header[key])
    np.testing.assert_array_equal(read_labels(path, case.grid).expert.labels, case.expert.labels)
