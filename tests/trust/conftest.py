"""The tiny network and case of the explanation methods, and maps of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.cams.methods.registry import make_method
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import asking
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.progress import finish
from napari_gliocam.targets import TARGETS
from napari_gliocam.trust.randomisation import MapRecipe
from napari_gliocam.trust.scoring import MappedSlice

from ..cams.conftest import alone, bundle, case, make_batch, make_net, net, prepared

__all__ = ["alone", "bundle", "case", "make_batch", "make_net", "net", "prepared"]

#: Slices of the case that show brain.
SLICES = (5, 7)


@pytest.fixture(scope="session")
def asked(prepared):
    """The case with its image-level probabilities, all of them high enough for the gate."""
    return replace(finish(asking(prepared)), probabilities=np.ones((9, 3), np.float32))


@pytest.fixture(scope="session")
def other(bundle, make_net):
    """Another network of the same design."""
    return Bundle(bundle.info, make_net(5))


@pytest.fixture(scope="session")
def maps_of(asked):
    made = {}

    def maps_of(name):
        if name not in made:
            made[name] = explain(asked, name, TARGETS, scope=SLICES)
        return made[name]

    return maps_of


@pytest.fixture(scope="session")
def recipe_of():
    return lambda name: MapRecipe(make_method(name))


@pytest.fixture
def mapped():
    """A slice of noise in an oval brain, and a map of noise."""
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 32), indexing="ij")
    brain = ((y**2 + x**2) < 0.8).float()[None]
    image = torch.randn(3, 24, 32, generator=generator) * brain
    map_ = torch.rand(24, 32, generator=generator).numpy()
    return MappedSlice(image, brain, map_)


@pytest.fixture
def unchanged(net):
    """Fail if a test leaves weights, modes, hooks, seeds or the gradient mode otherwise."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seed, grad = torch.get_rng_state(), torch.is_grad_enabled()
    yield
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(seed, torch.get_rng_state())
    assert torch.is_grad_enabled() == grad
    for module in net.modules():
        assert not module.training
        hooks = {**module._forward_hooks, **module._forward_pre_hooks, **module._backward_hooks}
        assert not hooks
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
