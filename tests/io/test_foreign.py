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
    (tmp_path / "t1.nii.gz").touch()
    assert not holds_other_images(tmp_path)


def test_other_files_are_none(tmp_path):
    (tmp_path / "notes").write_text("a text that is longer than the four bytes that are read")
    (tmp_path / "notes.txt").write_bytes(bytes(128) + b"DICM")
    assert not holds_other_images(tmp_path)
    assert not holds_other_images(tmp_path / "missing")
