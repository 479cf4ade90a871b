"""The same values as torch-cam and pytorch-grad-cam on the same network, layer and input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.registry import make_method
from napari_gliocam.maps.raw_maps import normalise_maps
from napari_gliocam.nets.multi_exit import lse_pool

TOLERANCE = 1e-4
WITHOUT_SETTINGS = ("gradcam", "layercam")
LAYERS = [(1, None), (3, 4), (4, None), (2, "mean")]


class Logits(torch.nn.Module):
    """What both libraries expect: images in, a logit for each class out."""

    def __init__(self, part, brain, exits):
        super().__init__()
        self.part, self.brain, self.exits = part, brain, exits

    def forward(self, images):
        maps = self.part(images)
        pooled = [lse_pool(maps[e - 1], self.brain[: len(images)]) for e in self.exits]
        return torch.stack(pooled).mean(dim=0)


@pytest.fixture
def setup(make_net, make_batch):
    """A network whose parameters are as they were after the libraries have worked with it."""
    net = make_net(1)
    return net, make_batch(net, slices=2)


def ours(name, batch, explained, target, **settings):
    method = make_method(name, **settings)
    return unit(method.maps(batch, (target,), explained)[0])


def unit(maps):
    raw = np.asarray(maps.detach().numpy() if isinstance(maps, torch.Tensor) else maps)
    return normalise_maps(raw.astype(np.float32), np.ones(raw.shape, dtype=bool))


def enlarged(maps, batch):
    """pytorch-grad-cam enlarges its maps to the input, then brings them into [0, 1] again."""
    size = batch.images.shape[-2:]
    grown = F.interpolate(torch.from_numpy(maps)[:, None], size, mode="bilinear")[:, 0]
    return unit(grown)


def settings(name, convention):
    return {} if name in WITHOUT_SETTINGS else {"convention": convention}


@pytest.mark.parametrize(("layer", "score"), LAYERS)
@pytest.mark.parametrize("name", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("target", ["tumour", "edema"])
def test_gradients_as_in_torch_cam(setup, name, target, layer, score):
    methods = pytest.importorskip("torchcam.methods")
    theirs = {
        "gradcam": methods.GradCAM,
        "gradcam++": methods.GradCAMpp,
        "layercam": methods.LayerCAM,
    }[name]
    net, batch = setup
    part, column = (net.tumour, 0) if target == "tumour" else (net.classes, 1)
    explained = ExplainedLayer(layer, score)
    model = Logits(part, batch.brain, explained.exits).eval()
    with theirs(model, f"part.stages.{layer - 1}") as extractor:
        scores = model(batch.images)
        (reference,) = extractor.compute_cams(column, scores, normalized=False)
    found = ours(name, batch, explained, target, **settings(name, "torch-cam"))
    assert np.abs(found - unit(reference)).max() <= TOLERANCE
    assert found.max() == 1


@pytest.mark.parametrize(("layer", "score"), LAYERS)
@pytest.mark.parametrize("name", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("target", ["tumour", "edema"])
def test_gradients_as_in_pytorch_grad_cam(setup, name, target, layer, score):
    library = pytest.importorskip("pytorch_grad_cam", exc_type=ImportError)
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    theirs = {
        "gradcam": library.GradCAM,
        "gradcam++": library.GradCAMPlusPlus,
        "layercam": library.LayerCAM,
    }[name]
    net, batch = setup
    part, column = (net.tumour, 0) if target == "tumour" else (net.classes, 1)
    explained = ExplainedLayer(layer, score)
    model = Logits(part, batch.brain, explained.exits).eval()
    with theirs(model, [part.stages[layer - 1]]) as extractor:
        asked = [targets.ClassifierOutputTarget(column)] * len(batch)
        reference = extractor(batch.images, asked)
    found = ours(name, batch, explained, target, **settings(name, "pytorch-grad-cam"))
    assert np.abs(enlarged(found, batch) - unit(reference)).max() <= TOLERANCE


@pytest.mark.parametrize("layer", [2, 4])
def test_smooth_gradcam_plusplus_as_in_torch_cam(setup, layer, monkeypatch):
    methods = pytest.importorskip("torchcam.methods")
    net, batch = setup
    method = make_method("smoothgradcam++", convention="torch-cam")
    noise = iter(method.noise(batch.images))
    model = Logits(net.classes, batch.brain, (layer,)).eval()
    with methods.SmoothGradCAMpp(model, f"part.stages.{layer - 1}") as extractor:
        monkeypatch.setattr(
            extractor._distrib, "sample", lambda size: next(noise).expand(size).clone()
        )
        scores = model(batch.images)
        (reference,) = extractor.compute_cams(1, scores, normalized=False)
    found = unit(method.maps(batch, ("edema",), ExplainedLayer(layer))[0])
    assert np.abs(found - unit(reference)).max() <= TOLERANCE
    assert found.max() == 1


@pytest.mark.parametrize("layer", [1, 4])
def test_scorecam_as_in_torch_cam(setup, layer):
    methods = pytest.importorskip("torchcam.methods")
    net, batch = setup
    batch = batch.one(0)
    model = Logits(net.classes, batch.brain, (layer,)).eval()
    model.brain = model.brain.expand(64, -1, -1, -1)
    with methods.ScoreCAM(model, f"part.stages.{layer - 1}") as extractor:
        with torch.no_grad():
            model(batch.images)
        (reference,) = extractor.compute_cams(0, normalized=False)
    found = ours("scorecam", batch, ExplainedLayer(layer), "core", convention="torch-cam")
    assert np.abs(found - unit(reference)).max() <= TOLERANCE


@pytest.mark.parametrize("layer", [1, 4])
def test_scorecam_as_in_pytorch_grad_cam(setup, layer):
    library = pytest.importorskip("pytorch_grad_cam", exc_type=ImportError)
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    net, batch = setup
    batch = batch.one(0)
    model = Logits(net.classes, batch.brain.expand(64, -1, -1, -1), (layer,)).eval()
    with library.ScoreCAM(model, [net.classes.stages[layer - 1]]) as extractor:
        reference = extractor(batch.images, [targets.ClassifierOutputTarget(0)])
    found = ours("scorecam", batch, ExplainedLayer(layer), "core", convention="pytorch-grad-cam")
    assert np.abs(enlarged(found, batch) - unit(reference)).max() <= TOLERANCE
