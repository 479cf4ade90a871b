"""Losses of the aggregators: papers 1 and 2, and the two-phase contrast that made them work."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine(a: Tensor, b: Tensor, eps: float = 1e-3) -> Tensor:
    """Similarity of every vector in ``a`` with every one in ``b``, in [eps, 1 - eps].

    ``(1 + cos) / 2``: signed features would fall below zero, where the papers' clamp has no
    gradient.  (N, D), (M, D) -> (N, M).
    """
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    return ((1 + similarity) / 2).clamp(eps, 1 - eps)


def sim_min(a: Tensor, b: Tensor) -> Tensor:
    """Push two sets of vectors apart: mean of ``-log(1 - s)`` (paper 2, Eq. 6)."""
    return -torch.log(1 - cosine(a, b)).mean()


def sim_max(a: Tensor, others: Tensor | None = None, alpha: float = 0.25) -> Tensor:
    """Pull a set together: mean of ``-log(s) exp(-alpha rank)`` (paper 2, Eq. 7).

    The most similar pairs count most.  The pair of a vector with itself is left out.
    """
    keys = a if others is None else torch.cat([a, others])
    if len(keys) < 2:
        return a.sum() * 0.0
    similarity = cosine(a, keys)
    rank = similarity.detach().argsort(dim=1, descending=True).argsort(dim=1).float()
    weighted = -torch.log(similarity) * torch.exp(-alpha * (rank - 1).clamp_min(0))
    pairs = torch.ones_like(similarity, dtype=torch.bool)
    pairs[:, : len(a)].fill_diagonal_(False)
    return weighted[pairs].mean()


class Bank:
    """The last foreground and background vectors of each class, so that small batches suffice."""

    def __init__(self, size: int = 128) -> None:
        self.size = size
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def get(self, key: str) -> tuple[Tensor, Tensor] | None:
        """Kept foreground and background vectors of a class."""
        return self._kept.get(key)

    def put(self, key: str, foreground: Tensor, background: Tensor) -> None:
        """Keep the newest vectors."""
        old = self._kept.get(key)
        new = (foreground.detach(), background.detach())
        if old is not None:
            new = (torch.cat([new[0], old[0]]), torch.cat([new[1], old[1]]))
        self._kept[key] = (new[0][: self.size], new[1][: self.size])


def class_loss(foreground: Tensor, background: Tensor, bank: Bank, key: str) -> Tensor:
    """L_c of paper 1, Eq. 5: foreground like foreground, background like background, not across.

    Parameters
    ----------
    foreground, background : Tensor, (N, D)
        Mean features inside and outside a class map.
    bank : Bank
    key : str
        The class.
    """
    kept = bank.get(key)
    old_f, old_b = kept if kept is not None else (None, None)
    all_f = foreground if old_f is None else torch.cat([foreground, old_f])
    all_b = background if old_b is None else torch.cat([background, old_b])
    apart = 0.5 * (sim_min(foreground, all_b) + sim_min(all_f, background))
    loss = apart + sim_max(foreground, old_f) + sim_max(background, old_b)
    bank.put(key, foreground, background)
    return loss


def separability_loss(core: Tensor, edema: Tensor) -> Tensor:
    """L_sep of paper 1, Eq. 7: core and edema foregrounds differ, over all pairs of the batch."""
    return 2 * sim_min(core, edema)


def agreement_loss(class_maps: Tensor, tumour: Tensor, labels: Tensor, region: Tensor) -> Tensor:
    """L_agree of paper 1, Eq. 8: the larger class map agrees with the tumour map.

    Parameters
    ----------
    class_maps : Tensor, (B, 2, h, w)
        In [0, 1], positive polarity.
    tumour : Tensor, (B, 1, h, w)
        Target, no gradient.
    labels : Tensor, (B, 2)
        A class the slice does not show takes no part.
    region : Tensor, (B, 1, h, w)
        Brain.
    """
    largest = (class_maps * labels[:, :, None, None]).amax(dim=1, keepdim=True)
    loss = F.binary_cross_entropy(
        largest.clamp(1e-4, 1 - 1e-4), tumour.clamp(0, 1), reduction="none"
    )
    return (loss * region).sum() / region.sum().clamp_min(1)


def two_phase_contrast(map_: Tensor, images: Tensor, region: Tensor) -> Tensor:
    """How much of the image's variance two phases leave unexplained (Chan & Vese 2001).

    ``J = sum_k sum_R P_k |x - mu_k|^2 / sum_R |x - mean|^2`` with P = (M, 1 - M): 1 when the
    map says nothing, 0 when it parts the region into two flat phases.

    Parameters
    ----------
    map_ : Tensor, (B, 1, h, w)
        In [0, 1].
    images : Tensor, (B, C, h, w)
        Normalised; clipped to [-3, 4] here.
    region : Tensor, (B, 1, h, w)
        Where it is measured: brain near the lesion.
    """
    phases = torch.cat([map_, 1 - map_], dim=1) * region
    x = images.clamp(-3, 4)
    weight = phases.sum(dim=(2, 3))
    means = torch.einsum("bkhw,bchw->bkc", phases, x) / (weight[..., None] + 0.1)
    residual = ((x[:, None] - means[..., None, None]) ** 2).sum(dim=2)
    overall = (x * region).sum(dim=(2, 3)) / (region.sum(dim=(2, 3)) + 1e-3)
    total = (((x - overall[..., None, None]) ** 2) * region).sum(dim=(1, 2, 3))
    return ((phases * residual).sum(dim=(1, 2, 3)) / (total + 1e-3)).mean()


def uniformity(attention: Tensor, region: Tensor) -> Tensor:
    """KL of attention weights against equal ones, a pull towards the plain average.

    Parameters
    ----------
    attention : Tensor, (B, 4, C, h, w)
    region : Tensor, (B, 1, h, w)
    """
    exits, classes = attention.shape[1:3]
    kl = (attention * torch.log(exits * attention.clamp_min(1e-6))).sum(dim=1)
    return (kl * region).sum() / (region.sum() * classes).clamp_min(1)
