"""The same values as torch-cam's and pytorch-grad-cam's metrics on the same network and map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_gliocam.progress import finish
from napari_gliocam.trust.faithfulness import ROAD_FRACTIONS, FaithfulnessSettings, measuring_slice
from napari_gliocam.trust.scoring import ImageScore, MappedSlice

TOLERANCE = 1e-4


@pytest.fixture
def everywhere(net):
    """A slice that is brain all over, as the libraries know no air."""
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(3, 48, 32, generator=generator)
    map_ = torch.rand(48, 32, generator=generator).numpy()
    return MappedSlice(image, torch.ones(1, 48, 32), map_)


class Model(torch.nn.Module):
    """The networks as the libraries want them: images in, a score for each class out."""

    def __init__(self, net, target):
        super().__init__()
        self.score = ImageScore(net, target)

    def forward(self, images):
        brain = torch.ones(len(images), 1, *images.shape[-2:])
        return self.score(images, brain)[:, None]


class Extractor:
    """A CAM extractor of torch-cam that gives the map at hand."""

    def __init__(self, model, map_):
        self.model, self.map_ = model, map_

    def __call__(self, *arguments, **options):
        return [torch.from_numpy(self.map_)[None]]

    def fuse_cams(self, cams):
        return cams[0]

    def _hooks_off(self):
        import contextlib

        return contextlib.nullcontext()


@pytest.mark.parametrize("steps", [10, 100])
@pytest.mark.parametrize("target", ["tumour", "edema"])
def test_deletion_insertion_and_drop_as_in_torch_cam(net, everywhere, target, steps):
    metrics = pytest.importorskip("torchcam.metrics")
    model = Model(net, target).eval()
    settings = FaithfulnessSettings(steps=steps, road=False)
    ours = finish(measuring_slice(everywhere, model.score, settings))
    mean = everywhere.image.mean(dim=(1, 2))[None, :, None, None]
    theirs = metrics.DeletionInsertionMetric(
        Extractor(model, everywhere.map_), steps=steps, baseline=mean
    )
    theirs.update(everywhere.image[None], class_idx=0)
    found = theirs.summary()
    assert ours.deletion.area == pytest.approx(found["deletion_auc"], abs=TOLERANCE)
    assert ours.insertion.area == pytest.approx(found["insertion_auc"], abs=TOLERANCE)
    centred = MappedSlice(everywhere.image - mean[0], everywhere.brain, everywhere.map_)
    ours = finish(measuring_slice(centred, model.score, settings))  # their baseline is always 0
    theirs = metrics.ClassificationMetric(Extractor(model, everywhere.map_))
    theirs.update(centred.image[None], class_idx=0)
    found = theirs.summary()
    assert ours.drop == pytest.approx(found["avg_drop"], abs=TOLERANCE)
    assert ours.figures()["increase-in-confidence"] == found["conf_increase"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, in their code
@pytest.mark.parametrize("target", ["tumour", "edema"])
def test_road_as_in_pytorch_grad_cam(net, everywhere, target):
    road = pytest.importorskip("pytorch_grad_cam.metrics.road", exc_type=ImportError)
    score = ImageScore(net, target)
    model = Model(net, target).eval()
    ours = finish(measuring_slice(everywhere, score, FaithfulnessSettings(steps=2, seed=7)))
    for kind, curve in (
        (road.ROADMostRelevantFirst, ours.road_most),
        (road.ROADLeastRelevantFirst, ours.road_least),
    ):
        theirs = []
        for fraction in ROAD_FRACTIONS:
            torch.manual_seed(7)
            metric = kind(percentile=100 - 100 * fraction)
            theirs.append(
                metric(
                    everywhere.image[None],
                    everywhere.map_[None],
                    [lambda output: output[0]],
                    model,
                    return_diff=False,
                )[0]
            )
        assert np.abs(curve.scores - theirs).max() <= TOLERANCE
