"""One augmentation for both trainings: what moves, what changes, and what stays."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from napari_gliocam.train.data.augment import DrawsBySlice, DrawsOnDevice, augment
from napari_gliocam.train.recipe.augment import Augment

NOTHING = Augment.nothing()


def slices(count=3):
    """Return slices of two modalities with a neighbour on either side, and their masks."""
    images = torch.zeros(count, 6, 32, 32)
    images[:, :, 4:28, 4:28] = 1.0
    images[:, :, 8:14, 18:24] = 4.0
    masks = torch.zeros(count, 2, 32, 32)
    masks[:, 1, 8:14, 18:24] = 1.0
    return images, masks


def rngs(count=3, seed=0):
    return [np.random.default_rng([seed, number]) for number in range(count)]


def changed(images, how, masks=None, seed=0, modalities=2):
    draws = DrawsBySlice(rngs(len(images), seed))
    return augment(images, how, draws, modalities=modalities, masks=masks)


def test_nothing_is_every_change_at_its_neutral_value():
    kept = {f.name: getattr(NOTHING, f.name) for f in fields(Augment)}
    assert kept == {**dict.fromkeys(kept, 0.0), "crop": 1.0}
    assert not NOTHING.moves


def test_nothing_changes_nothing():
    images, masks = slices()
    found = changed(images, NOTHING, masks)
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], masks)
    assert changed(images, NOTHING)[1] is None


@pytest.mark.parametrize(
    "how", [{"mirror": 1.0}, {"quarter_turns": 1.0}, {"rotate_deg": 30.0}, {"shift_px": 3.0},
            {"scale": 0.1}, {"crop": 0.7}, {"bend": 0.01}]
)  # fmt: skip
def test_masks_move_with_their_slices(how):
    images, masks = slices()
    moved, where = changed(images, replace(NOTHING, **how), masks)
    assert not torch.allclose(moved, images)
    for image, mask in zip(moved, where, strict=True):
        bright, mask = image[0] > 2.5, mask[1] > 0.5
        assert (bright & mask).sum() / (bright | mask).sum() > 0.85


@pytest.mark.parametrize(
    "how", [{"gain": 0.3}, {"offset": 0.3}, {"curve": 0.3}, {"bias_field": 0.3}, {"noise": 0.3},
            {"blur": 1.0}, {"drop_modality": 0.5}]
)  # fmt: skip
def test_intensities_change_and_neither_masks_nor_air_do(how):
    images, masks = slices(9)
    moved, where = changed(images, replace(NOTHING, **how), masks)
    assert not torch.allclose(moved, images)
    assert torch.equal(where, masks)
    assert torch.equal(
        moved[:, :2].any(dim=1) & (images[:, 0] == 0), torch.zeros_like(masks[:, 0]) > 0
    )


def test_a_missing_modality_stays_missing():
    images, _ = slices()
    images[:, 1::2] = 0
    moved, _ = changed(images, Augment(rotate_deg=10.0))
    assert moved[:, ::2].any()
    assert not moved[:, 1::2].any()


def test_a_slice_may_stand_in_for_its_neighbours():
    images, _ = slices()
    images[:, :2] = 2 * images[:, :2]
    moved, _ = changed(images, replace(NOTHING, drop_neighbours=1.0))
    assert torch.equal(moved[:, :2], moved[:, 2:4])


def test_one_of_the_first_two_modalities_is_left_out_at_most():
    images = torch.ones(40, 3, 8, 8)
    moved, _ = changed(images, replace(NOTHING, drop_modality=0.4), modalities=3)
    seen = {tuple(image.flatten(1).any(dim=1).tolist()) for image in moved}
    assert seen == {(True, True, True), (True, False, True), (False, True, True)}


@pytest.mark.parametrize(
    "how", [Augment(), Augment(rotate_deg=20.0, scale=0.1, bend=0.01, blur=1.0)]
)
def test_a_slice_is_changed_alike_in_any_batch(how):
    images, masks = slices()
    together = changed(images, how, masks)
    own = DrawsBySlice(rngs()[1:2])
    alone = augment(images[1:2], how, own, modalities=2, masks=masks[1:2])
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a[1:2], b)


def test_given_slices_are_left_as_they_are():
    images, masks = slices()
    before = images.clone(), masks.clone()
    changed(images, Augment(rotate_deg=20.0), masks)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


def test_a_shift_is_by_whole_pixels_and_what_leaves_does_not_come_back():
    images = torch.zeros(20, 3, 8, 8)
    images[:, :, 0, 0] = 1
    moved, _ = changed(images, replace(NOTHING, shift_px=3.0), modalities=3)
    assert not moved[:, :, 4:].any()
    assert not moved[:, :, :, 4:].any()
    sums = {round(float(image.sum()), 3) for image in moved}
    assert sums == {0.0, 3.0}


@pytest.mark.parametrize(
    ("how", "low", "high"), [({"rotate_deg": 45.0}, 95, 105), ({"crop": 0.5}, 101, 202)]
)
def test_a_turn_keeps_the_size_and_a_crop_enlarges(how, low, high):
    images = torch.zeros(5, 1, 40, 40)
    images[:, :, 15:25, 15:25] = 1
    _, masks = changed(images, replace(NOTHING, **how), images, modalities=1)
    areas = masks.sum(dim=(1, 2, 3))
    assert areas.min() > low
    assert areas.max() < high


def test_enhancement_is_taken_away_where_soft_maps_show_a_core():
    how = replace(NOTHING, without_enhancement=1.0)
    image = torch.rand(3, 2, 40, 40) * 0.1 + 0.5
    maps = torch.zeros(3, 3, 40, 40)
    maps[:, [0, 2], 8:32, 8:32] = 0.9
    maps[:, 1, 16:24, 16:24] = 0.9
    maps[1, 1] = 0  # edema alone
    maps[2] = torch.nan  # not known
    image[:, 0, 16:24, 16:24] = 4
    moved, masks = changed(image, how, maps)
    assert torch.equal(moved[1:], image[1:])
    assert torch.equal(masks.nan_to_num(), maps.nan_to_num())
    assert torch.equal(moved[0, 1], image[0, 1])
    assert moved[0, 0, 16:24, 16:24].max() < 2.5
    assert torch.equal(moved[0, 0, :4], image[0, 0, :4])
    assert torch.equal(changed(image, how)[0], image)  # no soft maps, no change


def test_unknown_maps_stay_unknown():
    images, masks = slices()
    masks[1] = torch.nan
    _, moved = changed(images, Augment(rotate_deg=20.0), masks)
    inside = slice(10, 22)
    assert moved[1, :, inside, inside].isnan().all()
    assert not moved[[0, 2]].isnan().any()


def test_numbers_drawn_on_the_device_follow_the_seed_of_the_batch():
    def drawn(*seed):
        return DrawsOnDevice(500, seed, torch.device("cpu"))

    assert torch.equal(drawn(1, 2).normal(2, 3), drawn(1, 2).normal(2, 3))
    assert not torch.equal(drawn(1, 2).normal(2, 3), drawn(1, 3).normal(2, 3))
    values = drawn(0).uniform(-2, 6)
    assert -2 <= values.min() < -1.8 < 5.8 < values.max() <= 6
    images, masks = slices()
    how = replace(NOTHING, rotate_deg=20, scale=0.1, noise=0.05, blur=0.5, bias_field=0.1)
    draws = DrawsOnDevice(3, (1, 2), torch.device("cpu"))
    moved, where = augment(images, how, draws, modalities=2, masks=masks)
    for image, mask in zip(moved, where, strict=True):
        bright, mask = image[0] > 2.5, mask[1] > 0.5
        assert (bright & mask).sum() / (bright | mask).sum() > 0.7
