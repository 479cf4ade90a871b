"""Recipes of the papers' classifiers: what they build, and that they train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.maps import read_recipe
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.fit import Machine


def slices(channels):
    """Slices of noise; those with tumour have a bright square."""
    rng = np.random.default_rng(0)
    labels = np.tile([[0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], (6, 1)).astype(np.float32)
    images = rng.normal(0, 1, (24, channels, 32, 32)).astype(np.float16)
    images[labels[:, 0] > 0, :, 8:16, 8:16] += 3
    return SliceSet(images, labels, np.repeat(np.arange(6), 4))


def small(recipe):
    """The recipe with tiny networks and one epoch of each stage that runs."""

    def quick(key, fit):
        return replace(fit, epochs=min(fit.epochs, 1), batch=8)

    return replace(
        recipe.with_fits(quick),
        network=replace(recipe.network, width=64 if recipe.network.weights else 4),
    )


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet34", 3), ("resnet50", 1), ("ame-cam", 1), ("ame-cam", 2)]
)
def test_the_recipe_trains_a_bundle_on_any_number_of_modalities(name, channels, tmp_path):
    modalities = ("flair", "t1")[:channels] if channels < 3 else ("t1ce", "t2", "flair")
    about = BundleInfo("own", "test", "CC0-1.0", modalities=modalities)
    out = tmp_path / "bundle"
    recipe = small(read_recipe(name))
    machine = Machine(accelerator="cpu")
    done = train_bundle(
        recipe, slices(channels), out, work_dir=tmp_path / "work", about=about, machine=machine
    )
    assert done == out
    bundle = load_bundle(out)
    assert bundle.info.modalities == modalities
    assert bundle.info.backbone == recipe.network.backbone
    assert bundle.info.exits == recipe.network.exits
    assert bundle.info.final_map == recipe.network.final_map


def test_new_networks_begin_with_the_weights_that_are_named(tmp_path):
    import torchvision

    original = torchvision.models.resnet18(num_classes=3)
    file = tmp_path / "resnet18.pth"
    torch.save(original.state_dict(), file)
    recipe = read_recipe("resnet34")
    network = replace(recipe.network, backbone="resnet18", weights=str(file))
    recipe = small(replace(recipe, network=network))
    still = recipe.with_fits(lambda key, fit: replace(fit, rate=0.0))
    train_bundle(
        still,
        slices(3),
        tmp_path / "bundle",
        work_dir=tmp_path / "work",
        about=BundleInfo("own", "test", "CC0-1.0"),
        machine=Machine(accelerator="cpu"),
    )
    net = load_bundle(tmp_path / "bundle").net
    for part in net.networks:
        found = part.stages[0][0].conv1.weight
        torch.testing.assert_close(found, original.layer1[0].conv1.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[data]\nmodalities = ["flare"]', 'there is no "flare"; choose some of t1'),
        ('[data]\nmodalities = ["flair", "flair"]', "each once"),
        ("[data]\nmodalities = []", "give some"),
        ("[network]\nexits = [3, 2]", "in order"),
        ('[data]\nmodalities = ["flair"]\nrehearsal = 3', "synthetic cases"),
        ('[network]\nbackbone = "vgg19"', "VGG-19 has 2, 4, 8, 16"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, text, words):
    file = tmp_path / "recipe.toml"
    file.write_text(f'base = "paper"\n{text}\n')
    with pytest.raises(TrainingError, match=words):
        read_recipe(file)


def test_table_2_of_paper_1_adds_one_loss_a_row():
    rows = [read_recipe(n).aggregate.classes for n in ("paper1-class", "paper1-class-separate")]
    rows.append(read_recipe("paper").aggregate.classes)
    weights = [(r.weight_class, r.weight_separate, r.weight_agree) for r in rows]
    assert weights == [(1, 0, 0), (1, 1, 0), (1, 1, 5)]
