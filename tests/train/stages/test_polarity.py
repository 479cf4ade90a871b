import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.stages.polarity import settle_polarity

from ..conftest import blob_slices

#: tumour and edema are the blob in channel 2, core the one in channel 0.
CHANNELS = {"tumour": [2], "classes": [0, 2]}


class Exits(nn.Module):
    """Exits made by hand: right about the slice, some inverted about the place.

    A normal one is the channel itself.  An inverted one is ``3 mean(x) - x``: its average rises
    with a lesion that is its lowest part, as with normalisation without parameters.
    """

    def __init__(self, channels, inverted):
        super().__init__()
        self.channels, self.inverted = channels, inverted

    def forward(self, images):
        out = []
        for stride, inverted in zip((2, 4, 8, 8), self.inverted, strict=True):
            x = F.avg_pool2d(images[:, self.channels], stride)
            out.append(3 * x.mean((2, 3), keepdim=True) - x if inverted else x)
        return out


@pytest.fixture
def made():
    """Networks by hand, and what should be found out."""
    net = GliocamNet(width=4, pooling="gap").eval()
    net.tumour = Exits(CHANNELS["tumour"], [False, True, False, True])
    net.classes = Exits(CHANNELS["classes"], [True, False, False, False])
    signs = {"tumour": [1, -1, 1, -1], "core": [-1, 1, 1, 1], "edema": [-1, 1, 1, 1]}
    return net, signs


def test_inverted_exits_are_found_without_a_mask(made):
    net, signs = made
    slices = blob_slices(48)
    settled = settle_polarity(net, slices, np.arange(48))
    assert settled.signs == signs
    for target, expected in signs.items():
        for votes in (settled.skewness, settled.occlusion):  # each vote would do alone
            assert [1 if v > 0 else -1 for v in votes[target]] == expected


def test_everything_downstream_is_in_positive_polarity(made):
    net, signs = made
    slices = blob_slices(48)
    shown = np.flatnonzero(slices.labels[:, 2] > 0)[:8]
    images = torch.from_numpy(slices.images[shown]).float()
    brain = (images != 0).any(1, keepdim=True).float()
    lesion = F.avg_pool2d(images[:, 2:], 5, 1, 2) > 2
    with torch.inference_mode():
        before = net(images, brain)
        net.set_polarity(signs)
        after = net(images, brain)
    torch.testing.assert_close(before.logits, after.logits)
    torch.testing.assert_close(after.exits[1][:, 0], 1 - before.exits[1][:, 0])

    def contrast(maps):
        size = lesion.shape[-2:]
        full = F.interpolate(maps[:, :1], size=size, mode="bilinear", align_corners=False)
        return float(full[lesion].mean() - full[(brain > 0) & ~lesion].mean())

    assert contrast(before.exits[1]) < 0
    for exit_ in after.exits:
        assert contrast(exit_) > 0.1
    assert contrast(after.aggregates) > contrast(before.aggregates) + 0.1


@pytest.mark.parametrize(("how", "sign"), [("normal", 1), ("inverted", -1)])
def test_it_can_be_said_instead(made, how, sign):
    settled = settle_polarity(made[0], blob_slices(8), np.arange(8), how=how)
    assert settled.signs == {t: [sign] * 4 for t in ("tumour", "core", "edema")}


def test_an_exit_that_says_nothing_and_a_class_that_is_not_there_stay_normal(made):
    net, _ = made
    slices = blob_slices(16)
    slices.labels[:, 1] = 0
    net.tumour = Exits([1], [False] * 4)  # a channel without lesions
    settled = settle_polarity(net, slices, np.arange(16))
    assert settled.signs["core"] == [1] * 4
    assert settled.skewness["core"] == [0.0] * 4
    air = blob_slices(16)
    air.images[:] = 0
    assert settle_polarity(net, air, np.arange(16)).signs["tumour"] == [1] * 4
