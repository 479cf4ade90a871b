"""Backbones are torchvision's, stage by stage; a stage without exit answers with the nearest."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from napari_gliocam.errors import BundleError
from napari_gliocam.nets.backbones import load_torchvision
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.design import Design, nearest_exit
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.multi_exit import MultiExitNet

TORCHVISION = (4, 8, 16, 32)
VGG = (2, 4, 8, 16)


def alive(net):
    torch.manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_plain_classifier_is_torchvisions(name, tmp_path):
    """The same weights give the same logit: GAP and a linear layer are a 1 x 1 convolution."""
    original = alive(getattr(torchvision.models, name)(num_classes=1))
    file = tmp_path / "weights.pth"
    torch.save(original.state_dict(), file)
    net = MultiExitNet(3, 1, 64, TORCHVISION, "batch", name, (4,)).eval()
    load_torchvision(net.stem, net.stages, file)
    with torch.no_grad():
        net.exits[3].weight.copy_(original.fc.weight[:, :, None, None])
        net.exits[3].bias.copy_(original.fc.bias)
        images = torch.randn(2, 3, 64, 64)
        maps = net(images)
        torch.testing.assert_close(maps[3].mean(dim=(2, 3)), original(images), atol=1e-4, rtol=1e-3)
    assert len(maps) == 4
    assert all(m is maps[3] for m in maps)


@pytest.mark.parametrize(("make", "norm"), [("vgg19", "none"), ("vgg19_bn", "batch")])
def test_vgg19_is_torchvisions(make, norm, tmp_path):
    original = alive(getattr(torchvision.models, make)(num_classes=1))
    file = tmp_path / "weights.pth"
    torch.save(original.state_dict(), file)
    net = MultiExitNet(3, 1, 64, VGG, norm, "vgg19", (4,)).eval()
    load_torchvision(net.stem, net.stages, file)
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        wanted = original.features[:-1](images)  # without the last pooling
        torch.testing.assert_close(net.features(images)[3], wanted, atol=1e-4, rtol=1e-3)


def test_weights_of_another_network_and_other_files_are_refused(tmp_path):
    net = MultiExitNet(3, 1, 64, TORCHVISION, "batch", "resnet34", (4,))
    file = tmp_path / "weights.pth"
    torch.save(torchvision.models.resnet18(num_classes=2).state_dict(), file)
    with pytest.raises(BundleError, match="weights of another network"):
        load_torchvision(net.stem, net.stages, file)
    file.write_bytes(b"no weights")
    with pytest.raises(BundleError, match="cannot be read"):
        load_torchvision(net.stem, net.stages, file)
    torch.save([1, 2], file)
    with pytest.raises(BundleError, match="holds no weights"):
        load_torchvision(net.stem, net.stages, file)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    file = tmp_path / "weights.pth"
    torch.save({"conv1.weight": Harm()}, file)
    net = MultiExitNet(3, 1, 64, TORCHVISION, "batch", "resnet18", (4,))
    with pytest.raises(BundleError, match="cannot be read"):
        load_torchvision(net.stem, net.stages, file)
    assert not (tmp_path / "ran").exists()


def test_a_stage_without_exit_answers_with_the_nearest():
    assert [nearest_exit(n, (2, 3)) for n in (1, 2, 3, 4)] == [2, 2, 3, 3]
    assert [nearest_exit(n, (4,)) for n in (1, 2, 3, 4)] == [4] * 4
    assert Design(exits=(2, 3)).exit_strides == (4, 4, 8, 8)
    net = MultiExitNet(3, 2, 4, exit_stages=(2, 3)).eval()
    maps = net(torch.randn(1, 3, 32, 32))
    assert maps[0] is maps[1]
    assert maps[2] is maps[3]
    assert not any(name.startswith(("exits.0", "exits.3")) for name, _ in net.named_parameters())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"exits": ()}, "give some of 1, 2, 3, 4"),
        ({"exits": (3, 2)}, "in order"),
        ({"exits": (0, 1)}, "give some of"),
        ({"backbone": "vgg19"}, "VGG-19 has 2, 4, 8, 16"),
        ({"backbone": "vgg16"}, 'backbone is "vgg16"'),
    ],
)
def test_designs_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        Design(**wrong)


@pytest.mark.parametrize(
    ("backbone", "strides", "norm"),
    [
        ("resnet34", TORCHVISION, "batch"),
        ("resnet50", (2, 4, 8, 8), "instance"),
        ("vgg19", VGG, "none"),
    ],
)
@pytest.mark.parametrize("exits", [(4,), (2, 3), (1, 2, 3, 4)])
def test_bundles_of_every_backbone_are_saved_and_loaded(backbone, strides, norm, exits, tmp_path):
    design = {"backbone": backbone, "strides": strides, "norm": norm, "exits": exits, "width": 4}
    net = GliocamNet(1, pooling="gap", **design).eval()
    info = BundleInfo(
        "plain", "random numbers", "CC0-1.0", modalities=("flair",), pooling="gap", **design
    )
    save_bundle(net, info, tmp_path)
    again = load_bundle(tmp_path)
    assert again.info.design == net.design
    images, brain = torch.randn(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    with torch.no_grad():
        a, b = net(images, brain), again.net(images, brain)
    torch.testing.assert_close(a.aggregates, b.aggregates, atol=0.1, rtol=0)
