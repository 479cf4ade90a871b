"""Area under the ROC curve of image-level labels, over all validation slices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def auc(scores: Tensor, labels: Tensor) -> Tensor:
    """Probability that a slice with the label scores higher than one without; ties count half.

    Parameters
    ----------
    scores : Tensor, (N,)
    labels : Tensor, (N,)
        0 or 1.

    Returns
    -------
    Tensor, ()
        NaN where only one kind is there.
    """
    _, place, counts = torch.unique(scores.double(), return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    rank = (last - (counts - 1) / 2)[place]  # from 1; equal scores share their mean rank
    shown = labels > 0
    n, m = shown.sum(), (~shown).sum()
    area: Tensor = (rank[shown].sum() - n * (n + 1) / 2) / (n * m)
    return area.float()


class Auc(Metric):
    """`auc` a class, gathered over batches and devices.

    ``torchmetrics`` has one that warns where a class is missing; here that is NaN.
    """

    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Add a batch, both (B, C)."""
        self.scores.append(scores.detach().float())
        self.labels.append(labels)

    def compute(self) -> Tensor:
        """(C,)."""
        scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
        pairs = zip(scores.T, labels.T, strict=True)
        return torch.stack([auc(s, y) for s, y in pairs])
