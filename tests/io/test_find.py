from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError, UnpreparedError
from napari_gliocam.io.find import CaseFiles, case_of_files, find_case, find_cases, look_up
from napari_gliocam.io.naming import readable
from napari_gliocam.io.read import read_case

from ..small_case import on_disk

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
    folder = touch(
        tmp_path / on_disk("Pat. Müller 7"), "FLAIR.nii.gz", "T1-CE.nii", "t2.nii.gz", "seg.nii"
    )
    for path in (folder, folder / "t2.nii.gz", str(folder)):
        files = find_case(path)
        assert files.name == readable(on_disk("Pat. Müller 7"))
        assert names(files) == {"flair": "FLAIR.nii.gz", "t1ce": "T1-CE.nii", "t2": "t2.nii.gz"}
        assert files.labels.name == "seg.nii"


def test_a_folder_with_the_name_of_a_file_is_the_file_in_it_or_is_missed(tmp_path):
    folder = touch(tmp_path / "P7", "P7_flair.nii", "P7_t1ce.nii")
    touch(folder / "P7_t2.nii", "P7_t2.nii")
    (folder / "P7_t1.nii.gz").mkdir()
    files = find_case(folder)
    assert files.modalities[T2] == folder / "P7_t2.nii" / "P7_t2.nii"
    assert files.modalities[T1] == folder / "P7_t1.nii.gz", "refused when it is read"


SERIES = {
    "number first": ("2_T1", "3_FLAIR", "4_T2", "12_T1_post"),
    "number last": ("T1_2", "FLAIR_3", "T2_4", "T1ce_5"),
    "a letter": ("s2-t1", "s3-flair", "s4-t2", "s5-t1ce"),
    "words of scanners": (
        "002_t1_mprage",
        "003_t2_tirm_dark-fluid_tra",
        "004_t2_tse",
        "007_t1_mprage_km",
    ),
    "name of the folder": ("P7_2_T1", "P7_3_FLAIR", "P7_4_T2", "P7_5_T1ce"),
}


@pytest.mark.parametrize("written", SERIES.values(), ids=SERIES)
def test_files_named_by_the_numbers_of_their_series_are_one_case(tmp_path, written):
    folder = touch(tmp_path / "P7", *(f"{name}.nii.gz" for name in written), "seg.nii.gz")
    files = find_case(folder)
    assert files.name == "P7"
    assert list(names(files).values()) == [f"{written[k]}.nii.gz" for k in (0, 3, 2, 1)]
    assert files.labels.name == "seg.nii.gz"
    assert find_case(folder / f"{written[1]}.nii.gz").modalities == files.modalities


@pytest.mark.parametrize(
    "present",
    [
        ("1_flair", "2_t2"),  # two patients may have one image each
        ("1_flair", "2_t2", "3_t1ce", "4_flair"),
        ("pat_1_flair", "pat_2_t2", "pat_3_t1ce"),
    ],
)
def test_numbers_that_may_be_those_of_patients_are_refused_with_the_names(tmp_path, present):
    folder = touch(tmp_path / "P7", *(f"{name}.nii.gz" for name in present))
    problems = [files.problem for files in find_cases(folder)]
    assert len(problems) == len(present)
    assert all(any(name in problem for name in present) for problem in problems)


def test_the_name_does_not_depend_on_how_the_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(touch(tmp_path / "P7", "flair.nii.gz"))
    assert find_case(".").name == find_case("flair.nii.gz").name == "P7"


def test_plain_labels_belong_to_the_only_case(tmp_path):
    files = find_case(touch(tmp_path, "P01_flair.nii.gz", "t1c.nii.gz", "mask.nii.gz"))
    assert files.name == "P01"
    assert names(files) == {"flair": "P01_flair.nii.gz", "t1ce": "t1c.nii.gz"}
    assert files.labels.name == "mask.nii.gz"


def test_a_single_file_is_a_case_of_one_modality(tmp_path):
    touch(tmp_path, "P01_flair.nii.gz", "P02_flair.nii.gz")
    assert names(find_case(tmp_path / "P01_flair.nii.gz")) == {"flair": "P01_flair.nii.gz"}


def test_what_cannot_be_told_is_handed_over_not_guessed(tmp_path):
    touch(tmp_path, "P01_adc.nii.gz", "P01_new.nii.gz", "other.nii.gz", "P01_core_map.nii.gz")
    touch(tmp_path, *(f"P01_{part}.nii.gz" for part in ("flair", "t1", "t1ce", "t2")))
    files = find_case(tmp_path)
    unknown = ["P01_adc.nii.gz", "P01_new.nii.gz", "other.nii.gz"]
    assert [path.name for path in files.unknown] == unknown
    assert set(names(find_case(tmp_path / "P01_adc.nii.gz"))) == {"flair", "t1", "t1ce", "t2"}
    # Beside several cases it is no part of either.
    touch(tmp_path, *(f"P02_{part}.nii.gz" for part in ("flair", "t1", "t1ce", "t2")))
    beside = find_case(tmp_path / "other.nii.gz")
    assert (beside.name, dict(beside.modalities)) == ("other", {})
    assert beside.unknown == (tmp_path / "other.nii.gz",)


@pytest.mark.parametrize("strange", ["P01_mprage.nii.gz", "IM_0007.nii.gz", "P01_post_T1.nii.gz"])
def test_a_modality_may_be_missing_or_under_a_strange_name_but_not_both(tmp_path, strange):
    touch(tmp_path, *(f"P01_{part}.nii.gz" for part in ("flair", "t1ce", "t2")), strange)
    files = look_up(tmp_path)
    assert strange in files.problem
    assert "no T1" in files.problem
    assert "--t1" in files.problem
    assert "panel" in files.problem
    assert files.choice
    assert [path.name for path in files.unknown] == [strange]
    with pytest.raises(CaseError, match=strange):
        find_case(tmp_path)
    # A mask or an ADC map is none of the four, so it is not asked for.
    (tmp_path / strange).unlink()
    touch(tmp_path, "P01_adc.nii.gz", "P01_t1ce_bet_mask.nii.gz", "P01_brain_mask.nii.gz")
    assert find_case(tmp_path).labels is None


def test_a_strange_file_beside_several_cases_is_asked_for_by_each_that_lacks_one(tmp_path):
    touch(tmp_path, *(f"P01_{part}.nii.gz" for part in ("flair", "t1", "t1ce", "t2")))
    touch(tmp_path, "P02_flair.nii.gz", "P02_t1ce.nii.gz", "IM_7.nii.gz")
    one, other = find_cases(tmp_path)
    assert (one.name, one.problem) == ("P01", None)
    assert "IM_7.nii.gz" in other.problem


@pytest.mark.parametrize(
    "present",
    [
        ["P01_flair.nii", "P02_t1.nii"],
        ["a_flair.nii", "b_t1ce.nii", "c_t2.nii"],
        ["P01_flair.nii", "P01_t2.nii", "P02_t1.nii", "P02_t1ce.nii"],
        ["P01_20200101_flair.nii", "P01_20210101_t1.nii"],
        ["P01_flair_20200101.nii", "P01_t1_20210101.nii"],
        ["MR_flair_anna.nii", "MR_t1_berta.nii"],
        [f"VSD.Brain.XX.O.MR_{m}.{i}.nii" for i, m in enumerate(["Flair", "T1", "Flair", "T1"])],
    ],
)
def test_what_may_be_halves_of_one_case_is_refused_with_the_names(tmp_path, present):
    touch(tmp_path, *present)
    cases = find_cases(tmp_path)
    assert all(files.problem for files in cases)
    assert "--flair" in cases[0].problem
    named = [name for files in cases for name in present if name in files.problem]
    assert set(named) >= set(present[:1])
    with pytest.raises(CaseError, match="one case under several names"):
        find_case(tmp_path)


PARTS = {"flair": FLAIR, "t1": T1, "t1ce": T1CE, "t2": T2}
#: Cases as tools and scanners write them, FLAIR, T1, T1ce, T2.
WRITTEN = {
    "HD-GLIO": "FLAIR_r2s_bet_reg T1_r2s_bet_reg CT1_r2s_bet_reg T2_r2s_bet_reg",
    "CaPTk": "FL_to_SRI_brain T1_to_SRI_brain T1CE_to_SRI_brain T2_to_SRI_brain",
    "BraTS 2015": "VSD.Brain.XX.O.MR_Flair.684 VSD.Brain.XX.O.MR_T1.685 "
    "VSD.Brain.XX.O.MR_T1c.686 VSD.Brain.XX.O.MR_T2.687",
    "post contrast": "P1_FLAIR P1_T1 P1_T1_post_contrast P1_T2",
    "contrast by words": "P1_flair P1_T1_pre_contrast P1_t1_mprage_gd P1_t2_tse_tra",
    "post": "P1_flair P1_t1 P1_T1_post P1_t2",
    "before": "P1_flair P1_t1 P1_postcontrast_T1 P1_t2",
    "glued": "P1_flair P1_T1w P1_T1Gd P1_T2w",
    "dark fluid": "t2_tirm_tra_dark-fluid t1_se_tra t1_se_tra_km t2_tse_tra",
    "dark fluid 3-D": "A_t2_spc_da-fl_sag A_t1_mprage_sag A_t1_mprage_sag_km A_t2_tse_tra",
    "dcm2niix": "anat_t2_tirm_tra_dark-fluid_20200101101500_5 anat_t1_se_20200101101900_7 "
    "anat_t1_se_km_20200101103000_9 anat_t2_tse_tra_20200101101200_4",
    "BIDS": "sub-01_ses-T1_FLAIR sub-01_ses-T1_T1w sub-01_ses-T1_ce-gadolinium_T1w "
    "sub-01_ses-T1_T2w",
    "BIDS entities": "sub-t2_acq-3d_run-1_FLAIR sub-t2_T1w sub-t2_ce-dotarem_acq-mprage_T1w "
    "sub-t2_space-T1w_T2w",
    "to another": "P1_flair_to_t1ce P1_t1_to_t1ce P1_t1ce P1_t2_to_t1ce",
    "registered": "P1_flair_reg_t1ce P1_t1_reg_t1ce P1_t1ce P1_t2_reg_t1ce",
    "time point": "P1_T1_flair P1_T1_t1 P1_T1_t1ce P1_T1_t2",
    "modality first": "flair_T1_study_7 t1_T1_study_7 t1ce_T1_study_7 t2_T1_study_7",
    "one odd suffix": "P1_flair P1_t1_strange P1_t1ce_new P1_t2",
    "ID of a study": "seg_flair_7_flair seg_flair_7_t1 seg_flair_7_t1ce seg_flair_7_t2",
    "a plain one": "P1_flair t1 P1_t1ce P1_t2",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("end", [".nii.gz", ".NII.GZ", ".nii", ".nii.nii.gz"])
def test_what_tools_and_scanners_write_is_one_case(tmp_path, written, end):
    wanted = dict(zip(PARTS.values(), [f"{name}{end}" for name in written.split()], strict=True))
    folder = touch(tmp_path / "x", *wanted.values())
    (files,) = find_cases(folder)
    assert files.problem is None
    assert names(files) == wanted
    for name in wanted.values():
        assert find_case(folder / name) == files


TOOLS = ["", "brain", "bet", "reg", "N4", "stripped", "r2s", "to_SRI_brain", "bet_reg", "1mm"]
IDS = ["t1", "t2", "seg", "flair", "t1ce", "mask", "P07", "study", "0012", on_disk("Jörg")]
SPELLINGS = {
    FLAIR: ["flair", "FLAIR", "t2f", "T2_FLAIR"],
    T1: ["t1", "T1w", "t1n", "T1_pre"],
    T1CE: ["t1ce", "T1Gd", "t1c", "T1_post", "CT1", "T1_post_contrast"],
    T2: ["t2", "T2w", "T2"],
}


@given(st.data())
def test_any_id_with_any_suffix_of_tools_is_one_case(data):
    separator = data.draw(st.sampled_from("_-. "))
    identifier = [*data.draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3)), "x9"]
    wanted = {}
    for modality, spellings in SPELLINGS.items():
        words = [*identifier, data.draw(st.sampled_from(spellings))]
        words += filter(None, [data.draw(st.sampled_from(TOOLS))])
        wanted[modality] = separator.join(words).replace("_", separator) + ".nii.gz"
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), *wanted.values())
        (files,) = find_cases(folder)
    assert files.problem is None
    assert names(files) == wanted


@given(st.data())
def test_no_name_makes_half_a_case_in_silence(data):
    """Whatever the names are, every file is in the case, or the case has a problem."""
    words = st.sampled_from([*IDS, *TOOLS[1:], "flair", "t1", "ce", "post", "new", "to", "2"])
    name = st.lists(words, min_size=1, max_size=5).map("_".join)
    given_names = data.draw(st.lists(name, min_size=2, max_size=5, unique_by=str.casefold))
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), *(f"{one}.nii.gz" for one in given_names))
        cases = find_cases(folder)
    good = [files for files in cases if files.problem is None and files.modalities]
    for one in good:
        for other in good:
            assert set(one.modalities) & set(other.modalities), (one, other)


def test_one_folder_for_each_modality(tmp_path):
    for part in ("FLAIR", "T1", "T1ce", "T2"):
        touch(tmp_path / "P01" / part, f"{part.lower()}.nii.gz")
    (files,) = find_cases(tmp_path)
    assert files.name == "P01"
    assert set(files.modalities) == set(PARTS.values())
    assert find_case(tmp_path / "P01").modalities == files.modalities
    assert find_case(tmp_path / "P01" / "T2" / "t2.nii.gz").modalities == files.modalities
    touch(tmp_path / "P01" / "T2", "again_t2.nii.gz")
    (files,) = find_cases(tmp_path)
    assert "two T2 files" in files.problem


def test_folders_of_modalities_with_many_cases(tmp_path):
    for part in ("flair", "t1", "t1ce", "t2", "seg"):
        touch(tmp_path / "named" / part, f"P01_{part}.nii", f"P02_{part}.nii")
    for part in ("flair", "t1", "t1ce", "t2"):
        touch(tmp_path / "plain" / part, "P01.nii", "P02.nii")
    for root in ("named", "plain"):
        one, two = find_cases(tmp_path / root)
        assert (one.name, two.name) == ("P01", "P02")
        assert set(one.modalities) == set(two.modalities) == set(Modality)
        assert (one.labels is not None) == (root == "named")
        last = list(one.modalities.values())[-1]
        assert find_case(last).modalities == one.modalities


def test_folders_of_time_points_that_look_like_modalities(tmp_path):
    for time_point in ("T1", "T2"):
        touch(tmp_path / time_point, *(f"{part}.nii" for part in ("flair", "t1", "t1ce", "t2")))
    one, two = find_cases(tmp_path)
    assert (one.name, two.name) == ("T1", "T2")
    assert one.problem is two.problem is None


def test_a_modality_in_a_folder_of_its_own_belongs_to_the_files_above(tmp_path):
    folder = touch(tmp_path / "P01", "P01_flair.nii", "P01_t1.nii", "P01_t1ce.nii")
    touch(folder / "T2", "P01_t2.nii")
    for path in (folder, folder / "P01_t1.nii", folder / "T2" / "P01_t2.nii"):
        assert set(find_case(path).modalities) == set(Modality)
    (files,) = find_cases(tmp_path)
    assert set(files.modalities) == set(Modality)


def test_brats_2015_with_a_folder_for_each_file(tmp_path):
    for number, part in enumerate(["MR_Flair", "MR_T1", "MR_T1c", "MR_T2", "OT"]):
        name = f"VSD.Brain.XX.O.{part}.{54511 + number}"
        touch(tmp_path / "brats_2013_pat0001_1" / name, f"{name}.nii")
    (files,) = find_cases(tmp_path)
    assert set(files.modalities) == set(Modality)
    assert files.labels.name == "VSD.Brain.XX.O.OT.54515.nii"


@pytest.mark.parametrize("end", [".mha", ".hdr", ".mgz", ".nrrd"])
def test_a_modality_in_another_format_belongs_to_the_case_and_is_to_be_prepared(tmp_path, end):
    touch(tmp_path, "P01_flair.nii", "P01_t1.nii", "P01_t1ce.nii", f"P01_t2{end}")
    (files,) = find_cases(tmp_path)
    assert files.modalities[T2].name == f"P01_t2{end}"
    with pytest.raises(UnpreparedError, match=f"P01_t2{end}.*prepare"):
        read_case(files)
    touch(tmp_path, "P01_t2.nii")
    assert find_case(tmp_path).modalities[T2].name == "P01_t2.nii"


def test_of_two_cases_each_has_its_own_file_of_another_format(tmp_path):
    for case in ("P", "Q"):
        touch(tmp_path, f"{case}_t1ce.nii", f"{case}_flair.nrrd")
    assert [names(f)["flair"] for f in find_cases(tmp_path)] == ["P_flair.nrrd", "Q_flair.nrrd"]


@pytest.mark.parametrize("more", [["P01_t2.mnc"], ["P01_t2.nrrd", "P01_t2.mha"]])
def test_a_format_that_nobody_reads_or_two_files_are_asked_for(tmp_path, more):
    touch(tmp_path, "P01_flair.nii", "P01_t1ce.nii", *more)
    (files,) = find_cases(tmp_path)
    assert any(name in files.problem for name in more)


def test_patterns_name_what_the_names_do_not_tell(tmp_path):
    for case in ("P01", "P02"):
        touch(tmp_path / case, f"{case}_flair.nii", f"{case}_a.nii", f"{case}_t2.nii", "t1.nii")
    assert all(files.problem for files in find_cases(tmp_path))
    one, two = find_cases(tmp_path, patterns={T1CE: "*_a.nii"})
    assert (one.name, two.problem) == ("P01", None)
    assert names(two)["t1ce"] == "P02_a.nii"
    # What it tells counts more than the name; a case where nothing fits is asked about.
    one, two = find_cases(tmp_path, patterns={T1CE: "*_a.nii", T2: "P01_t2*"})
    assert (set(one.modalities), set(two.modalities)) == (set(Modality), {FLAIR, T1, T1CE})


def test_naming_one_modality_is_enough_where_the_others_are_understood(tmp_path):
    touch(tmp_path, "P1_flair.nii", "P1_t1.nii", "P1_t1ce.nii", "b_7.nii", "notes.nii")
    (files,) = find_cases(tmp_path, patterns={T2: "b_*.nii"})
    assert (files.name, files.problem) == ("P1", None)
    assert names(files)["t2"] == "b_7.nii"
    assert set(files.modalities) == set(Modality)


def test_a_pattern_chooses_between_two_files_of_one_modality(tmp_path):
    touch(tmp_path, "P1_flair.nii", "P1_flair_bet.nii", "P1_t1ce.nii", "P1_t2.nii")
    (files,) = find_cases(tmp_path)
    assert "two FLAIR files" in files.problem
    assert "--flair" in files.problem
    for pattern in ("P1_flair_bet.nii", "*_flair_bet.nii"):
        (files,) = find_cases(tmp_path, patterns={FLAIR: pattern})
        assert files.problem is None
        assert names(files)["flair"] == "P1_flair_bet.nii"


def test_patterns_in_a_folder_of_several_cases(tmp_path):
    for case in ("anna", "berta"):
        touch(tmp_path, *(f"{case}_{part}.nii" for part in ("flair", "k", "t2", "t1")))
    one, two = find_cases(tmp_path, patterns={T1CE: "*_k.nii"})
    assert (one.name, two.name) == ("anna", "berta")
    assert names(one)["t1ce"] == "anna_k.nii"
    assert set(two.modalities) == set(Modality)


def test_a_case_of_named_files(tmp_path):
    touch(tmp_path / "x", "1.nii", "2.nii")
    files = case_of_files({T2: tmp_path / "x" / "2.nii", FLAIR: tmp_path / "x" / "1.nii"})
    assert (files.name, names(files)) == ("x", {"t2": "2.nii", "flair": "1.nii"})
    touch(tmp_path, "P1_flair.nii", "P1_t2.nii")
    given = {FLAIR: tmp_path / "P1_flair.nii", T2: tmp_path / "P1_t2.nii"}
    assert case_of_files(given).name == "P1"
    for wrong in ({}, {FLAIR: tmp_path}, {FLAIR: tmp_path / "gone.nii"}):
        with pytest.raises(CaseError, match=r"--flair|is not a file"):
            case_of_files(wrong)


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (["a.mha", "b.mha"], "2 MetaImage files"),
        (["a.hdr", "a.img"], "1 Analyze"),
        (["T1.mgz"], "mri_convert"),
        (["IM1.dcm"], "dcm2niix"),
    ],
)
def test_a_folder_of_other_formats_says_what_was_found_and_what_to_do(tmp_path, present, said):
    touch(tmp_path / "x", *present)
    for look in (find_case, find_cases):
        with pytest.raises(CaseError, match=r"holds no \.nii") as caught:
            look(tmp_path / "x")
        assert said in str(caught.value)
    with pytest.raises(CaseError, match=r"holds no \.nii") as caught:
        find_cases(tmp_path)
    assert said in str(caught.value)


def test_dicom_without_a_suffix_is_known_by_its_content(tmp_path):
    (tmp_path / "IM_0001").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(CaseError, match=r"1 DICOM file .*dcm2niix"):
        find_case(tmp_path)


def test_a_result_of_this_program_is_never_taken_for_labels(tmp_path):
    present = [f"P01_{part}.nii.gz" for part in ("flair", "t1", "t1ce", "t2")]
    touch(tmp_path, *present, "P01_gliocam_seg.nii.gz")
    assert find_case(tmp_path).labels is None
    touch(tmp_path, "P01_seg.nii.gz")
    assert find_case(tmp_path).labels.name == "P01_seg.nii.gz"
    # Opened by itself it is what it is.
    result = tmp_path / "P01_gliocam_seg.nii.gz"
    assert find_case(result) == CaseFiles("P01", labels=result)
    alone = touch(tmp_path / "out", "P01_gliocam_seg.nii.gz", "P01_core_map.nii.gz")
    assert find_case(alone).labels == alone / "P01_gliocam_seg.nii.gz"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_that_leads_nowhere_is_part_of_the_case(tmp_path):
    touch(tmp_path, "P01_flair.nii.gz", "P01_t1.nii.gz", "P01_t1ce.nii.gz")
    (tmp_path / "P01_t2.nii.gz").symlink_to("../.git/annex/objects/MD5-1")
    for path in (tmp_path, tmp_path / "P01_t2.nii.gz"):
        assert names(find_case(path))["t2"] == "P01_t2.nii.gz"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_utf_8(tmp_path):
    folder = os.fsencode(tmp_path)
    for part in (b"flair", b"t1", b"t1ce", b"t2"):
        Path(os.fsdecode(folder + b"/J\xf6rg_" + part + b".nii")).touch()
    files = find_case(tmp_path)
    assert files.name == "J?rg"
    assert len(files.modalities) == 4


def test_an_unreadable_folder_does_not_stop_the_others(tmp_path, monkeypatch):
    touch(tmp_path / "a", "flair.nii")
    touch(tmp_path / "lost+found")
    real = Path.iterdir

    def refuse(self):
        if self.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return real(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    good, bad = find_cases(tmp_path)
    assert (good.name, good.problem) == ("a", None)
    assert "lost+found cannot be read (Permission denied)" in bad.problem


def test_only_unknown_files(tmp_path):
    files = find_case(touch(tmp_path / "x", "a.nii.gz", "b.nii"))
    assert files.name == "x"
    assert len(files.unknown) == 2
    assert not files.modalities
    assert find_cases(tmp_path / "x") == [files]


def test_the_only_file_named_as_labels_belongs_to_the_only_case(tmp_path):
    labels = "W39_1998.09.19_Segm.nii"
    present = [f"BraTS20_Training_355_{part}.nii" for part in ("flair", "t1", "t1ce", "t2")]
    assert find_case(touch(tmp_path, *present, labels)).labels.name == labels
    touch(tmp_path, *(f"P2_{part}.nii" for part in ("flair", "t1", "t1ce", "t2")))
    assert [files.labels for files in find_cases(tmp_path)] == [None, None]


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


def test_a_real_folder(real_case):
    files = find_case(real_case)
    assert files.name == real_case.name
    assert len(files.modalities) == 4
    assert files.labels is not None
