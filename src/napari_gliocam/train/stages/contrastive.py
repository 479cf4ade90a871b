"""Stage 1: contrastive pre-training of a backbone, and its losses on L2-normalised vectors.

All are one sum: for an anchor i and a set P of its positives ::

    l(i, P) = -1/|P| sum_{p in P} log( exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t) )

They differ in the sets.  Keys are the other vectors of the batch; there is no queue and no second
encoder.  Vectors without a positive are no anchors but stay keys; a batch without any anchor
gives 0 with a gradient (of 0), where the published code gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.multi_exit import MultiExitNet
from napari_gliocam.train.data.batches import SliceBatch
from napari_gliocam.train.recipe.stages import Pretrain, PretrainLoss
from napari_gliocam.train.stages.distributed import gather_rows
from napari_gliocam.train.stages.stage import Stage, Terms


class PretrainStage(Stage):
    """A backbone that learns to tell two views of a slice, and slices of a kind, from the others.

    Parameters
    ----------
    network : MultiExitNet
        The backbone; its exits take no part.
    columns : sequence of int
        Columns of the labels that count: (0,) tumour, (1, 2) core and edema.
    recipe : Pretrain
        Loss, temperature and length of the vectors.
    """

    batch_type = SliceBatch

    def __init__(self, network: MultiExitNet, columns: Sequence[int], recipe: Pretrain) -> None:
        super().__init__(recipe.fit)
        self.recipe, self.columns = recipe, list(columns)
        self.network = network
        network.exits.requires_grad_(False)
        width = network.widths[-1]
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(width, recipe.projection),
        )

    def terms(self, batch: SliceBatch) -> Terms:
        """Return the contrast of all views."""
        assert isinstance(self.network, MultiExitNet)
        vectors: Tensor = self.head(self.network.features(batch.images)[-1].mean(dim=(2, 3)))
        labels = gather_rows(batch.labels[:, self.columns])
        vectors = gather_rows(vectors, views=len(vectors) // len(batch.labels))
        recipe = self.recipe
        return {"contrast": contrastive_loss(recipe.loss, vectors, labels, recipe.temperature)}


def contrastive_loss(
    kind: PretrainLoss, vectors: Tensor, labels: Tensor, temperature: float = 0.1
) -> Tensor:
    """Compute one of the losses by its name in a recipe.

    Parameters
    ----------
    kind : {"simclr", "supcon", "mulsupcon", "equal-labels"}
        Name of the loss.
    vectors : Tensor, (V * B, D)
        Vectors of V views, one view after the other; of any length.
    labels : Tensor, (B, C)
        Labels of the slices, 0 or 1.
    temperature : float
        Divisor of the similarities.

    Returns
    -------
    Tensor, ()

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    views = len(vectors) // len(labels)
    if kind not in POSITIVES:
        raise ValueError(f"unknown contrastive loss {kind!r}")
    if kind == "simclr":
        labels = torch.arange(len(labels), device=labels.device)[:, None]
    positives = POSITIVES[kind](labels.repeat(views, 1))
    return _mean_over_anchors(_log_probability(vectors, temperature), positives)


def _all_agree(labels: Tensor) -> Tensor:
    """SimCLR, where each slice is a label of its own, and SupCon (Khosla et al. 2020, Eq. 2)."""
    return (labels[:, None] == labels[None]).all(dim=2)[None]


def _share_label(labels: Tensor) -> Tensor:
    """MulSupCon (Zhang & Wu 2024): one anchor a label, positives are all that have it.

    A vector with two labels is two anchors, each with positives of its own; a vector without
    any label is none.
    """
    has = labels.T > 0
    return has[:, :, None] & has[:, None]


def _share_value(labels: Tensor) -> Tensor:
    """Paper 1's released code: positives share a value, 0 included, for each class."""
    value = labels.T
    return value[:, :, None] == value[:, None]


#: The positives of each vector by the name of the loss, (C, N, N), from labels (N, C).
POSITIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "simclr": _all_agree,
    "supcon": _all_agree,
    "mulsupcon": _share_label,
    "equal-labels": _share_value,
}


def _log_probability(vectors: Tensor, temperature: float) -> Tensor:
    """Return the log softmax of the similarities (N, N) without the vector itself (-inf there)."""
    z = F.normalize(vectors.float(), dim=1)
    similarity = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return similarity.masked_fill(itself, -torch.inf).log_softmax(dim=1)


def _mean_over_anchors(log_probability: Tensor, positives: Tensor) -> Tensor:
    """Return the mean of l(i, P) over all rows of ``positives`` (C, N, N) that are not empty."""
    itself = torch.eye(len(log_probability), dtype=torch.bool, device=log_probability.device)
    positives = positives & ~itself
    terms = log_probability.masked_fill(itself, 0.0)[None] * positives
    count = positives.sum(dim=2)
    anchors = count > 0
    each = -terms.sum(dim=2) / count.clamp_min(1)
    return each.sum() / anchors.sum().clamp_min(1)
