"""Supervised contrastive losses of the pre-training, on L2-normalised vectors.

All are one sum: for an anchor i and a set P of its positives ::

    l(i, P) = -1/|P| sum_{p in P} log( exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t) )

They differ in the sets.  Keys are the other vectors of the batch; there is no queue and no second
encoder.  Vectors without a positive are no anchors but stay keys; a batch without any anchor
gives 0 with a gradient (of 0), where the published code gives NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.train.recipe.fields import PretrainLoss


def contrastive_loss(
    kind: PretrainLoss, vectors: Tensor, labels: Tensor, temperature: float = 0.1
) -> Tensor:
    """One of the losses by its name in a recipe.

    Parameters
    ----------
    kind : {"simclr", "supcon", "mulsupcon", "equal-labels"}
    vectors : Tensor, (V * B, D)
        V views, one after the other; any length.
    labels : Tensor, (B, C)
        0 or 1.
    temperature : float

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    views = len(vectors) // len(labels)
    if kind == "simclr":
        own = torch.arange(len(labels), device=labels.device)[:, None].repeat(views, 1)
        return supcon(vectors, own, temperature)
    labels = labels.repeat(views, 1)
    losses = {"supcon": supcon, "mulsupcon": mulsupcon, "equal-labels": equal_labels}
    if kind not in losses:
        raise ValueError(f"unknown contrastive loss {kind!r}")
    return losses[kind](vectors, labels, temperature)


def supcon(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """SupCon (Khosla et al. 2020, Eq. 2): positives have the same labels, all of them.

    Parameters
    ----------
    vectors : Tensor, (N, D)
        All views.
    labels : Tensor, (N, C)
        Of each vector.
    temperature : float

    Returns
    -------
    Tensor, ()
        Mean over the anchors that have a positive.
    """
    same = (labels[:, None] == labels[None]).all(dim=2)
    return _mean_over_anchors(_log_probability(vectors, temperature), same[None])


def mulsupcon(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """MulSupCon (Zhang & Wu 2024): an anchor a label, its positives are all that have it.

    A vector with two labels is two anchors, each with positives of its own; a vector without
    any label is none.

    Parameters
    ----------
    vectors : Tensor, (N, D)
    labels : Tensor, (N, C)
        0 or 1.
    temperature : float

    Returns
    -------
    Tensor, ()
        Mean over all pairs of anchor and label that have a positive.
    """
    has = labels.T > 0
    return _mean_over_anchors(
        _log_probability(vectors, temperature), has[:, :, None] & has[:, None]
    )


def equal_labels(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """What paper 1's released code has: per class, positives have the same value, 0 included.

    Parameters
    ----------
    vectors : Tensor, (N, D)
    labels : Tensor, (N, C)
    temperature : float
    """
    value = labels.T
    return _mean_over_anchors(
        _log_probability(vectors, temperature), value[:, :, None] == value[:, None]
    )


def _log_probability(vectors: Tensor, temperature: float) -> Tensor:
    """Log softmax of the similarities over all but the vector itself, (N, N); -inf on itself."""
    z = F.normalize(vectors.float(), dim=1)
    similarity = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return similarity.masked_fill(itself, -torch.inf).log_softmax(dim=1)


def _mean_over_anchors(log_probability: Tensor, positives: Tensor) -> Tensor:
    """Mean of l(i, P) over all rows of ``positives`` (C, N, N) that are not empty."""
    itself = torch.eye(len(log_probability), dtype=torch.bool, device=log_probability.device)
    positives = positives & ~itself
    terms = log_probability.masked_fill(itself, 0.0)[None] * positives
    count = positives.sum(dim=2)
    anchors = count > 0
    each = -terms.sum(dim=2) / count.clamp_min(1)
    return each.sum() / anchors.sum().clamp_min(1)
