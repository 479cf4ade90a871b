"""What a folder holds to train on is told whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gliocam.ui.train.work import look_through

if TYPE_CHECKING:
    from pathlib import Path


def test_a_case_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for name in ("P01_flair.nii", "P01_t1ce.nii", "P02_flair.nii", "P02_flair_bet.nii"):
        (tmp_path / name[:3]).mkdir(exist_ok=True)
        (tmp_path / name[:3] / name).touch()
    found = look_through(tmp_path, tmp_path / "labels.csv")
    assert [files.name for files in found.cases] == ["P01"]
    assert len(found.warnings) == 1
    assert "two FLAIR files" in found.warnings[0]
