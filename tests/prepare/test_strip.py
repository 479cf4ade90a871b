from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi

from napari_gliocam.case import Grid
from napari_gliocam.errors import CaseError
from napari_gliocam.phantom.heads import draw_anatomy, draw_sequence, load_head
from napari_gliocam.prepare.series import SeriesVolume
from napari_gliocam.prepare.strip import (
    UNSURE_FROM_MM,
    brain_logits,
    brain_of,
    may_show_skull,
    shows_skull,
    stripped_brain,
    stripping,
    unsure_mm,
)
from napari_gliocam.prepare.strip_net import StripNet, load_strip_net, standardise
from napari_gliocam.progress import finish

ANATOMY = Path(__file__).parents[3] / "shared" / "anatomy" / "labels"


def test_standardise_ignores_scale_and_offset():
    image = torch.rand(20, 20, 20)
    assert torch.allclose(standardise(image), standardise(image * 700 - 300), atol=1e-4)


def test_the_network_keeps_the_shape_and_its_weights_are_small():
    net = StripNet()
    assert net(torch.zeros(1, 1, 32, 48, 16)).shape == (1, 1, 32, 48, 16)
    assert sum(p.numel() for p in net.parameters()) < 3_000_000
    assert not any(p.requires_grad for p in load_strip_net().parameters())


def volume_of_head(image: torch.Tensor) -> SeriesVolume:
    grid = Grid(np.diag([-2.0, -2.0, 2.0, 1.0]), tuple(image.shape[::-1]))
    return SeriesVolume("T1", image.numpy(), grid)


@pytest.mark.skipif(not ANATOMY.is_dir(), reason="the label maps (../shared) are not here")
@pytest.mark.parametrize("number", [18, 20])  # the hardest of the four, the easiest
def test_the_brain_of_a_head_that_was_held_back_is_found_with_its_lesion(number):
    real = load_head(ANATOMY / f"training_seg_{number}.nii.gz")
    anatomy = draw_anatomy(real, np.random.default_rng(3), moved=False, lesions=1)
    heads = []
    for seed in (1, 2, 3):
        drawn = draw_sequence(anatomy, np.random.default_rng(seed), cut_off=False)
        volume = volume_of_head(drawn.image)
        logits, grid = brain_logits(volume)
        heads.append((logits, grid, np.eye(4)))
    truth, lesion = drawn.brain.numpy() > 0.5, drawn.lesion.numpy() > 0.5
    brain = finish(stripping(heads, volume.grid))
    overlap = 2 * (brain & truth).sum() / (brain.sum() + truth.sum())
    kept = (brain & lesion).sum() / lesion.sum()
    assert overlap > 0.965
    assert kept > 0.98


def test_a_stripped_volume_is_known_by_its_background():
    data = np.full((40, 40, 40), -7.0, np.float32)
    data[10:30, 10:30, 10:30] = np.random.default_rng(0).random((20, 20, 20)) + 1
    volume = SeriesVolume("T1", data, Grid(np.diag([2.0, 2, 2, 1]), (40, 40, 40)))
    brain = stripped_brain(volume)
    assert brain is not None
    assert brain.sum() == 8000
    noise = np.random.default_rng(0).random((40, 40, 40)).astype(np.float32)
    assert stripped_brain(SeriesVolume("T1", noise, volume.grid)) is None


def test_a_few_slices_of_a_head_in_even_air_are_no_stripped_brain():
    place = np.stack(np.meshgrid(np.arange(20), np.arange(120), np.arange(120), indexing="ij"))
    for half_mm, stripped in ((70, True), (95, False)):  # 185 cm2 as a brain, 251 cm2 as a head
        inside = ((place[1] * 2 - 120) / half_mm) ** 2 + ((place[2] * 2 - 120) / 84) ** 2 < 1
        data = np.where(inside, 100.0, 0.0).astype(np.float32)
        volume = SeriesVolume("FLAIR", data, Grid(np.diag([2.0, 2, 3, 1]), (120, 120, 20)))
        assert (stripped_brain(volume) is not None) is stripped


@pytest.mark.parametrize("end", [0, -1])
def test_what_fills_its_end_slices_or_much_altogether_may_show_the_skull(end):
    grid = Grid(np.diag([2.0, 2, 2, 1]), (80, 80, 80))
    filled = np.zeros(grid.shape, bool)
    filled[10:70, 10:70, 10:70] = True
    assert not may_show_skull(filled, grid)
    filled[end, 20:60, 20:60] = True
    assert may_show_skull(filled, grid)
    assert may_show_skull(np.ones_like(filled), grid)


def test_a_head_fills_more_than_the_brain_in_it():
    grid = Grid(np.diag([2.0, 2, 2, 1]), (80, 80, 80))
    filled = np.zeros(grid.shape, bool)
    filled[10:70, 10:70, 10:70] = True
    logits = np.where(filled, 3, -3).astype(np.float32)
    assert not shows_skull(filled, grid, logits, grid)
    logits[10:70, 10:70, 10:30] = -3
    assert shows_skull(filled, grid, logits, grid)
    assert not shows_skull(filled, grid, np.full_like(logits, -3), grid), "nothing was found"


@pytest.mark.skipif(not ANATOMY.is_dir(), reason="the label maps (../shared) are not here")
def test_a_head_whose_field_of_view_is_short_is_no_stripped_brain():
    real = load_head(ANATOMY / "training_seg_18.nii.gz")
    anatomy = draw_anatomy(real, np.random.default_rng(3), moved=False, lesions=0)
    drawn = draw_sequence(anatomy, np.random.default_rng(1), cut_off=False)
    skin = ndi.binary_fill_holes(anatomy.codes.numpy()[::2, ::2, ::2] > 0)
    image = torch.from_numpy(np.where(skin, drawn.image.numpy() + 1, 0)[30:70].astype(np.float32))
    volume = volume_of_head(image)
    filled = volume.data != 0
    assert may_show_skull(filled, volume.grid)
    assert shows_skull(filled, volume.grid, *brain_logits(volume))
    brain = drawn.brain.numpy()[30:70] > 0.5
    stripped = volume_of_head(torch.from_numpy(np.where(brain, image, 0).astype(np.float32)))
    assert not shows_skull(brain, volume.grid, *brain_logits(stripped))


def test_a_series_has_no_say_where_it_shows_nothing():
    image = torch.from_numpy(np.random.default_rng(0).random((35, 41, 49), np.float32))
    volume = volume_of_head(image)
    logits, grid = brain_logits(volume)
    assert logits.shape == grid.shape
    assert all(-1 <= a - b <= 3 for a, b in zip(grid.shape, image.shape, strict=True))
    middles = [g.canonical_affine @ [*(np.array(g.shape) - 1) / 2, 1] for g in (grid, volume.grid)]
    assert np.abs(middles[0] - middles[1]).max() <= 2.0


def test_no_brain_is_found_in_a_slice_or_two():
    """No cube's centre lies in them, which stopped a case of one slice."""
    for slices in (1, 2):
        image = np.random.default_rng(0).random((slices, 200, 160), np.float32)
        volume = SeriesVolume("FLAIR", image, Grid(np.eye(4), (160, 200, slices)))
        logits, grid = brain_logits(volume)
        assert logits.shape == grid.shape
        assert not shows_skull(image > 0, volume.grid, logits, grid)
        with pytest.raises(CaseError, match="No brain was found in FLAIR"):
            brain_of(logits, grid, "FLAIR")


def test_the_network_is_sure_of_the_border_of_a_head_and_not_of_noise():
    noise = torch.from_numpy(np.random.default_rng(0).random((60, 60, 60), np.float32))
    assert unsure_mm(*brain_logits(volume_of_head(noise))) > UNSURE_FROM_MM
    if not ANATOMY.is_dir():
        pytest.skip("the label maps (../shared) are not here")
    real = load_head(ANATOMY / "training_seg_18.nii.gz")
    anatomy = draw_anatomy(real, np.random.default_rng(3), moved=False, lesions=1)
    drawn = draw_sequence(anatomy, np.random.default_rng(1), cut_off=False)
    assert 1.0 < unsure_mm(*brain_logits(volume_of_head(drawn.image))) < UNSURE_FROM_MM


def test_no_brain_is_an_error():
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1]), (16, 16, 16))
    with pytest.raises(CaseError, match="No brain was found in T1"):
        brain_of(np.full((16, 16, 16), -3.0, np.float32), grid, "T1")


def test_the_vote_counts_only_series_that_show_a_place():
    grid = Grid(np.diag([2.5, 2.5, 2.5, 1]), (32, 32, 32))
    full = np.full(grid.shape, -5.0, np.float32)
    full[4:28, 4:28, 4:28] = 5.0
    half = Grid(grid.affine, (32, 32, 16))  # the lower half
    short = half.from_file(grid.to_file(full)[:, :, :16])
    short[:] = np.where(short > 0, 5.0, -5.0)
    brain = finish(stripping([(full, grid, np.eye(4)), (short, half, np.eye(4))], grid))
    assert brain.sum() == pytest.approx(24**3, rel=0.1)
