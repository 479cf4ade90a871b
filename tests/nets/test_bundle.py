import json

import pytest
import torch

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

#: What the shipped bundle says of the slices below.
GOLDEN_MEANS = [0.01448, 0.05213, 0.09418]
GOLDEN_LOGITS = [[-3.5503, -5.11685, -3.98483], [-2.63666, -5.3415, -3.85789]]


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    net = GliocamNet(width=8).eval()
    info = BundleInfo(
        "tiny", "random numbers", "CC0-1.0", width=8, optional_modalities=(Modality.T2,)
    )
    save_bundle(net, info, tmp_path / "tiny bündle")
    return net, tmp_path / "tiny bündle"


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
