"""A network with random weights and a case that it sees in a fraction of a second."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.case import Case, ExpertLabels, Grid, Modality
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.targets import TUMOUR_ALONE

SHAPE = (12, 60, 50)


def _make_net(seed: int = 0, width: int = 8) -> GliocamNet:
    """Random weights, and statistics that keep some channels of every layer alive."""
    torch.manual_seed(seed)
    net = GliocamNet(width=width)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
        for exit_ in [*net.tumour.exits, *net.classes.exits]:
            exit_.weight.uniform_(-0.1, 0.4)  # else a ReLU may leave nothing of a map
    return net.eval()


@pytest.fixture(scope="session")
def net():
    return _make_net()


@pytest.fixture(scope="session")
def bundle(net):
    return Bundle(BundleInfo("tiny", "random numbers", "CC0-1.0", width=8), net)


@pytest.fixture(scope="session")
def alone():
    """A bundle of the tumour alone."""
    torch.manual_seed(2)
    net = GliocamNet(width=8, targets=TUMOUR_ALONE).eval()
    info = BundleInfo("alone", "random numbers", "CC0-1.0", width=8, targets=TUMOUR_ALONE)
    return Bundle(info, net)


@pytest.fixture(scope="session")
def case():
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[3:, 10:-10, 8:-8] = True
    volumes = {
        m: (rng.normal(300, 50, SHAPE) * brain).astype(np.float32)
        for m in (Modality.T1CE, Modality.T2, Modality.FLAIR)
    }
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:8, 20:30, 20:30] = 2
    labels[6:8, 22:26, 22:26] = 1
    grid = Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), SHAPE[::-1])
    return Case("made", volumes, grid, expert=ExpertLabels(labels, "gliocam"))


@pytest.fixture(scope="session")
def prepared(case, bundle):
    return prepare(case, bundle, "cpu")


@pytest.fixture
def batch(net):
    return _make_batch(net)


def _make_batch(net: GliocamNet, slices: int = 3, seed: int = 0) -> Batch:
    """Noise in an oval brain."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 32), indexing="ij")
    brain = ((y**2 + x**2) < 0.8).float().expand(slices, 1, -1, -1)
    images = torch.randn(slices, 3, 48, 32, generator=generator) * brain
    return Batch(net, images, brain)


@pytest.fixture(scope="session")
def make_net():
    return _make_net


@pytest.fixture(scope="session")
def make_batch():
    return _make_batch
