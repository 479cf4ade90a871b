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
from napari_gliocam.nets.gliocam import GliocamNet


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


def test_inverted_polarity_is_flipped_on_loading(bundle):
    _, folder = bundle
    plain = load_bundle(folder)
    raw = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    raw["polarity"]["edema"][2] = -1
    (folder / INFO_FILE).write_text(json.dumps(raw), encoding="utf-8")
    flipped = load_bundle(folder)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        a, b = plain.net.classes(images), flipped.net.classes(images)
    torch.testing.assert_close(b[2][:, 1], -a[2][:, 1])
    torch.testing.assert_close(b[2][:, 0], a[2][:, 0])
    torch.testing.assert_close(b[0], a[0])


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
