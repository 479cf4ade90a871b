from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Modality
from napari_gliocam.io.naming import (
    FileName,
    Role,
    is_nifti,
    parse_name,
    parse_names,
    safe_name,
    stem,
)

FLAIR, T1, T1CE, T2 = Modality.FLAIR, Modality.T1, Modality.T1CE, Modality.T2

KNOWN = [
    ("BraTS20_Training_001_flair.nii", "BraTS20_Training_001", FLAIR),
    ("BraTS20_Training_001_t1.nii.gz", "BraTS20_Training_001", T1),
    ("Brats18_CBICA_AAB_1_t1ce.nii.gz", "Brats18_CBICA_AAB_1", T1CE),
    ("BraTS2021_00006_t2.nii.gz", "BraTS2021_00006", T2),
    ("BraTS-GLI-00000-000-t1n.nii.gz", "BraTS-GLI-00000-000", T1),
    ("BraTS-GLI-00000-000-t1c.nii.gz", "BraTS-GLI-00000-000", T1CE),
    ("BraTS-GLI-00000-000-t2w.nii.gz", "BraTS-GLI-00000-000", T2),
    ("BraTS-GLI-00000-000-t2f.nii.gz", "BraTS-GLI-00000-000", FLAIR),
    ("flair.nii.gz", "", FLAIR),
    ("t1c.nii.gz", "", T1CE),
    ("T1.nii", "", T1),
    ("T1-CE.nii", "", T1CE),
    ("T1+C.nii", "", T1CE),
    ("T1+.nii", "", T1CE),
    ("T2_FLAIR.nii.gz", "", FLAIR),
    ("FLAIR_patient01.nii.gz", "patient01", FLAIR),
    ("MR_FLAIR_patient7.nii", "MR_patient7", FLAIR),
    ("P01_fla_bet.nii.gz", "P01", FLAIR),
    ("P01_t1c_bet.nii.gz", "P01", T1CE),
    ("P01_T1Gd.nii.gz", "P01", T1CE),
    ("P01_t1post.nii", "P01", T1CE),
    ("P01_T1_post.nii", "P01", T1CE),
    ("P01_T1KM.nii", "P01", T1CE),
    ("P01_T1_native.nii", "P01", T1),
    ("sub-01_T1w.nii.gz", "sub-01", T1),
    ("sub-01_ce-gadolinium_T1w.nii.gz", "sub-01", T1CE),
    ("TCGA-02-0003_1997.06.08_t1Gd.nii.gz", "TCGA-02-0003_1997.06.08", T1CE),
    ("Müller Özge 3_FLAIR.NII.GZ", "Müller Özge 3", FLAIR),
    ("t1ce_brain_n4.nii.gz", "", T1CE),
]


@pytest.mark.parametrize(("name", "case", "modality"), KNOWN)
def test_each_naming_in_use(name, case, modality):
    assert parse_name(name) == FileName(case, Role.MODALITY, modality)
    for other in (name.upper(), name.lower()):
        assert parse_name(other).modality is modality


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("BraTS2021_00006_seg.nii.gz", "BraTS2021_00006"),
        ("BraTS-GLI-00000-000-seg.nii.gz", "BraTS-GLI-00000-000"),
        ("W39_1998.09.19_Segm.nii", "W39_1998.09.19"),
        ("seg.nii.gz", ""),
        ("label.nii", ""),
        ("Labels.nii.gz", ""),
        ("mask.nii.gz", ""),
        ("P01_gt.nii.gz", "P01"),
        ("P01_ground_truth.nii.gz", "P01"),
        ("UCSF-PDGM-0004_tumor_segmentation.nii.gz", "UCSF-PDGM-0004"),
    ],
)
def test_labels(name, case):
    assert parse_name(name) == FileName(case, Role.LABELS)


@pytest.mark.parametrize("target", ["tumour", "core", "edema"])
def test_own_maps_are_no_modality(target):
    assert parse_name(f"P01_{target}_map.nii.gz") == FileName("P01", Role.MAP)


@pytest.mark.parametrize(
    "name",
    [
        "BRATS_001.nii.gz",
        "P01.nii.gz",
        "P01_post_T1.nii.gz",  # contrast, or a date after surgery
        "P01_3D_T1_MPRAGE_post.nii.gz",
        "T1_FLAIR.nii.gz",
        "P01_T1_flair.nii.gz",  # T1 may be a date
        "T2_map.nii.gz",
        "T2_star.nii.gz",
        "t2_tirm_tra.nii.gz",  # FLAIR or STIR
        "flair_reg_t1.nii.gz",
        "seg_flair.nii.gz",
        "P01flair.nii.gz",
        "segment_7.nii.gz",
    ],
)
def test_what_cannot_be_told_is_unknown(name):
    assert parse_name(name) == FileName(stem(name), Role.UNKNOWN)


@pytest.mark.parametrize(
    "name",
    ["P01_adc", "T2*", "t1c_bet_mask", "t1_seg", "P01_brain_mask", "brainMask", "P01_dwi_b1000"],
)
def test_other_images_and_masks_are_known_as_such(name):
    assert parse_name(f"{name}.nii.gz") == FileName(name, Role.OTHER)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("T1_study_007_flair", FLAIR),
        ("seven_flair_and_t2", T2),
        ("T1_to_T2", T1),
        ("P01_T1_without_contrast", T1),
        ("P01_T1_no_gd", T1),
        ("non_contrast_T1", T1),
        ("P01_T1_with_contrast", T1CE),
        ("visit_t1_flair", FLAIR),
        ("P01_FLAIR_post_contrast", FLAIR),
        ("t1ce_P01_FLAIR", FLAIR),
    ],
)
def test_the_last_modality_of_a_name_counts(name, modality):
    assert parse_name(name).modality is modality


def test_an_id_is_compared_across_the_folder():
    (alone,) = parse_names(["P_t1_flair"])
    assert alone.role is Role.UNKNOWN
    both = parse_names(["P_t1_flair", "P_t1_t2", "P_t1_seg"])
    assert [told.modality or told.role for told in both] == [FLAIR, T2, Role.LABELS]
    assert {told.case for told in both} == {"P_t1"}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("VSD.Brain_3more.XX.O.OT.54517.nii", "VSD.Brain_3more.XX.O_54517"),
        ("TCGA-02-0006_1996.08.23_GlistrBoost_ManuallyCorrected.nii", "TCGA-02-0006_1996.08.23"),
        ("P01_seg_manual.nii", "P01"),
        ("sub-01_ses-T1_label-tumor_mask.nii.gz", "sub-01_ses-T1"),
    ],
)
def test_labels_of_other_data_sets(name, case):
    assert parse_name(name) == FileName(case, Role.LABELS)


words = st.text("abcdxyzÄé0123456789", min_size=1, max_size=6).map(lambda text: f"p{text}q")
cases = st.lists(words, min_size=1, max_size=3)
spellings = st.sampled_from(
    [
        *((word, FLAIR) for word in ("flair", "t2f", "fla_bet")),
        *((word, T1) for word in ("t1", "t1n", "t1w")),
        *((word, T1CE) for word in ("t1ce", "t1c", "t1gd", "t1-ce")),
        *((word, T2) for word in ("t2", "t2w")),
    ]
)


@given(cases, spellings, st.sampled_from("_-. "), st.sampled_from([".nii", ".nii.gz"]), st.data())
def test_modality_and_case_come_back_from_any_spelling(parts, spelling, mark, suffix, data):
    word, modality = spelling
    case = mark.join(parts)
    word = data.draw(st.sampled_from([word, word.upper(), word.title()]))
    told = parse_name(f"{case}{mark}{word}{suffix}")
    assert (told.modality, told.case) == (modality, case)
    assert parse_name(f"{word}{mark}{case}{suffix}").modality is modality


@given(st.text(max_size=30))
def test_any_text_is_read_without_error(text):
    told = parse_name(text)
    assert (told.modality is not None) == (told.role is Role.MODALITY)
    assert parse_name(told.case + "_seg").role in (Role.LABELS, Role.UNKNOWN)


@given(st.text(max_size=30))
def test_safe_name_is_one_part_of_a_path(text):
    name = safe_name(text)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>|\0')
    assert safe_name(name) == name


def test_safe_name_keeps_letters_and_spaces(monkeypatch):
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "utf-8")
    assert safe_name("Fall 7 Müller") == "Fall 7 Müller"


def test_safe_name_fits_an_ascii_locale(monkeypatch):
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    assert safe_name("Fall 7 Müller") == "Fall 7 M_ller"


def test_hidden_files_are_no_nifti():
    assert is_nifti("a.NII.gz")
    assert not is_nifti("._a.nii.gz")
    assert not is_nifti("a.nii.gz.part")
