import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import WEIGHTS_FILE, load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, bundled_path, read_bundle_info
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.gliocam import GliocamNet

#: What the shipped bundle says of the slices below.
GOLDEN_MEANS = [0.00088, 0.01470, 0.02267]


GOLDEN_LOGITS = [[-5.44530, -7.47317, -4.78754], [-5.78145, -7.90988, -5.53424]]


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
def test_manipulated_weights_are_refused_in_one_sentence(bundle, damage, refused):
    _, folder = bundle
    name, change = DAMAGES[damage]
    state = load_file(folder / WEIGHTS_FILE)
    tensor = state.pop(name)
    if change is not None:
        state[name] = change(tensor).contiguous()
    save_file(state, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE)


def test_a_tensor_too_many_is_refused(bundle, refused):
    _, folder = bundle
    state = load_file(folder / WEIGHTS_FILE)
    save_file(state | {"extra": torch.zeros(1)}, folder / WEIGHTS_FILE)
    refused(folder, WEIGHTS_FILE)


def test_memory_is_taken_only_for_what_the_file_holds(bundle, monkeypatch, refused):
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
