from itertools import product

import pytest
import torch

from napari_gliocam.train.stages.auc import Auc, auc


def slow(scores, labels):
    shown = [s for s, y in zip(scores, labels, strict=True) if y]
    others = [s for s, y in zip(scores, labels, strict=True) if not y]
    pairs = list(product(shown, others))
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_share_of_pairs_in_order(seed):
    torch.manual_seed(seed)
    scores, labels = torch.randint(0, 6, (30,)).float(), torch.randint(0, 2, (30,)).float()
    assert float(auc(scores, labels)) == pytest.approx(slow(scores.tolist(), labels.tolist()))


def test_known_values():
    labels = torch.tensor([0.0, 0, 1, 1])
    assert float(auc(torch.tensor([0.1, 0.2, 0.3, 0.4]), labels)) == 1
    assert float(auc(torch.tensor([4.0, 3, 2, 1]), labels)) == 0
    assert float(auc(torch.zeros(4), labels)) == 0.5
    assert auc(torch.zeros(4), torch.ones(4)).isnan()


def test_batches_add_up_and_classes_stay_apart():
    torch.manual_seed(0)
    scores, labels = torch.randn(12, 2), torch.randint(0, 2, (12, 2)).float()
    metric = Auc()
    for part in (slice(0, 5), slice(5, 12)):
        metric.update(scores[part], labels[part])
    expected = torch.stack([auc(scores[:, k], labels[:, k]) for k in range(2)])
    torch.testing.assert_close(metric.compute(), expected)
