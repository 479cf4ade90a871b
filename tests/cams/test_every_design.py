"""Every CAM path gives the maps and scores of `GliocamNet.forward`, whatever the design."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.registry import METHODS, make_method
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.errors import GliocamError
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.design import Attention, Design, FinalMap, MapRange, Norm, Pooling
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.multi_exit import pool
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.recipe.maps import RECIPES, read_recipe

MIXED = {"tumour": [-1, 1, -1, 1], "core": [1, -1, -1, -1], "edema": [-1, -1, 1, 1]}
POLARITIES = (dict.fromkeys(TARGETS, (1, 1, 1, 1)), MIXED)


def alive(net):
    """Random statistics and attention, so that no channel is dead and no weight is even."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        for attention in net.attentions:
            for parameter in attention.parameters():
                parameter.normal_(0, 0.3)
    return net.eval()


def slices():
    generator = torch.Generator().manual_seed(1)
    brain = torch.zeros(2, 1, 48, 32)
    brain[:, :, 5:-3, 4:-6] = 1
    return torch.randn(2, 3, 48, 32, generator=generator) * brain, brain


def path(name, batch, layer=4):
    return make_method(name).maps(batch, TARGETS, ExplainedLayer(layer)).transpose(0, 1)


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", get_args(Attention))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_cams_are_those_of_the_networks(norm, attention):
    """Norm and attention have weights of their own; every other choice is taken on one network."""
    images, brain = slices()
    torch.manual_seed(0)
    built = Design(width=4, norm=norm, attention=attention, guidance="product")
    net = alive(GliocamNet.of(3, built))
    batch = Batch(net, images, brain)  # features do not depend on the other choices
    with torch.inference_mode():
        learned = net.exits(images)
    for pooling, map_range, polarity in product(get_args(Pooling), get_args(MapRange), POLARITIES):
        net.set_polarity(polarity)
        designs = {
            final: replace(built, pooling=pooling, map_range=map_range, final_map=final)
            for final in get_args(FinalMap)
        }
        forward = {}
        for final, net.design in designs.items():
            with torch.inference_mode():
                forward[final] = net(images, brain)
        tumour = {final: maps.aggregates[:, 0] for final, maps in forward.items()}
        for final, net.design in designs.items():
            maps = forward[final]
            check_maps(batch, maps, tumour)
            for column, target in enumerate(TARGETS):
                close(batch.probabilities(target), maps.logits[:, column].sigmoid())
                check_score(batch, target, column, pool(learned[2], brain, pooling)[:, column])


def check_maps(batch, maps, tumour):
    """Exits, aggregates and means are those of `GliocamNet.forward`."""
    for layer in (1, 2, 3, 4):
        close(path("exit", batch, layer), maps.exits[layer - 1])
    close(path("guided", batch), maps.aggregates)
    ame, average = path("amecam", batch), path("average", batch)
    close(ame[:, 0], tumour["mean"])
    close(average[:, 0], (5 * ame[:, 0] - tumour["aggregate"]) / 4)
    close(ame[:, 1:], (4 * average[:, 1:] + maps.aggregates[:, 1:]) / 5)


def check_score(batch, target, column, learned):
    """Gradients and scores of exit 3 are those of its pooled logit, as turned and as learned."""
    net, brain, pooling = batch.net, batch.brain, batch.net.design.pooling
    own = max(column - 1, 0)
    leaf = batch.activation(target, 3).requires_grad_()
    score = net.signs[2, column] * pool(net.network_of(target).exits[2](leaf), brain, pooling)
    (expected,) = torch.autograd.grad(score[:, own].sum(), leaf)
    leaf.requires_grad_(False)
    close(batch.gradients((target,), ExplainedLayer(3))[0], expected)
    with torch.no_grad():
        close(batch.scores(target, batch.images, 0, (3,))[:, own], learned)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_gradcam_before_an_exit_is_the_turned_exit_map_without_its_bias(pooling):
    net = alive(GliocamNet(width=4, pooling=pooling, polarity=MIXED))
    images, brain = slices()
    batch = Batch(net, images, brain)
    for layer, target in product((1, 4), TARGETS):
        column = {"tumour": 0, "core": 0, "edema": 1}[target]
        bias = net.network_of(target).exits[layer - 1].bias[column]
        with torch.no_grad():
            logits = net.network_of(target).exits[layer - 1](batch.activation(target, layer))
        expected = (MIXED[target][layer - 1] * (logits[:, column] - bias)).relu()
        found = make_method("gradcam").maps(batch, (target,), ExplainedLayer(layer))[0]
        close(found.detach(), expected.detach())


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_bundle_of_each_recipe_segments_and_is_explained_by_every_method(recipe, case):
    """The designs of the shipped recipes, random weights, on the device as `segment` runs them."""
    design = replace(read_recipe(recipe).network.design, width=4)
    torch.manual_seed(0)
    net = alive(GliocamNet.of(3, design))
    bundle = Bundle(BundleInfo(recipe, "random numbers", "CC0-1.0", **vars(design)), net)
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    ready = prepare(case, bundle, "cpu", maps=maps)
    last = net.tumour.exit_of(4)
    targets = design.targets
    for name in METHODS:
        made = explain(ready, name, targets, scope=6, layer=last)
        for target in targets:
            assert np.isfinite(made.of(target)).all()
            assert made.of(target).min() >= 0
            assert made.of(target).max() <= 1
    for name in ("gradcam", "layercam", "exit"):
        for layer in (1, 2, 3):
            made = explain(ready, name, targets[-1], scope=6, layer=layer)
            assert np.isfinite(made.of(targets[-1])).all()
    guided = explain(ready, "guided", targets)
    for target in targets:  # nothing is averaged over slices here
        assert np.abs(guided.of(target) - maps.of(target)).max() < 1e-5


@pytest.mark.parametrize(
    ("backbone", "strides", "norm"),
    [("resnet34", (4, 8, 16, 32), "batch"), ("vgg19", (2, 4, 8, 16), "none")],
)
@pytest.mark.parametrize("exits", [(4,), (2, 3)])
def test_cams_of_each_stage_explain_the_exit_that_answers_for_it(backbone, strides, norm, exits):
    design = Design(
        width=4,
        backbone=backbone,
        strides=strides,
        norm=norm,
        exits=exits,
        pooling="gap",
        guidance="product",
        sharing=False,
    )
    torch.manual_seed(0)
    net = alive(GliocamNet.of(3, design))
    images, brain = slices()
    batch = Batch(net, images, brain)
    with torch.inference_mode():
        maps = net(images, brain)
    close(path("guided", batch), maps.aggregates)
    if exits == (4,):  # one exit: average and tumour aggregate are its map
        close(path("average", batch)[:, 0], maps.aggregates[:, 0])
    for layer in (1, 2, 3, 4):
        close(path("exit", batch, layer), maps.exits[layer - 1])
        answers = net.tumour.exit_of(layer)
        if answers < layer:
            with pytest.raises(GliocamError, match=f"choose a layer up to {answers}"):
                ExplainedLayer(layer).check(net.tumour)
            continue
        leaf = batch.activation("tumour", layer).detach().requires_grad_()
        activation = leaf
        for stage in net.tumour.stages[layer:answers]:
            activation = stage(activation)
        score = net.tumour.exits[answers - 1](activation).mean(dim=(2, 3)).sum()
        (expected,) = torch.autograd.grad(score, leaf)
        close(batch.gradients(("tumour",), ExplainedLayer(layer))[0], expected)
