"""Which folders hold images of another format than NIfTI."""

from __future__ import annotations

import pytest

from napari_gliocam.io.foreign import holds_other_images


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("IM0001", bytes(128) + b"DICM"),
        ("1.2.840.113619", bytes(128) + b"DICM"),
        ("IM0002", b"\x08\x00\x05\x00CS"),  # without preamble
        ("head.NRRD", b"NRRD0004"),
        ("head.mgz", b""),
    ],
)
def test_other_images_are_found_one_level_below_too(tmp_path, name, content):
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / name).write_bytes(content)
    assert holds_other_images(tmp_path)
    assert holds_other_images(folder)
    assert holds_other_images(folder / name)
    for modality in ("t1ce", "t2", "flair"):
        (tmp_path / f"{modality}.nii.gz").touch()
    assert not holds_other_images(tmp_path)


@pytest.mark.parametrize(
    ("niftis", "study"),
    [
        (["P_flair", "P_t2"], True),  # the T1ce may be the DICOM
        (["P_seg"], True),  # a result that was saved into the folder of the study
        (["P_flair", "P_t2", "P_t1ce"], False),
        (["P_flair", "Q_flair"], False),
    ],
)
def test_dicom_beside_nifti_counts_where_the_case_lacks_a_modality(tmp_path, niftis, study):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "IM0001").write_bytes(bytes(128) + b"DICM")
    for name in niftis:
        (tmp_path / f"{name}.nii.gz").touch()
    assert holds_other_images(tmp_path) is study


def test_other_files_are_none(tmp_path):
    (tmp_path / "notes").write_text("a text that is longer than the four bytes that are read")
    (tmp_path / "notes.txt").write_bytes(bytes(128) + b"DICM")
    assert not holds_other_images(tmp_path)
    assert not holds_other_images(tmp_path / "missing")
