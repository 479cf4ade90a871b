import math

import pytest
import torch

from napari_gliocam.train.stages.contrastive import contrastive_loss

T = 0.1


def slow(vectors, positives_of):
    """The formula, one pair at a time; ``positives_of`` gives the sets of each anchor."""
    z = [v / v.norm() for v in vectors.double()]
    terms = []
    for i in range(len(z)):
        denominator = sum(math.exp(float(z[i] @ z[a]) / T) for a in range(len(z)) if a != i)
        for positives in positives_of(i):
            chosen = [p for p in positives if p != i]
            if chosen:
                logs = [math.log(math.exp(float(z[i] @ z[p]) / T) / denominator) for p in chosen]
                terms.append(-sum(logs) / len(chosen))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.fixture(params=range(4))
def batch(request):
    torch.manual_seed(request.param)
    return 5 * torch.randn(10, 6), torch.randint(0, 2, (10, 2)).float()


def test_supcon_is_its_formula(batch):
    vectors, labels = batch
    n = len(labels)
    expected = slow(vectors, lambda i: [[p for p in range(n) if labels[p].equal(labels[i])]])
    assert float(contrastive_loss("supcon", vectors, labels, T)) == pytest.approx(
        expected, rel=1e-4
    )


def test_mulsupcon_is_its_formula(batch):
    vectors, labels = batch
    n = len(labels)

    def positives_of(i):
        return [[p for p in range(n) if labels[p, y]] for y in range(2) if labels[i, y]]

    assert float(contrastive_loss("mulsupcon", vectors, labels, T)) == pytest.approx(
        slow(vectors, positives_of), rel=1e-4
    )


def test_equal_labels_counts_a_shared_absence(batch):
    vectors, labels = batch
    n = len(labels)

    def positives_of(i):
        return [[p for p in range(n) if labels[p, y] == labels[i, y]] for y in range(2)]

    assert float(contrastive_loss("equal-labels", vectors, labels, T)) == pytest.approx(
        slow(vectors, positives_of), rel=1e-4
    )
    nothing = torch.zeros(10, 2)
    assert contrastive_loss("equal-labels", vectors, nothing, T) > 0
    assert contrastive_loss("mulsupcon", vectors, nothing, T) == 0


def test_simclr_knows_its_own_other_view_alone():
    torch.manual_seed(0)
    vectors, labels = torch.randn(8, 6), torch.ones(4, 2)
    expected = slow(vectors, lambda i: [[(i + 4) % 8]])
    assert float(contrastive_loss("simclr", vectors, labels, T)) == pytest.approx(
        expected, rel=1e-4
    )


def test_length_does_not_matter():
    torch.manual_seed(0)
    vectors, labels = torch.randn(6, 4), torch.tensor([[1.0], [0], [1], [0], [1], [0]])
    scaled = vectors * torch.rand(6, 1) * 100
    torch.testing.assert_close(
        contrastive_loss("supcon", vectors, labels), contrastive_loss("supcon", scaled, labels)
    )


@pytest.mark.parametrize("labels", [torch.zeros(4, 2), torch.eye(4)])
def test_a_batch_without_positives_gives_0_with_a_gradient(labels):
    vectors = torch.randn(4, 3, requires_grad=True)
    loss = contrastive_loss("mulsupcon", vectors, labels)
    assert float(loss.detach()) == 0
    loss.backward()
    assert vectors.grad.isfinite().all()
    assert not vectors.grad.any()


def test_gradients_are_numbers_for_equal_and_zero_vectors():
    vectors = torch.zeros(4, 3, requires_grad=True)
    contrastive_loss("supcon", vectors, torch.ones(4, 1)).backward()
    assert vectors.grad.isfinite().all()


def test_the_loss_falls_as_a_class_draws_together():
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    apart = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    together = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    for kind in ("supcon", "mulsupcon", "equal-labels"):
        assert contrastive_loss(kind, together, labels) < contrastive_loss(kind, apart, labels)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="unknown"):
        contrastive_loss("none", torch.randn(2, 2), torch.ones(1, 1))
