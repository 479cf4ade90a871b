from dataclasses import fields

import numpy as np
import pytest
import torch

from napari_gliocam.train.data.augment_masks import augment_with_masks
from napari_gliocam.train.recipe.segmenter import MaskAugment

NOTHING = {field.name: 0.0 for field in fields(MaskAugment)}


def slices(count=3):
    images = torch.zeros(count, 6, 32, 32)  # two modalities, three slices each
    images[:, :, 4:28, 4:28] = 1.0
    images[:, :, 8:14, 18:24] = 4.0
    masks = torch.zeros(count, 2, 32, 32)
    masks[:, 1, 8:14, 18:24] = 1.0
    return images, masks


def rngs(count=3, seed=0):
    return [np.random.default_rng([seed, number]) for number in range(count)]


def test_nothing_changes_nothing():
    images, masks = slices()
    found = augment_with_masks(images, masks, MaskAugment(**NOTHING), rngs(), 2)
    torch.testing.assert_close(found, (images, masks), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "how", [{"mirror": 1.0}, {"quarter_turns": 1.0}, {"rotate_deg": 30.0}, {"shift": 0.1},
            {"zoom": 0.1}, {"bend": 0.01}]
)  # fmt: skip
def test_masks_move_with_their_slices(how):
    images, masks = slices()
    moved, where = augment_with_masks(images, masks, MaskAugment(**{**NOTHING, **how}), rngs(), 2)
    assert not torch.allclose(moved, images)
    for image, mask in zip(moved, where, strict=True):
        bright, mask = image[0] > 2.5, mask[1] > 0.5
        assert (bright & mask).sum() / (bright | mask).sum() > 0.85


@pytest.mark.parametrize(
    "how", [{"gain": 0.3}, {"offset": 0.3}, {"gamma": 0.3}, {"field": 0.3}, {"noise": 0.3},
            {"blur": 1.0}, {"drop_modality": 0.5}]
)  # fmt: skip
def test_intensities_change_and_neither_masks_nor_air_do(how):
    images, masks = slices()
    moved, where = augment_with_masks(images, masks, MaskAugment(**{**NOTHING, **how}), rngs(), 2)
    assert not torch.allclose(moved, images)
    torch.testing.assert_close(where, masks, atol=1e-5, rtol=1e-5)
    assert not moved[:, :, :4].any()


def test_a_slice_may_stand_in_for_its_neighbours():
    images, masks = slices()
    images[:, :2] = 2 * images[:, :2]
    how = MaskAugment(**{**NOTHING, "drop_neighbours": 1.0})
    moved, _ = augment_with_masks(images, masks, how, rngs(), 2)
    torch.testing.assert_close(moved[:, :2], moved[:, 2:4])


def test_a_slice_is_changed_alike_in_any_batch():
    images, masks = slices()
    together = augment_with_masks(images, masks, MaskAugment(), rngs(), 2)
    alone = augment_with_masks(images[1:2], masks[1:2], MaskAugment(), rngs()[1:2], 2)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-5, rtol=1e-5)
