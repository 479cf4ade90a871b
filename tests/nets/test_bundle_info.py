import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, read_bundle_info


def test_the_cost_of_a_missing_modality_is_said(bundle):
    info = read_bundle_info(None)
    assert info.worse_without(set(Modality)) == ""
    sentence = info.worse_without({Modality.FLAIR, Modality.T2})
    assert sentence.startswith(
        "Dice without T1ce: tumour 0.89 instead of 0.89, core 0.49 instead of 0.77, "
        "edema 0.67 instead of 0.79"
    )
    assert "not measured" in info.worse_without({Modality.FLAIR})
    assert info.worse_without({Modality.T2, Modality.T1CE}) == ""
    _, folder = bundle
    tiny = read_bundle_info(folder)
    assert "not measured" in tiny.worse_without({Modality.T1CE, Modality.FLAIR})
    assert tiny.worse_without({Modality.T1CE}) == ""  # refused: FLAIR is not optional


@pytest.mark.parametrize("targets", [["tumour", "core"], ["core", "edema", "tumour"], ["x"]])
def test_targets_that_no_network_has_are_named(bundle, targets):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8")) | {"targets": targets}
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BundleError, match=r"targets \['"):
        load_bundle(folder)


@pytest.mark.parametrize("signs", [[1, 1, 1], [1, 0, 1, 1]])
def test_a_polarity_that_is_none_is_refused(bundle, signs):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    raw["polarity"]["core"] = signs
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BundleError, match="polarity of core"):
        load_bundle(folder)


def test_the_share_of_an_earlier_segmentation_network_weighs_both_parts(bundle):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    raw["segmenter"] = {"architecture": "unet", "share": 0.25}
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    design = read_bundle_info(folder).segmenter
    assert (design.architecture, design.tumour_share, design.class_share) == ("unet", 0.25, 0.25)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="is no bundle"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: {},
        lambda raw: raw | {"format": 99},
        lambda raw: raw | {"modalities": ["ct"]},
        lambda raw: raw | {"surprise": 1},
        lambda raw: {k: v for k, v in raw.items() if k != "origin"},
        lambda raw: [1, 2],
    ],
)
def test_a_damaged_description_is_one_sentence_with_the_file(bundle, damage):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    (folder / INFO_FILE).write_text(json.dumps(damage(raw)), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        read_bundle_info(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def value(*path, to):
    """A manipulation of the description: an entry, found by its path, becomes another."""

    def change(raw):
        place = raw
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


WRONG_NUMBERS = [-1.5, 1e9, "1.5", None, True, [1.5], {"a": 1}, float("nan"), float("inf"), 10**400]


WRONG = {
    ("pixel_mm",): [*WRONG_NUMBERS, 0],
    ("across_slices_mm",): WRONG_NUMBERS,
    ("tumour_threshold",): WRONG_NUMBERS,
    ("class_threshold",): WRONG_NUMBERS,
    ("width",): [*WRONG_NUMBERS, 0, 8.0],
    ("normalisation", "low_percentile"): [*WRONG_NUMBERS, 99.9],
    ("normalisation", "clip_high"): [-5.0],
    ("normalisation",): [[0.5, 99.5], {"extra": 1}],
    ("strides",): [[0, 0, 0, 0], [2, 4, 8], 2, ["2", 4, 8, 8], [2.0, 4, 8, 8]],
    ("modalities",): [["t2", "t2", "t2"], [], "t2", [1], ["t1ce", "t1", "t2", "flair", "flair"]],
    ("optional_modalities",): [["t1"], None],
    ("polarity",): [[1, 1, 1, 1], {}, {"tumour": [1, 1, 1, 1]}],
    ("polarity", "core"): [["1"] * 4, [1.0] * 4, [1, 1, 1, 0], "1111"],
    ("name",): [1, None, [], "a\nb", "\x1b[31m", "x" * 300],
    ("origin",): [1, None, "a\nb"],
    ("norm",): [1, None, "x", []],
    ("guidance",): [1, None, "x", []],
    ("sharing",): [1, "true", None],
    ("training",): [[], "x", None],
}


MANIPULATED = [value(*path, to=wrong) for path, all_wrong in WRONG.items() for wrong in all_wrong]


@pytest.mark.parametrize("change", MANIPULATED)
def test_a_manipulated_description_is_refused_in_one_sentence(bundle, change, refused):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    change(raw)
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "3", '"x"', "[]", "{", "[" * 100_000, '{"training":' * 100_000),
        '{"format": 1, "training": ' + '{"a":' * 500 + "1" + "}" * 501,
        b"\xff\xfe\x00",
        " " * (1 << 21),
    ],
    ids=range(11),
)
def test_text_that_is_no_description_is_refused(bundle, text, refused):
    _, folder = bundle
    (folder / INFO_FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(folder)


@given(
    path=st.sampled_from(
        [
            *(("pixel_mm",), ("width",), ("strides",), ("modalities",), ("norm",)),
            *(("polarity", "core"), ("measured",)),
        ]
    ),
    to=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    ),
)
def test_whatever_stands_in_a_description_it_is_read_or_refused(tmp_path_factory, path, to):
    folder = tmp_path_factory.mktemp("bundle")
    raw = BundleInfo("tiny", "", "CC0-1.0", width=8).to_json()
    raw = json.loads(json.dumps(raw))
    value(*path, to=to)(raw)
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    try:
        info = read_bundle_info(folder)
    except BundleError:
        return
    assert 0.25 <= info.pixel_mm <= 10
    assert len(set(info.modalities)) == len(info.modalities)


def test_what_was_measured_is_read_back(bundle, refused):
    _, folder = bundle
    file, by_target = folder / INFO_FILE, dict.fromkeys(("tumour", "core", "edema"), 0.5)
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["measured"] = {
        "patients": 9,
        "error_in_tenth": [0.4, 0.7, 0.9],
        "volume_in_range": dict.fromkeys(by_target, 9),
        **dict.fromkeys(("temperature", "ece", "ece_at_temperature"), by_target),
    }
    file.write_text(json.dumps(raw), encoding="utf-8")
    info = read_bundle_info(folder)
    assert info.measured.error_in_tenth == (0.4, 0.7, 0.9)
    assert json.loads(json.dumps(info.to_json()))["measured"] == raw["measured"]
    raw["measured"]["volume_in_range"]["core"] = 10  # of nine
    file.write_text(json.dumps(raw), encoding="utf-8")
    refused(folder)
