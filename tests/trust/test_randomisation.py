"""Weights drawn anew, and how alike maps are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.registry import METHODS
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.trust.randomisation import (
    STAGES,
    MapRecipe,
    Randomisation,
    randomise,
    randomised,
    randomising,
)
from napari_gliocam.trust.repeatability import repeat
from napari_gliocam.trust.similarity import Plane, compare_planes, unrelated

from .conftest import SLICES


def test_similarity_is_that_of_a_loop_over_pixels():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 16, 14)).astype(np.float32)
    inside = np.zeros((16, 14), bool)
    inside[4:12, 4:10] = True
    local = []
    for y, x in zip(*np.nonzero(inside), strict=True):
        one, two = (m[y - 3 : y + 4, x - 3 : x + 4].astype(float).ravel() for m in (a, b))
        (v1, c), (_, v2) = np.cov(one, two)
        means = one.mean(), two.mean()
        c1, c2 = 0.01**2, 0.03**2
        local.append(
            (2 * means[0] * means[1] + c1)
            * (2 * c + c2)
            / ((means[0] ** 2 + means[1] ** 2 + c1) * (v1 + v2 + c2))
        )
    found = compare_planes(Plane(a, inside), Plane(b, inside))
    assert found.ssim == pytest.approx(np.mean(local), abs=1e-4)
    ranks = [m[inside].argsort().argsort() for m in (a, b)]
    assert found.rank_correlation == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)
    same = compare_planes(Plane(a, inside), Plane(a, inside))
    assert same.ssim == pytest.approx(1)
    assert same.rank_correlation == pytest.approx(1)


def test_a_flat_map_is_like_nothing_and_divides_by_nothing():
    inside = np.ones((8, 8), bool)
    flat = Plane(np.zeros((8, 8), np.float32), inside)
    ramp = Plane(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), inside)
    assert compare_planes(flat, ramp).rank_correlation == 0
    assert compare_planes(ramp, Plane(ramp.map_, ~inside)).ssim == 0
    assert unrelated({1: flat}) is None
    assert unrelated({1: ramp}) is not None
    assert unrelated({1: ramp, 2: flat, 3: ramp}) is not None


@pytest.mark.parametrize("stage", STAGES)
def test_one_stage_is_drawn_anew_and_no_other(net, unchanged, stage):
    copy = randomised(net, [stage], seed=3)
    parts = {
        "heads": (".exits.", "_attention."),
        "stem": (".stem.",),
    }.get(stage, (f".stages.{int(stage[-1]) - 1}." if stage[-1].isdigit() else "",))
    same = copy.state_dict()
    for name, value in net.state_dict().items():
        inside = any(part in f".{name}" for part in parts)
        if not inside:
            assert torch.equal(value, same[name]), name
    weights = [n for n, v in net.state_dict().items() if v.ndim > 1]
    changed = {n for n in weights if not torch.equal(net.state_dict()[n], same[n])}
    assert changed == {n for n in weights if any(part in f".{n}" for part in parts)}
    again = randomised(net, [stage], seed=3).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in same.items())
    assert not copy.training


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_made_by_networks_that_know_nothing(asked, recipe_of, unchanged, name):
    found = randomise(asked, recipe_of(name), "edema", SLICES)
    figures = found.figures()
    assert np.isfinite(list(figures.values())).all()
    if found.baseline is None:
        assert found.reason()
        return
    assert list(found.cascading) == list(STAGES)
    assert set(found.alone) == set(STAGES)
    assert found.alone["heads"] == found.cascading["heads"]
    assert figures["randomisation"] in (0, 1)


class Picture(Method):
    """Shows the slice, whatever the networks know."""

    name = title = "picture"
    bounded = True

    def maps(self, batch, targets, explained):
        picture = (batch.images[:, 0] / 6).clamp(0, 1) * batch.brain[:, 0]
        return picture.expand(len(targets), *picture.shape)


class Weights(Method):
    """Shows noise that is drawn from the weights."""

    name = title = "weights"
    bounded = True

    def maps(self, batch, targets, explained):
        total = sum(float(p.detach().sum()) for p in batch.net.parameters())
        generator = torch.Generator().manual_seed(int(abs(total) * 1e4))
        noise = torch.rand(len(targets), *batch.images[:, 0].shape, generator=generator)
        return noise * batch.brain[:, 0]


def test_a_picture_of_the_slice_fails_and_what_depends_on_the_weights_passes(asked):
    found = randomise(asked, MapRecipe(Picture()), "core", SLICES)
    assert found.passed is False
    assert found.cascading["stem"].ssim == pytest.approx(1)
    found = randomise(asked, MapRecipe(Weights()), "core", SLICES)
    assert found.passed is True
    assert abs(found.cascading["heads"].rank_correlation) < 0.1


def test_closing_keeps_the_networks_that_are_finished(asked, recipe_of, unchanged):
    found = Randomisation("core")
    work = randomising(asked, recipe_of("guided"), "core", SLICES, into=found)
    for _ in work:
        if len(found.cascading) == 2:
            work.close()
    assert list(found.cascading) == ["heads", "stage 4"]
    assert found.passed is None
    assert "stopped" in found.reason()
    assert randomise(asked, recipe_of("guided"), "core", []).reason()


def test_the_same_network_repeats_its_map_and_another_does_not(asked, case, other):
    recipe = MapRecipe(Weights())
    same = repeat(asked, asked, recipe, "core", SLICES).figures()
    assert same["repeatability-ssim"] == pytest.approx(1)
    assert same["repeatability-rank"] == pytest.approx(1)
    second = prepare(case, other, "cpu")
    found = repeat(asked, second, recipe, "core", SLICES)
    assert abs(found.figures()["repeatability-rank"]) < 0.1
    assert list(found.slices) == list(SLICES)
    assert repeat(asked, second, recipe, "core", []).reason()
