import numpy as np
import pytest
import torch

from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2, Contrast
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.lookalikes import (
    Lookalikes,
    add_lookalikes,
    infarct_wedge,
    surgical_cavity,
)

LEVELS = Contrast(
    means=np.zeros((4, 12)),
    csf=np.array([0.1, 0.1, 1.0, 0.1]),
    grey=np.array([0.5, 0.5, 0.5, 0.6]),
    white=np.array([0.7, 0.7, 0.4, 0.5]),
)


@pytest.fixture(scope="module")
def scene():
    grid = SliceGrid(np.arange(-40.0, 61.0, 5.0), (48, 40), (4.0, 4.0))
    anatomy = procedural_anatomy(0, spacing=4.0)
    fractions, depth, _ = anatomy.sample(*(p.expand(grid.size) for p in grid.points))
    return grid, fractions, depth, torch.full((4, *grid.size), 0.5)


def draw(what, scene, seed, lesion=None):
    grid, fractions, depth, image = scene
    fields = Fields(grid, np.random.default_rng(seed))
    lesion = torch.zeros(grid.size) if lesion is None else lesion
    where = (fractions, depth) if what is infarct_wedge else (depth,)
    return what(fields, image.clone(), *where, lesion, LEVELS)


def test_a_wedge_is_fluid_or_bright_and_its_base_is_the_cortex(scene):
    _, _, depth, image = scene
    wider = 0
    for seed in range(8):
        changed = (draw(infarct_wedge, scene, seed)[FLAIR] - image[FLAIR]).abs() > 0.05
        assert changed.sum() > 5
        assert not changed[depth <= 0].any()
        near, deep = changed & (depth < 12), changed & (depth > 20)
        wider += int(near.sum() > deep.sum())
    assert wider >= 6


def test_a_cavity_is_fluid_and_open_to_the_surface(scene):
    _, _, depth, image = scene
    for seed in range(4):
        out = draw(surgical_cavity, scene, seed)
        fluid = (out[T2] > 0.9) & (out[FLAIR] < 0.2)
        assert fluid.sum() > 5
        assert (fluid & (depth < 6)).any()
        assert not (out != image)[:, depth <= 0].any()


@pytest.mark.parametrize("what", [infarct_wedge, surgical_cavity])
def test_they_stay_off_the_tumour_and_repeat_by_seed(what, scene):
    grid, _, _, image = scene
    lesion = torch.zeros(grid.size)
    lesion[:, :, :20] = 1.0
    out = draw(what, scene, 3, lesion)
    assert torch.equal(out[..., :20], image[..., :20])
    assert not torch.equal(out, image)
    assert torch.equal(out, draw(what, scene, 3, lesion))


def test_some_cortex_enhances_after_an_infarct(scene):
    brightest = [float(draw(infarct_wedge, scene, seed)[T1CE].max()) for seed in range(25)]
    assert 0 < sum(b > 0.75 for b in brightest) < 25


def test_where_there_is_no_place_nothing_is_drawn(scene):
    grid, _, _, image = scene
    everywhere = torch.ones(grid.size)
    for what in (infarct_wedge, surgical_cavity):
        assert torch.equal(draw(what, scene, 0, everywhere), image)


def test_each_is_switched_by_its_probability(scene):
    grid, fractions, depth, image = scene

    def drawn(**often):
        fields = Fields(grid, np.random.default_rng(5))
        lesion = torch.zeros(grid.size)
        return add_lookalikes(
            fields, image.clone(), fractions, depth, lesion, LEVELS, Lookalikes(**often)
        )

    assert torch.equal(drawn(infarct=0, cavity=0), image)
    assert not torch.equal(drawn(infarct=1, cavity=0), image)
    assert not torch.equal(drawn(infarct=0, cavity=1), image)
