"""Closed forms, and what holds for every method."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.cams.methods.base import finish_steps
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.multiscale import MultiScale
from napari_gliocam.cams.methods.registry import METHODS, make_method
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.cams.run.explain import Explaining, explain
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.targets import TARGETS

every_method = pytest.mark.parametrize("name", METHODS)


# ---- closed forms at the layer right before an exit


def softmax_weights(batch, target, layer):
    """Gradient of the pooled logit by the exit's map: the softmax of r M over the brain."""
    from napari_gliocam.cams.run.batch import inside_of

    logits = batch.learned(target, layer)[:, 0]
    inside = inside_of(batch.brain, logits.shape[-2:])
    scaled = (3.0 * logits).masked_fill(~inside, -torch.inf)
    return scaled.flatten(1).softmax(dim=1).reshape(logits.shape)


@pytest.mark.parametrize("layer", [1, 4])
def test_gradcam_before_an_exit_is_that_exits_map_without_bias(batch, layer):
    exit_ = batch.net.tumour.exits[layer - 1]
    expected = (batch.learned("tumour", layer)[:, 0] - exit_.bias).relu()
    found = make_method("gradcam").maps(batch, ("tumour",), ExplainedLayer(layer))[0]
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("layer", [2, 4])
def test_layercam_before_an_exit(batch, layer):
    weight = batch.net.classes.exits[layer - 1].weight[1, :, 0, 0]
    activation = batch.activation("edema", layer)
    positive = torch.einsum("c,bchw->bhw", weight.relu(), activation)
    weights = softmax_weights(batch, "edema", layer)
    expected = weights * positive * weights[0].numel()
    found = make_method("layercam").maps(batch, ("edema",), ExplainedLayer(layer))[0]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_gradcam_plusplus_before_an_exit(batch):
    weight = batch.net.tumour.exits[3].weight[0, :, 0, 0]
    activation = batch.activation("tumour", 4)
    g = weight[None, :, None, None] * softmax_weights(batch, "tumour", 4)[:, None]
    total = activation.sum(dim=(2, 3), keepdim=True)
    share = g**2 / (2 * g**2 + total * g**3)
    weights = torch.where(g > 0, share * g, 0).sum(dim=(2, 3))
    expected = torch.einsum("bc,bchw->bhw", weights, activation)
    found = make_method("gradcam++").maps(batch, ("tumour",), ExplainedLayer(4))[0]
    assert torch.allclose(found, expected, rtol=1e-4)


def test_smooth_without_noise_is_gradcam_plusplus(batch):
    smooth = make_method("smoothgradcam++", sigma=0.0, samples=2).maps(
        batch, TARGETS, ExplainedLayer(3)
    )
    plain = make_method("gradcam++").maps(batch, TARGETS, ExplainedLayer(3))
    assert torch.allclose(smooth, plain, rtol=1e-3, atol=1e-6)


def test_scorecam_by_hand(batch):
    batch = batch.one(0)
    activation = batch.activation("core", 4)
    scores = []
    for channel in activation[0]:
        mask = torch.nn.functional.interpolate(
            channel[None, None], batch.images.shape[-2:], mode="bilinear"
        )
        span = mask.max() - mask.min()
        mask = (mask - mask.min()) / span if span > 0 else torch.zeros_like(mask)
        masked = Batch(batch.net, batch.images * mask, batch.brain)
        from napari_gliocam.nets.multi_exit import lse_pool

        with torch.no_grad():
            scores.append(lse_pool(masked.learned("core", 4), batch.brain)[0, 0])
    weights = torch.stack(scores).softmax(dim=0)
    expected = torch.einsum("c,bchw->bhw", weights, activation)
    found = make_method("scorecam").maps(batch, ("core",), ExplainedLayer(4))[0]
    assert torch.allclose(found, expected, rtol=1e-4)


def test_constant_channels_share_one_pass_and_change_nothing(batch, monkeypatch):
    batch = batch.one(0)
    activation = batch.activation("core", 4)
    activation[:, ::2] = 0.0
    passes = []
    scores = Batch.scores

    def counted(self, target, images, *rest):
        passes.append(len(images))
        return scores(self, target, images, *rest)

    monkeypatch.setattr(Batch, "scores", counted)
    method = make_method("scorecam")
    found = method.maps(batch, ("core", "edema"), ExplainedLayer(4))
    alive = activation.shape[1] // 2
    assert sum(passes) <= alive + 1
    monkeypatch.setattr(method, "split", lambda c: (torch.arange(len(c)), torch.arange(0)))
    assert torch.allclose(
        found, method.maps(batch, ("core", "edema"), ExplainedLayer(4)), rtol=1e-5
    )


def test_all_channels_or_groups_of_one_are_scorecam_itself(batch):
    exact = make_method("scorecam").maps(batch.one(0), TARGETS, ExplainedLayer(2))
    top = make_method("scorecam-top", channels=1000).maps(batch.one(0), TARGETS, ExplainedLayer(2))
    assert torch.allclose(relative(exact), relative(top), rtol=1e-4)
    convention = "torch-cam"  # groups average masks before they are enlarged
    exact = make_method("scorecam", convention=convention).maps(
        batch.one(0), TARGETS, ExplainedLayer(2)
    )
    method = make_method("scorecam-grouped", groups=1000, convention=convention)
    grouped = method.maps(batch.one(0), TARGETS, ExplainedLayer(2))
    assert torch.allclose(relative(exact), relative(grouped), rtol=1e-3)


def relative(maps):
    """Constant channels have a share of the softmax, which scales a map as a whole."""
    return maps / maps.amax(dim=(2, 3), keepdim=True)


def test_average_is_the_mean_of_the_exit_maps_of_a_segmentation(prepared, case, bundle):
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    for target in TARGETS:
        exits = [maps.volume(f"exit {e}", target) for e in range(1, 5)]
        for layer in (1, 4):
            own = explain(prepared, "exit", target, layer=layer).of(target)
            assert np.abs(own - exits[layer - 1]).max() < 2e-3  # float16 there
        guided = explain(prepared, "guided", target).of(target)
        assert np.abs(guided - maps.volume("aggregate", target)).max() < 1e-5
        # Enlarging and the sigmoid do not commute, so this is near, not equal.
        average = explain(prepared, "average", target).of(target)
        assert np.corrcoef(average.ravel(), np.mean(exits, axis=0).ravel())[0, 1] > 0.95
        ame = explain(prepared, "amecam", target).of(target)
        assert np.abs(ame - (4 * average + guided) / 5).max() < 1e-5


# ---- multi-scale


@every_method
def test_the_scale_1_alone_is_the_method_itself(batch, name):
    method = make_method(name)
    alone = MultiScale(method, scales=(1.0,)).maps(batch.one(0), TARGETS, ExplainedLayer(3))
    assert torch.equal(alone, method.maps(batch.one(0), TARGETS, ExplainedLayer(3)))


def test_multi_scale_is_the_mean_of_its_scales(batch):
    method = make_method("multiscale:exit")
    maps = method.maps(batch, ("core",), ExplainedLayer(4))
    assert maps.shape == (1, 3, 12, 8)  # of the scale 2: 96 x 64 pixels, stride 8
    assert finish_steps(method.steps(batch, ("core",), ExplainedLayer(4))).equal(maps)
    assert maps.min() >= 0
    assert maps.max() <= 1
    scales = [MultiScale(method.method, scales=(s,)) for s in (1.0, 2.0)]
    small, large = (m.maps(batch, ("core",), ExplainedLayer(4)) for m in scales)
    both = MultiScale(method.method, scales=(1.0, 2.0)).maps(batch, ("core",), ExplainedLayer(4))
    grown = torch.nn.functional.interpolate(small, large.shape[-2:], mode="bilinear")
    assert torch.allclose(both, (grown + large) / 2, atol=1e-6)


@pytest.mark.parametrize("name", ["gradcam", "gradcam++", "smoothgradcam++", "layercam"])
def test_every_scale_of_a_gradient_method_counts_the_same(name, make_net):
    """Shares of the mean on slices that look the same at every scale: noise-free and constant."""
    batch = Batch(make_net(), torch.full((1, 3, 64, 64), 1.5), torch.ones(1, 1, 64, 64))
    settings = {"sigma": 0.0} if name == "smoothgradcam++" else {}
    for normalise_scales in (False, True):
        method = make_method(f"multiscale:{name}", normalise_scales=normalise_scales, **settings)
        assert method.describe()["normalise_scales"] is normalise_scales
    parts = [
        MultiScale(make_method(name, **settings), (s,)).maps(batch, ("tumour",), ExplainedLayer(1))
        for s in (0.5, 1.0, 1.5, 2.0)
    ]
    middles = [float(p[0, 0, p.shape[2] // 2, p.shape[3] // 2]) for p in parts]
    shares = np.array(middles) / sum(middles)
    assert np.abs(shares - 0.25).max() < 0.05, shares


def test_normalised_scales_are_each_in_0_1(batch):
    each = make_method("multiscale:gradcam", normalise_scales=True)
    maps = each.maps(batch, TARGETS, ExplainedLayer(3))
    assert maps.min() >= 0
    assert maps.max() <= 1
    plain = make_method("multiscale:gradcam").maps(batch, TARGETS, ExplainedLayer(3))
    assert not torch.allclose(relative(maps), relative(plain), atol=1e-2)


# ---- what holds for every method


@every_method
def test_raw_maps(batch, name):
    method = make_method(name)
    maps = method.maps(batch, TARGETS, ExplainedLayer(3))
    assert maps.shape[:2] == (3, 3)
    assert maps.min() >= 0
    assert not maps.requires_grad
    if method.bounded:
        assert maps.max() <= 1


@every_method
def test_slices_do_not_see_each_other(name, make_net, make_batch):
    net = make_net()
    together = make_method(name).maps(make_batch(net), TARGETS, ExplainedLayer(2))
    for index in range(3):
        alone = make_method(name).maps(make_batch(net).one(index), TARGETS, ExplainedLayer(2))
        assert torch.allclose(together[:, index], alone[:, 0], rtol=1e-3, atol=1e-5)


@every_method
def test_targets_together_are_as_alone(batch, name):
    batch = batch.one(1)
    together = make_method(name).maps(batch, ("edema", "tumour", "core"), ExplainedLayer(3))
    for index, target in enumerate(("edema", "tumour", "core")):
        alone = make_method(name).maps(batch, (target,), ExplainedLayer(3))
        assert torch.allclose(together[index], alone[0], rtol=1e-4, atol=1e-7)


def state_of(net):
    """Everything that a method could leave behind on a network."""
    hooks = [
        len(getattr(module, kind))
        for module in net.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    ]
    return (
        hooks,
        [module.training for module in net.modules()],
        [(p.requires_grad, p.grad is None) for p in net.parameters()],
    )


def untouched(net, before, state):
    assert state_of(net) == state
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


@every_method
def test_nothing_is_left_on_the_network_after_success_cancel_and_error(
    prepared, bundle, name, monkeypatch
):
    net = bundle.net
    before, state = copy.deepcopy(net.state_dict()), state_of(net)
    explain(prepared, name, TARGETS, layer=2, scope=(5, 6))
    untouched(net, before, state)
    for stop in (1, 2, 3):
        work = Explaining(prepared, name, TARGETS, explained=ExplainedLayer(2), scope=(5, 6))
        steps = work.run()
        for _ in range(stop):
            next(steps, None)
        steps.close()
        untouched(net, before, state)

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(net.classes.stages[1], "forward", broken)
    with pytest.raises(RuntimeError, match="broken"):
        explain(prepared, name, TARGETS, layer=2, scope=(5, 6))
    monkeypatch.undo()
    untouched(net, before, state)


def test_a_network_in_training_mode_is_refused(net, make_batch):
    training = copy.deepcopy(net).train()
    with pytest.raises(ValueError, match="training mode"):
        make_batch(training)


def test_cancelled_scorecam_keeps_the_channels_that_are_scored(prepared, monkeypatch):
    monkeypatch.setattr("napari_gliocam.cams.methods.scorecam.CHUNK", {"cpu": 10})
    whole = explain(prepared, "scorecam", "core", layer=4, scope=(5, 6))
    work = Explaining(prepared, "scorecam", "core", explained=ExplainedLayer(4), scope=(5, 6))
    steps = work.run()
    reports = []
    for report in steps:
        reports.append((report.done, report.total))
        if report.done >= 64 + 30:  # in the middle of the second slice of 64 channels
            break
    steps.close()
    assert reports[:3] == [(0, 2), (10, 128), (20, 128)]
    assert reports[-1] == (94, 128)
    kept = work.so_far()
    assert kept.raw.finished.tolist() == [True, False]
    assert work.seconds_left > 0
    assert np.array_equal(kept.core[5], whole.core[5])
    half = kept.core[6]
    assert half.max() > 0.5
    assert not np.array_equal(half, whole.core[6])
    assert np.corrcoef(half.ravel(), whole.core[6].ravel())[0, 1] > 0.3


def test_the_menu_says_what_the_methods_say_and_needs_no_torch():
    for name, entry in METHODS.items():
        method = make_method(name)
        assert method.name == name
        assert (entry.title, entry.layered) == (method.title, method.layered)
        assert entry.slow == (method.unit is not None)
    compared = ("comparison", "sheet", "ensemble", "threshold_grid")
    rooms = ("methods.registry", *(f"compare.{name}" for name in compared))
    code = "; ".join(f"import napari_gliocam.cams.{room}" for room in rooms)
    code += "; import sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sentences_of_the_registry():
    with pytest.raises(GliocamError, match='no method "x"; choose one of gradcam, gradcam\\+\\+'):
        make_method("multiscale:x")


# ---- odd input


@every_method
@settings(max_examples=6)
@given(height=st.integers(1, 4), width=st.integers(1, 4), seed=st.integers(0, 3))
def test_any_size_and_a_slice_without_brain(name, make_net, height, width, seed):
    net = make_net(seed, width=4)
    images = torch.randn(2, 3, 16 * height, 16 * width)
    brain = torch.ones(2, 1, 16 * height, 16 * width)
    images[1], brain[1] = 0, 0
    method = make_method(name) if name != "scorecam-grouped" else make_method(name, groups=4)
    maps = method.maps(Batch(net, images, brain), ("edema",), ExplainedLayer(4))
    assert maps.shape[:2] == (1, 2)
    assert torch.isfinite(maps).all()
