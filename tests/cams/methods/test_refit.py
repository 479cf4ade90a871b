import numpy as np
import torch

from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.refit import RefitGradCAM
from napari_gliocam.cams.methods.registry import make_method
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.refine.clusters import cluster_slice
from napari_gliocam.refine.parameters import ClusterParameters

#: A few iterations are enough to have clusters.
QUICK = ClusterParameters(iterations=2)


def test_it_is_gradcam_of_the_slice_painted_by_cluster(batch):
    part = batch.one(0)
    method = RefitGradCAM(clusters=QUICK)
    image, brain = part.images[0].numpy(), part.brain[0, 0].numpy() > 0.5
    scaled = np.clip((image + 4) / 10, 0, 1) * np.float32(255)
    numbers = cluster_slice(scaled, brain, QUICK, spacing=(1.5, 1.5))
    painted = np.zeros_like(image)
    for number in range(1, numbers.max() + 1):
        painted[:, numbers == number] = image[:, numbers == number].mean(axis=1, keepdims=True)
    seen = Batch(batch.net, torch.from_numpy(painted)[None], part.brain)
    for layer in (2, 4):
        wanted = make_method("gradcam").maps(seen, ("core", "edema"), ExplainedLayer(layer))
        found = method.maps(part, ("core", "edema"), ExplainedLayer(layer))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_its_settings_are_plain_values():
    described = RefitGradCAM(pixel_mm=2.0).describe()
    assert described["name"] == "refit"
    assert described["pixel_mm"] == 2.0
    assert described["clusters"]["superpixels"] == ClusterParameters().superpixels
