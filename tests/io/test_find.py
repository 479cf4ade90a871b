from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io.find import CaseFiles, find_case, find_cases

FLAIR, T1, T1CE, T2 = Modality.FLAIR, Modality.T1, Modality.T1CE, Modality.T2


def touch(folder: Path, *names: str) -> Path:
    """Make empty files: finding never opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def names(files: CaseFiles) -> dict[str, str]:
    return {modality: path.name for modality, path in files.modalities.items()}


BRATS = [f"BraTS2021_00006_{part}.nii.gz" for part in ("flair", "t1", "t1ce", "t2", "seg")]


def test_a_brats_folder(tmp_path):
    files = find_case(touch(tmp_path / "x", *BRATS))
    assert files.name == "BraTS2021_00006"
    assert list(files.modalities) == [T1, T1CE, T2, FLAIR]
    assert names(files)["flair"] == BRATS[0]
    assert files.labels.name == BRATS[4]
    assert files.unknown == ()
    assert files.volume_4d is None
    assert len(files.paths) == 5


@pytest.mark.parametrize("name", BRATS)
def test_any_file_of_a_case_leads_to_the_case(tmp_path, name):
    folder = touch(tmp_path, *BRATS, "BraTS2021_00007_flair.nii.gz", "BraTS2021_00007_seg.nii.gz")
    files = find_case(folder / name)
    assert files.name == "BraTS2021_00006"
    assert len(files.modalities) == 4
    assert files.labels.name == BRATS[4]


def test_the_folder_names_a_case_of_plain_names(tmp_path):
    folder = touch(tmp_path / "Pat. Müller 7", "FLAIR.nii.gz", "T1-CE.nii", "t2.nii.gz", "seg.nii")
    for path in (folder, folder / "t2.nii.gz", str(folder)):
        files = find_case(path)
        assert files.name == "Pat. Müller 7"
        assert names(files) == {"flair": "FLAIR.nii.gz", "t1ce": "T1-CE.nii", "t2": "t2.nii.gz"}
        assert files.labels.name == "seg.nii"


def test_the_name_does_not_depend_on_how_the_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(touch(tmp_path / "P7", "flair.nii.gz"))
    assert find_case(".").name == find_case("flair.nii.gz").name == "P7"


def test_plain_labels_belong_to_the_only_case(tmp_path):
    files = find_case(touch(tmp_path, "P01_flair.nii.gz", "t1c.nii.gz", "mask.nii.gz"))
    assert files.name == "P01"
    assert names(files) == {"flair": "P01_flair.nii.gz", "t1ce": "t1c.nii.gz"}
    assert files.labels.name == "mask.nii.gz"


def test_a_single_file_is_a_case_of_one_modality(tmp_path):
    touch(tmp_path, "P01_flair.nii.gz", "P02_t1.nii.gz")
    assert names(find_case(tmp_path / "P01_flair.nii.gz")) == {"flair": "P01_flair.nii.gz"}


def test_what_cannot_be_told_is_handed_over_not_guessed(tmp_path):
    touch(tmp_path, "P01_flair.nii.gz", "P01_adc.nii.gz", "other.nii.gz", "P01_core_map.nii.gz")
    files = find_case(tmp_path)
    assert [path.name for path in files.unknown] == ["P01_adc.nii.gz", "other.nii.gz"]
    # A file that only lies beside the case is no part of it.
    beside = find_case(tmp_path / "other.nii.gz")
    assert (beside.name, dict(beside.modalities)) == ("other", {})
    assert beside.unknown == (tmp_path / "other.nii.gz",)
    assert names(find_case(tmp_path / "P01_adc.nii.gz")) == {"flair": "P01_flair.nii.gz"}


def test_only_unknown_files(tmp_path):
    files = find_case(touch(tmp_path / "x", "a.nii.gz", "b.nii"))
    assert files.name == "x"
    assert len(files.unknown) == 2
    assert not files.modalities
    assert find_cases(tmp_path / "x") == [files]


def test_misnamed_labels_are_asked_for(tmp_path):
    files = find_case(touch(tmp_path, "BraTS20_Training_355_t1.nii", "W39_1998.09.19_Segm.nii"))
    assert files.labels is None
    assert [path.name for path in files.unknown] == ["W39_1998.09.19_Segm.nii"]


def test_two_label_files_are_asked_for(tmp_path):
    files = find_case(touch(tmp_path, "P01_t1.nii", "P01_seg.nii", "P01_gt.nii"))
    assert files.labels is None
    assert len(files.unknown) == 2


def test_a_saved_result_alone(tmp_path):
    folder = touch(tmp_path / "out", "P01_seg.nii.gz", "P01_core_map.nii.gz")
    files = find_case(folder)
    assert (files.name, dict(files.modalities)) == ("P01", {})
    assert find_case(folder / "P01_seg.nii.gz").labels == folder / "P01_seg.nii.gz"


def test_hidden_and_other_files_are_passed_over(tmp_path):
    files = find_case(touch(tmp_path, *BRATS, "._" + BRATS[0], "notes.txt", ".x.part"))
    assert len(files.paths) == 5


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ([], "holds no .nii"),
        (["notes.txt"], "holds no .nii"),
        ([*BRATS, "BraTS2021_00007_t1.nii.gz"], "BraTS2021_00006 and BraTS2021_00007"),
        (["a_flair.nii", "a_flair.nii.gz"], "a_flair.nii and a_flair.nii.gz"),
        (["flair.nii", "FLAIR_bet.nii"], "two FLAIR files"),
        (["a_t1.nii", "t1.nii"], "a_t1.nii and t1.nii"),
    ],
)
def test_bad_folders(tmp_path, present, said):
    folder = touch(tmp_path / "x", *present)
    with pytest.raises(CaseError, match=r"choose|open") as caught:
        find_case(folder)
    assert said in str(caught.value)


def test_missing_paths_and_other_files(tmp_path):
    with pytest.raises(CaseError, match=r"nowhere.nii does not exist"):
        find_case(tmp_path / "nowhere.nii")
    with pytest.raises(CaseError, match=r"nowhere does not exist"):
        find_cases(tmp_path / "nowhere")
    (tmp_path / "a.txt").touch()
    with pytest.raises(CaseError, match=r"a.txt is not a NIfTI file"):
        find_case(tmp_path / "a.txt")


def test_a_folder_of_cases_is_no_case(tmp_path):
    touch(tmp_path / "P01", "flair.nii")
    with pytest.raises(CaseError, match="choose one of the case folders in it"):
        find_case(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(_self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CaseError, match="Permission denied"):
        find_case(tmp_path)


def test_find_cases_in_nested_folders(tmp_path):
    touch(tmp_path / "HGG" / "b", *BRATS)
    touch(tmp_path / "HGG" / "a", "FLAIR.nii.gz", "T2.nii.gz")
    touch(tmp_path / "LGG", "c_flair.nii", "d_flair.nii", "d_seg.nii", "readme.nii")
    touch(tmp_path / "out" / "c", "c_seg.nii.gz", "c_core_map.nii.gz")
    touch(tmp_path / ".cache", "e_flair.nii")
    assert [files.name for files in find_cases(tmp_path)] == ["a", "BraTS2021_00006", "c", "d"]


def test_cases_of_the_same_name_are_told_apart(tmp_path):
    touch(tmp_path / "P01" / "anat", "flair.nii")
    touch(tmp_path / "P02" / "anat", "flair.nii")
    assert [files.name for files in find_cases(tmp_path)] == ["P01_anat", "P02_anat"]


def test_one_bad_case_does_not_stop_the_others(tmp_path):
    touch(tmp_path / "a", "flair.nii", "flair.nii.gz")
    touch(tmp_path / "b", "flair.nii")
    bad, good = find_cases(tmp_path)
    assert "two FLAIR files" in bad.problem
    assert good.problem is None


def test_find_cases_of_one_case_or_file(tmp_path):
    folder = touch(tmp_path, *BRATS)
    assert find_cases(folder) == [find_case(folder)] == find_cases(folder / BRATS[1])


def test_no_case_at_all(tmp_path):
    with pytest.raises(CaseError, match=r"holds no \.nii"):
        find_cases(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_but_not_in_a_circle(tmp_path):
    touch(tmp_path / "data" / "a", "flair.nii")
    root = touch(tmp_path / "root")
    (root / "a").symlink_to(tmp_path / "data" / "a")
    (root / "circle").symlink_to(root)
    assert [files.name for files in find_cases(root)] == ["a"]


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


def test_a_real_folder(real_case):
    files = find_case(real_case)
    assert files.name == real_case.name
    assert len(files.modalities) == 4
    assert files.labels is not None
