import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import (
    INFO_FILE,
    WEIGHTS_FILE,
    BundleInfo,
    bundled_path,
    load_bundle,
    read_bundle_info,
    save_bundle,
)
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.gliocam import GliocamNet

from ..small_case import on_disk

#: What the shipped bundle says of the slices below.
GOLDEN_MEANS = [0.00088, 0.01470, 0.02267]
GOLDEN_LOGITS = [[-5.44530, -7.47317, -4.78754], [-5.78145, -7.90988, -5.53424]]


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    net = GliocamNet(width=8).eval()
    info = BundleInfo(
        "tiny", "random numbers", "CC0-1.0", width=8, optional_modalities=(Modality.T2,)
    )
    save_bundle(net, info, tmp_path / on_disk("tiny bündle"))
    return net, tmp_path / on_disk("tiny bündle")


def test_round_trip(bundle):
    net, folder = bundle
    loaded = load_bundle(folder)
    assert loaded.info.modalities == (Modality.T1CE, Modality.T2, Modality.FLAIR)
    assert loaded.info.optional_modalities == (Modality.T2,)
    assert not loaded.net.training
    for name, value in net.state_dict().items():
        torch.testing.assert_close(
            loaded.net.state_dict()[name].float(), value.float(), atol=1e-3, rtol=1e-3
        )


def test_the_cost_of_a_missing_modality_is_said(bundle):
    info = read_bundle_info(None)
    assert info.worse_without(set(Modality)) == ""
    sentence = info.worse_without({Modality.FLAIR, Modality.T2})
    assert sentence.startswith("Dice without T1ce: tumour 0.87 instead of 0.88, core 0.")
    assert "not measured" in info.worse_without({Modality.FLAIR})
    assert info.worse_without({Modality.T2, Modality.T1CE}) == ""
    _, folder = bundle
    tiny = read_bundle_info(folder)
    assert "not measured" in tiny.worse_without({Modality.T1CE, Modality.FLAIR})
    assert tiny.worse_without({Modality.T1CE}) == ""  # refused: FLAIR is not optional


def test_inverted_exits_are_turned_and_image_logits_are_not(bundle):
    _, folder = bundle
    plain = load_bundle(folder)
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    raw["polarity"]["edema"] = [1, 1, -1, 1]
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    turned = load_bundle(folder)
    images, brain = torch.randn(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    with torch.inference_mode():
        a, b = plain.net(images, brain), turned.net(images, brain)
    torch.testing.assert_close(b.exits[2][:, 2], 1 - a.exits[2][:, 2])
    torch.testing.assert_close(b.exits[2][:, :2], a.exits[2][:, :2])
    torch.testing.assert_close(b.exits[1], a.exits[1])
    torch.testing.assert_close(b.logits, a.logits)  # "shows edema" is as it was learned
    assert not torch.allclose(b.guided[:, 1], a.guided[:, 1])
    torch.testing.assert_close(b.aggregates[:, 0], a.aggregates[:, 0])


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


def test_a_bundle_keeps_how_its_networks_are_built(tmp_path):
    design = Design(
        width=4,
        strides=(1, 2, 4, 4),
        norm="instance-affine",
        pooling="gap",
        map_range="min-max",
        attention="shared",
        guidance="product",
        sharing=False,
        final_map="mean",
    )
    info = BundleInfo("other", "random", "CC0-1.0", **vars(design))
    net = GliocamNet.of(3, design).eval()
    save_bundle(net, info, tmp_path)
    loaded = load_bundle(tmp_path)
    assert loaded.info.design == loaded.net.design == design
    images, brain = torch.randn(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    with torch.inference_mode():
        assert [tuple(e.shape[-2:]) for e in loaded.net(images, brain).exits] == [
            (32, 32),
            (16, 16),
            (8, 8),
            (8, 8),
        ]


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
def test_a_manipulated_description_is_refused_in_one_sentence(bundle, change):
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    change(raw)
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    refused(folder)


def refused(folder, file=INFO_FILE):
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert str(folder / file) in str(caught.value)
    assert "choose another" in str(caught.value)
    assert "\n" not in str(caught.value)


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
def test_text_that_is_no_description_is_refused(bundle, text):
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


def test_what_was_measured_is_read_back(bundle):
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


WEIGHT, MEAN, VARIANCE, COUNT = (
    "tumour.exits.0.weight",
    "tumour.stem.1.running_mean",
    "tumour.stem.1.running_var",
    "tumour.stem.1.num_batches_tracked",
)
DAMAGES = {
    "nan weight": (WEIGHT, lambda v: v * float("nan")),
    "infinite weight": (WEIGHT, lambda v: v + float("inf")),
    "weights too large": ("tumour.stem.1.weight", lambda v: v.float() + 3e38),
    "nan mean": (MEAN, lambda v: v * float("nan")),
    "infinite variance": (VARIANCE, lambda v: v + float("inf")),
    "negative variance": (VARIANCE, lambda v: v - 5),
    "another shape": (WEIGHT, lambda v: v[:, :2]),
    "whole numbers": (WEIGHT, lambda v: v.int()),
    "a count with a fraction": (COUNT, lambda v: v.float()),
    "complex": (WEIGHT, lambda v: v.to(torch.complex64)),
    "missing": (WEIGHT, None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_manipulated_weights_are_refused_in_one_sentence(bundle, damage):
    _, folder = bundle
    name, change = DAMAGES[damage]
    state = load_file(folder / WEIGHTS_FILE)
    tensor = state.pop(name)
    if change is not None:
        state[name] = change(tensor).contiguous()
    save_file(state, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE)


def test_a_tensor_too_many_is_refused(bundle):
    _, folder = bundle
    state = load_file(folder / WEIGHTS_FILE)
    save_file(state | {"extra": torch.zeros(1)}, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE)


def test_memory_is_taken_only_for_what_the_file_holds(bundle, monkeypatch):
    """A width of 512 would take 5.7 GB; the file of a network of width 8 is refused before."""
    _, folder = bundle
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    (folder / INFO_FILE).write_text(json.dumps(raw | {"width": 512}), encoding="utf-8")
    made = []
    of = GliocamNet.of

    def counted(*arguments):
        net = of(*arguments)
        made.append(next(net.parameters()).device.type)
        return net

    monkeypatch.setattr(GliocamNet, "of", counted)
    refused(folder, WEIGHTS_FILE)
    assert made == ["meta"]
    monkeypatch.setattr("napari_gliocam.nets.bundle._LARGEST_NETS", 1000)
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    refused(folder, WEIGHTS_FILE)


def test_statistics_and_weights_beyond_float16_are_saved_as_they_are(tmp_path):
    net = GliocamNet(width=8).eval()
    norm = net.tumour.stem[1]
    norm.running_var[:] = torch.tensor([1e6, 1e-9, 70000, 1, 1, 1, 1, 1])
    with torch.no_grad():
        net.classes.stages[3][1].bn2.weight[0] = 1e5
    save_bundle(net, BundleInfo("tiny", "", "CC0-1.0", width=8), tmp_path)
    loaded = load_bundle(tmp_path).net
    torch.testing.assert_close(loaded.tumour.stem[1].running_var, norm.running_var)
    assert loaded.classes.stages[3][1].bn2.weight[0] == 1e5
    assert load_file(tmp_path / WEIGHTS_FILE)[WEIGHT].dtype == torch.float16


@pytest.mark.parametrize("damage", ["truncate", "garbage", "missing", "foreign", "nan"])
def test_damaged_weights_are_one_sentence_with_the_file(bundle, damage):
    _, folder = bundle
    file = folder / WEIGHTS_FILE
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "garbage":
        file.write_bytes(b"\x80\x04garbage that must never be unpickled")
    elif damage == "missing":
        file.unlink()
    else:
        net = GliocamNet(width=16 if damage == "foreign" else 8)
        if damage == "nan":
            net.tumour.exits[0].weight.data[:] = float("nan")
        save_bundle(net, BundleInfo("tiny", "", "CC0-1.0", width=8), folder)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_bundle_that_ships_is_small_and_says_where_it_comes_from():
    info = read_bundle_info()
    assert info.origin
    assert info.licence
    assert (info.tumour_threshold, info.class_threshold) == (0.40, 0.50)
    assert sum(f.stat().st_size for f in bundled_path().iterdir()) < 60e6
    load_bundle()


def test_the_bundle_that_ships_gives_the_maps_it_gave():
    torch.manual_seed(0)
    brain = torch.zeros(2, 1, 64, 48)
    brain[..., 6:-6, 4:-4] = 1
    images = torch.randn(2, 3, 64, 48) * brain
    with torch.inference_mode():
        maps = load_bundle().net(images, brain)
    torch.testing.assert_close(
        maps.aggregates.mean((0, 2, 3)), torch.tensor(GOLDEN_MEANS), atol=2e-4, rtol=0
    )
    torch.testing.assert_close(maps.logits, torch.tensor(GOLDEN_LOGITS), atol=5e-3, rtol=0)
