"""The layout of the Medical Segmentation Decathlon: one 4-D file a case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_gliocam.errors import CaseError
from napari_gliocam.io.find import find_case, find_cases

from .test_find import FLAIR, T1, T1CE, T2, touch


def make_msd(root: Path, channels=None) -> Path:
    touch(root / "imagesTr", "BRATS_001.nii.gz", "BRATS_002.nii.gz", "._BRATS_001.nii.gz")
    touch(root / "labelsTr", "BRATS_001.nii.gz")
    if channels is not None:
        (root / "dataset.json").write_text(json.dumps({"modality": channels}), encoding="utf-8")
    return root


def test_msd_layout(tmp_path):
    make_msd(tmp_path, {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"})
    one, two = find_cases(tmp_path)
    assert (one.name, two.name) == ("BRATS_001", "BRATS_002")
    assert one.volume_4d == tmp_path / "imagesTr" / "BRATS_001.nii.gz"
    assert list(one.modalities) == [FLAIR, T1, T1CE, T2]
    assert set(one.modalities.values()) == {one.volume_4d}
    assert one.labels == tmp_path / "labelsTr" / "BRATS_001.nii.gz"
    assert two.labels is None
    for path in (one.volume_4d, one.labels):
        assert find_case(path) == one


def test_msd_order_is_the_known_one_without_a_description(tmp_path):
    files = find_case(make_msd(tmp_path) / "imagesTr" / "BRATS_002.nii.gz")
    assert list(files.modalities) == [FLAIR, T1, T1CE, T2]
    alone = find_case(touch(tmp_path / "x", "BRATS_007.nii.gz"))
    assert list(alone.modalities) == [FLAIR, T1, T1CE, T2]


@pytest.mark.parametrize(
    "channels", [{"0": "FLAIR", "1": "DWI"}, {"0": "T1", "1": "T1"}, {}, {"a": "FLAIR"}, "x"]
)
def test_msd_channels_that_cannot_be_told(tmp_path, channels):
    make_msd(tmp_path, channels)
    with pytest.raises(CaseError, match=r"dataset\.json"):
        find_case(tmp_path / "imagesTr" / "BRATS_001.nii.gz")


def test_labels_of_the_msd_alone(tmp_path):
    folder = touch(tmp_path / "labelsTr", "BRATS_001.nii.gz")
    files = find_case(folder / "BRATS_001.nii.gz")
    assert files.labels == folder / "BRATS_001.nii.gz"
    assert not files.modalities
