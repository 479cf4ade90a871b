import math

import pytest
import torch

from napari_gliocam.train.stages.losses import (
    Bank,
    agreement_loss,
    class_loss,
    classifier_loss,
    separability_loss,
    sim_max,
    sim_min,
    similarity,
    two_phase_contrast,
    uniformity,
)


def test_similarity_is_0_for_opposite_and_1_for_equal_vectors():
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    b = torch.tensor([[3.0, 0.0], [-1.0, 0.0]])
    expected = torch.tensor([[0.999, 0.001], [0.5, 0.5]])
    torch.testing.assert_close(similarity(a, b), expected)


def test_the_papers_similarity_is_the_cosine_without_a_gradient_below_0():
    a = torch.tensor([[1.0, 0.0]], requires_grad=True)
    b = torch.tensor([[1.0, 1.0], [-1.0, 0.1]])
    s = similarity(a, b, "cosine")
    torch.testing.assert_close(s.detach(), torch.tensor([[math.sqrt(0.5), 1e-3]]))
    s[0, 1].backward()
    assert not a.grad.any()


def test_classifier_loss_by_hand():
    logits = [torch.tensor([[0.0]]), torch.tensor([[2.0]])]
    labels = torch.tensor([[1.0]])
    p = 1 / (1 + math.exp(-2.0))
    expected = 0.5 * math.log(2) - math.log(p)
    assert float(classifier_loss(logits, labels, (0.5, 1.0))) == pytest.approx(expected, rel=1e-5)
    focal = 0.5 * math.log(2) * 0.25 - math.log(p) * (1 - p) ** 2
    assert float(classifier_loss(logits, labels, (0.5, 1.0), "focal")) == pytest.approx(
        focal, rel=1e-5
    )


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


def test_separability_of_the_same_image_looks_at_rows_alone():
    core = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # Row with row they are opposite; crosswise they are orthogonal.
    expected = -math.log(1 - 1e-3)
    assert float(separability_loss(core, -core, pairs="same-image")) == pytest.approx(
        expected, abs=1e-6
    )
    assert float(separability_loss(core, -core)) == pytest.approx(expected + math.log(2), abs=1e-4)


def test_agreement_with_logits_has_a_sigmoid_in_front():
    tumour, labels, region = torch.ones(1, 1, 2, 2), torch.ones(1, 2), torch.ones(1, 1, 2, 2)
    maps = torch.ones(1, 2, 2, 2)
    assert float(agreement_loss(maps, tumour, labels, region)) < 1e-3
    assert float(agreement_loss(maps, tumour, labels, region, "logits")) == pytest.approx(
        math.log(1 + math.exp(-1)), rel=1e-5
    )


def test_a_bank_of_0_keeps_nothing_and_its_state_comes_back():
    empty, full = Bank(0), Bank(4)
    for bank in (empty, full):
        bank.put("core", torch.ones(2, 3), torch.zeros(2, 3))
    assert len(empty.get("core")[0]) == 0
    other = Bank(4)
    other.restore(full.state())
    assert torch.equal(other.get("core")[0], torch.ones(2, 3))
    again = class_loss(torch.randn(3, 3), torch.randn(3, 3), empty, "core")
    assert again.isfinite()


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
