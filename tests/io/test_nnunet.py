"""The layout of nnU-Net: numbered channels, told by dataset.json."""

from __future__ import annotations

import json

from napari_gliocam.io.find import find_case, find_cases

from .test_find import names, touch


def make_nnunet(root, described=True, case="P01", channels=4):
    folder = touch(root / "imagesTr", *(f"{case}_{n:04d}.nii.gz" for n in range(channels)))
    touch(root / "labelsTr", f"{case}.nii.gz")
    if described:
        content = {"channel_names": {"0": "T2w", "1": "FLAIR", "2": "T1", "3": "T1ce"}}
        (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_nnunet_layout(tmp_path):
    folder = make_nnunet(tmp_path)
    make_nnunet(tmp_path, case="flair_02")
    one, two = find_cases(tmp_path)
    assert (one.name, two.name) == ("P01", "flair_02")
    assert names(one) == {
        "t1": "P01_0002.nii.gz",
        "t1ce": "P01_0003.nii.gz",
        "t2": "P01_0000.nii.gz",
        "flair": "P01_0001.nii.gz",
    }
    assert one.labels == tmp_path / "labelsTr" / "P01.nii.gz"
    assert find_case(folder / "P01_0003.nii.gz") == one == find_case(one.labels)


def test_nnunet_channels_that_cannot_be_told_are_refused(tmp_path):
    make_nnunet(tmp_path / "a", described=False)
    (files,) = find_cases(tmp_path / "a")
    assert "P01_0000.nii.gz" in files.problem
    assert "dataset.json" in files.problem
    assert "--flair" in files.problem
    assert len(files.unknown) == 4
    make_nnunet(tmp_path / "b", channels=3)
    (files,) = find_cases(tmp_path / "b")
    assert "lists 4 channels" in files.problem
