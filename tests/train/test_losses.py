import math

import pytest
import torch

from napari_gliocam.train.losses import (
    Bank,
    agreement_loss,
    class_loss,
    cosine,
    separability_loss,
    sim_max,
    sim_min,
    two_phase_contrast,
    uniformity,
)


def test_cosine_is_0_for_opposite_and_1_for_equal_vectors():
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    b = torch.tensor([[3.0, 0.0], [-1.0, 0.0]])
    expected = torch.tensor([[0.999, 0.001], [0.5, 0.5]])
    torch.testing.assert_close(cosine(a, b), expected)


def test_sim_min_by_hand():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert float(sim_min(a, b)) == pytest.approx(math.log(2), abs=1e-6)


def test_sim_max_leaves_the_pair_with_itself_out():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # The only other vector is orthogonal: s = 1/2, its rank after itself is 1.
    assert float(sim_max(a)) == pytest.approx(math.log(2), abs=1e-6)
    assert float(sim_max(a[:1])) == 0.0


def test_class_loss_prefers_a_foreground_unlike_the_background():
    torch.manual_seed(0)
    foreground = torch.tensor([[1.0, 0, 0]]).repeat(4, 1) + 0.05 * torch.randn(4, 3)
    near = foreground + 0.05 * torch.randn(4, 3)
    far = -foreground
    assert class_loss(foreground, far, Bank(), "core") < class_loss(
        foreground, near, Bank(), "core"
    )


def test_the_bank_keeps_the_newest_vectors():
    bank = Bank(size=3)
    for value in range(4):
        bank.put("core", torch.full((2, 1), float(value)), torch.zeros(2, 1))
    foreground, _ = bank.get("core")
    assert foreground.flatten().tolist() == [3.0, 3.0, 2.0]
    assert bank.get("edema") is None


def test_separability_falls_when_classes_part():
    core = torch.tensor([[1.0, 0.0]])
    assert separability_loss(core, -core) < separability_loss(core, core.flip(1))
    assert separability_loss(core, core.flip(1)) < separability_loss(core, core)


def test_agreement_is_lowest_where_the_larger_class_is_the_tumour():
    tumour = torch.rand(2, 1, 8, 8).round()
    same = torch.cat([tumour, torch.zeros_like(tumour)], 1)
    labels, region = torch.ones(2, 2), torch.ones(2, 1, 8, 8)
    good = agreement_loss(same, tumour, labels, region)
    assert good < 1e-3
    assert agreement_loss(1 - same, tumour, labels, region) > 1
    # A class that the slice does not show cannot make them agree.
    labels[:, 0] = 0
    assert agreement_loss(same, tumour, labels, region) > good


def test_two_phase_contrast_is_0_for_the_two_phases_and_1_for_nothing():
    images = torch.zeros(1, 3, 16, 16)
    images[..., 4:12, 4:12] = 2.0
    lesion = (images[:, :1] > 1).float()
    region = torch.ones_like(lesion)
    assert float(two_phase_contrast(lesion, images, region)) < 0.02
    assert float(two_phase_contrast(torch.full_like(lesion, 0.5), images, region)) == (
        pytest.approx(1.0, abs=0.02)
    )


def test_uniformity_is_0_for_equal_weights():
    region = torch.ones(1, 1, 4, 4)
    assert float(uniformity(torch.full((1, 4, 2, 4, 4), 0.25), region)) == pytest.approx(
        0, abs=1e-6
    )
    one = torch.zeros(1, 4, 2, 4, 4)
    one[:, 0] = 1
    assert float(uniformity(one, region)) == pytest.approx(math.log(4), abs=1e-4)
