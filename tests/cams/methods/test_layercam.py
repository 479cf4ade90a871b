"""LayerCAM: the fused map is the maximum of the stages' maps, each in [0, 1]."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.layercam import FusedLayerCAM, LayerCAM
from napari_gliocam.cams.methods.scorecam import unit
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.targets import TARGETS


def test_it_is_the_maximum_over_stages_that_explain_one_logit(batch):
    found = FusedLayerCAM().maps(batch, TARGETS, ExplainedLayer())
    expected = torch.zeros_like(found)
    for layer in (1, 2, 3, 4):
        made = unit(LayerCAM().maps(batch, TARGETS, ExplainedLayer(layer, 4)))
        made = F.interpolate(made, size=found.shape[-2:], mode="bilinear", align_corners=False)
        expected = torch.maximum(expected, made)
    torch.testing.assert_close(found, expected)
    assert found.min() >= 0
    assert found.max() == 1


def test_stages_after_the_last_exit_take_no_part(batch):
    torch.manual_seed(0)
    net = GliocamNet(width=4, exits=(2, 3)).eval()
    other = Batch(net, batch.images, batch.brain)
    found = FusedLayerCAM().maps(other, ("core",), ExplainedLayer())
    assert torch.isfinite(found).all()
