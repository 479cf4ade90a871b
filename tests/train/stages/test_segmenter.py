import math

import pytest
import torch

from napari_gliocam.train.data.mask_batches import MaskBatch
from napari_gliocam.train.recipe.segmenter import MaskLoss
from napari_gliocam.train.stages.segmenter import FLOOR, mask_terms, overlap_loss, seed_loss


def batch(seed=0, size=12):
    made = torch.Generator().manual_seed(seed)
    masks = (torch.rand(2, 2, size, size, generator=made) > 0.7).float()
    masks[:, 1] *= 1 - masks[:, 0]
    second = masks.roll(1, dims=3)
    labels = torch.cat([masks.sum(1, keepdim=True), masks], 1).amax(dim=(2, 3))
    return MaskBatch(torch.randn(2, 3, size, size, generator=made), masks, second, labels, labels)


def test_seed_loss_is_that_of_sec_for_each_slice():
    logits = torch.zeros(2, 1, 4, 4)
    logits[0] = math.log(3)  # p = 0.75
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, :, :2] = 1
    wanted = (-(8 * math.log(0.75) + 8 * math.log(0.25)) / 16 - math.log(0.5)) / 2
    assert seed_loss(logits, masks).item() == pytest.approx(wanted, rel=1e-5)


def test_seed_loss_has_the_floor_of_sec():
    logits = torch.full((1, 1, 2, 2), -1e4)
    assert seed_loss(logits, torch.ones(1, 1, 2, 2)).item() == pytest.approx(-math.log(FLOOR))


def test_pixels_in_the_band_are_no_seeds():
    masks = torch.zeros(1, 1, 9, 9)
    masks[..., 2:7, 2:7] = 1
    logits = torch.where(masks > 0, 20.0, -20.0)
    logits[..., 2, 2:7] = -20.0  # wrong at the border alone
    assert seed_loss(logits, masks).item() > 0.1
    assert seed_loss(logits, masks, band_px=1).item() < 1e-3


@pytest.mark.parametrize("name", ["seed", "cross_entropy", "overlap", "pixels", "images"])
def test_each_term_falls_when_the_network_learns_it(name):
    given = batch()
    weights = dict.fromkeys(("seed", "cross_entropy", "overlap", "pixels", "images"), 0.0)
    weights["pixels"] = 1e-9  # one term must have a weight
    how = MaskLoss(**{**weights, name: 1.0})
    logits = torch.zeros(2, 3, 12, 12, requires_grad=True)
    before = mask_terms(logits, given, how)[name]
    before.backward()
    after = mask_terms(logits.detach() - 5 * logits.grad, given, how)[name]
    assert after < before


def test_a_pixel_that_one_mask_has_weighs_less():
    given = batch()
    logits = torch.randn(2, 3, 12, 12)
    full = mask_terms(logits, given, MaskLoss(overlap=0.0))["pixels"]
    less = mask_terms(logits, given, MaskLoss(overlap=0.0, disagreement=0.0))["pixels"]
    assert less < full


def test_overlap_is_0_for_the_mask_itself():
    masks = (torch.rand(2, 3, 8, 8) > 0.5).float()
    loss = overlap_loss(40 * masks - 20, masks, torch.ones_like(masks))
    assert loss.item() == pytest.approx(0, abs=1e-3)


def test_a_loss_without_terms_is_refused():
    with pytest.raises(ValueError, match="no term"):
        MaskLoss(overlap=0.0, pixels=0.0)
