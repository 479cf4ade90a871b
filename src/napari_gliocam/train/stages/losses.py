"""Losses of classifier and aggregators: papers 1 and 2, and the two-phase contrast.

The papers' loss alone inflates the tumour map (its foreground term is happiest with everything
bright); the contrast asks that the map part the image into two phases near the lesion.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gliocam.train.stages.distributed import mean_over_processes, mean_over_rows


def classifier_loss(
    logits: Sequence[Tensor], labels: Tensor, weights: Sequence[float], kind: str = "bce"
) -> Tensor:
    """Return the weighted sum over exits of the cross-entropy (paper 1, Eq. 2).

    Parameters
    ----------
    logits : 4 Tensor, (B, C)
        Image-level logits of each exit.
    labels : Tensor, (B, C)
        Image-level labels, 0 or 1.
    weights : 4 float
        Weight w_l of each exit.
    kind : {"bce", "focal"}
        Cross-entropy; or focal: each term times ``(1 - p)^2``, p the probability of the true label
        (Lin et al. 2017).
    """
    losses = []
    for weight, exit_ in zip(weights, logits, strict=True):
        entropy = F.binary_cross_entropy_with_logits(exit_, labels, reduction="none")
        if kind == "focal":
            entropy = entropy * (1 - torch.exp(-entropy)) ** 2
        losses.append(weight * mean_over_rows(entropy))
    return torch.stack(losses).sum()


def soft_map_loss(
    exits: Sequence[Tensor],
    maps: Tensor,
    brain: Tensor,
    weights: Sequence[float] = (0.6, 0.8, 1.0, 1.0),
) -> Tensor:
    """Return the weighted sum over exits of the cross-entropy of each pixel against soft maps.

    Parameters
    ----------
    exits : 4 Tensor, (B, C, h_l, w_l)
        Logits of each exit, high = lesion.
    maps : Tensor, (B, C, H, W)
        Probability of each class; NaN where it is not known, which takes no part.
    brain : Tensor, (B, 1, H, W)
        1 in the brain.
    weights : 4 float
        Weight of each exit; that of the finest is lower, it sees least around a pixel.
    """
    known = maps.isfinite() * brain
    shown = maps.nan_to_num() * known
    losses = []
    for weight, logits in zip(weights, exits, strict=True):
        size = (logits.shape[-2], logits.shape[-1])
        part = F.adaptive_avg_pool2d(known, size)
        target = F.adaptive_avg_pool2d(shown, size) / part.clamp_min(1e-3)
        part = part * (F.adaptive_avg_pool2d(brain, size) > 0.3)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        total = mean_over_processes(part.sum()).clamp_min(1)
        losses.append(weight * (entropy * part).sum() / total)
    return torch.stack(losses).sum()


def similarity(a: Tensor, b: Tensor, kind: str = "shifted", eps: float = 1e-3) -> Tensor:
    """Return the similarity of every vector in ``a`` with every one in ``b``, (N, M).

    Parameters
    ----------
    a, b : Tensor, (N, D), (M, D)
        The vectors.
    kind : {"shifted", "cosine"}
        ``(1 + cos) / 2``, or the papers' cosine: negative ones are clamped and have no gradient.
    eps : float
        The result is in [eps, 1 - eps].
    """
    cosine = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    return ((1 + cosine) / 2 if kind == "shifted" else cosine).clamp(eps, 1 - eps)


def sim_min(a: Tensor, b: Tensor, kind: str = "shifted") -> Tensor:
    """Return SimMin, the mean of ``-log(1 - s)``: pushes two sets apart (paper 2, Eq. 3)."""
    return -torch.log(1 - similarity(a, b, kind)).mean()


def sim_max(
    a: Tensor, others: Tensor | None = None, alpha: float = 0.25, kind: str = "shifted"
) -> Tensor:
    """Return SimMax, the mean of ``-log(s) exp(-alpha rank)``: pulls a set together (Eq. 3).

    The most similar pairs count most.  The pair of a vector with itself is left out.
    """
    keys = a if others is None else torch.cat([a, others])
    if len(keys) < 2:
        return a.sum() * 0.0
    s = similarity(a, keys, kind)
    rank = s.detach().argsort(dim=1, descending=True).argsort(dim=1).float()
    weighted = -torch.log(s) * torch.exp(-alpha * (rank - 1).clamp_min(0))
    pairs = torch.ones_like(s, dtype=torch.bool)
    pairs[:, : len(a)].fill_diagonal_(False)
    return weighted[pairs].mean()


class Bank:
    """The last foreground and background vectors of each class, so that small batches suffice.

    Parameters
    ----------
    size : int
        Number of vectors of each class; 0 keeps none.
    """

    def __init__(self, size: int = 128) -> None:
        self.size = size
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def get(self, key: str) -> tuple[Tensor, Tensor] | None:
        """Return the kept foreground and background vectors of a class."""
        return self._kept.get(key)

    def put(self, key: str, foreground: Tensor, background: Tensor) -> None:
        """Add vectors; the oldest make room."""
        old = self._kept.get(key)
        new = (foreground.detach(), background.detach())
        if old is not None:
            new = (torch.cat([new[0], old[0]]), torch.cat([new[1], old[1]]))
        self._kept[key] = (new[0][: self.size], new[1][: self.size])

    def state(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return all vectors, for a checkpoint."""
        return dict(self._kept)

    def restore(self, state: dict[str, tuple[Tensor, Tensor]]) -> None:
        """Take the vectors of a checkpoint."""
        self._kept = dict(state)


def class_loss(
    foreground: Tensor, background: Tensor, bank: Bank, key: str, kind: str = "shifted"
) -> Tensor:
    """Return L_c (paper 1, Eq. 5): foregrounds are alike, backgrounds are alike, both differ.

    Parameters
    ----------
    foreground, background : Tensor, (N, D)
        Features inside and outside a map (Eq. 6).
    bank : Bank
        Vectors of earlier batches; those of this batch are added.
    key : str
        Name of the class in the bank.
    kind : {"shifted", "cosine"}
        As in `similarity`.
    """
    kept = bank.get(key)
    old_f, old_b = kept if kept is not None else (None, None)
    all_f = foreground if old_f is None else torch.cat([foreground, old_f])
    all_b = background if old_b is None else torch.cat([background, old_b])
    apart = 0.5 * (sim_min(foreground, all_b, kind) + sim_min(all_f, background, kind))
    loss = apart + sim_max(foreground, old_f, kind=kind) + sim_max(background, old_b, kind=kind)
    bank.put(key, foreground, background)
    return loss


def separability_loss(
    core: Tensor, edema: Tensor, kind: str = "shifted", pairs: str = "all"
) -> Tensor:
    """Return L_sep (paper 1, Eq. 7): foregrounds of core and edema differ.

    Parameters
    ----------
    core, edema : Tensor, (N, D), (M, D)
        Foreground vectors of the two classes.
    kind : {"shifted", "cosine"}
        As in `similarity`.
    pairs : {"all", "same-image"}
        Every core with every edema of the batch, each pair once for (c, c') and once for
        (c', c); or row with row, once (the papers' code).
    """
    if pairs == "same-image":
        same = similarity(core, edema, kind).diagonal()
        return -torch.log(1 - same).mean()
    return 2 * sim_min(core, edema, kind)


def agreement_loss(
    class_maps: Tensor, tumour: Tensor, labels: Tensor, region: Tensor, kind: str = "bce"
) -> Tensor:
    """Return L_agree (paper 1, Eq. 8): the larger class map agrees with the tumour map.

    Parameters
    ----------
    class_maps : Tensor, (B, 2, h, w)
        Core and edema in [0, 1] (any values with "logits"), in positive polarity.
    tumour : Tensor, (B, 1, h, w)
        Target in [0, 1], without gradient.
    labels : Tensor, (B, 2)
        Image-level labels; a class that the slice does not show takes no part.
    region : Tensor, (B, 1, h, w)
        1 where a pixel counts: in the brain, or everywhere.
    kind : {"bce", "logits"}
        Eq. 8 as it stands; or with a sigmoid in front (the papers' code).
    """
    largest = (class_maps * labels[:, :, None, None]).amax(dim=1, keepdim=True)
    if kind == "logits":
        loss = F.binary_cross_entropy_with_logits(largest, tumour.clamp(0, 1), reduction="none")
    else:
        loss = F.binary_cross_entropy(
            largest.clamp(1e-4, 1 - 1e-4), tumour.clamp(0, 1), reduction="none"
        )
    return (loss * region).sum() / mean_over_processes(region.sum()).clamp_min(1)


def two_phase_contrast(map_: Tensor, images: Tensor, region: Tensor) -> Tensor:
    """Return the part of the image's variance that two phases leave (Chan & Vese 2001).

    ``J = sum_k sum_R P_k |x - mu_k|^2 / sum_R |x - mean|^2`` with P = (M, 1 - M): 1 when the
    map says nothing, 0 when it parts the region into two flat phases.

    Parameters
    ----------
    map_ : Tensor, (B, 1, h, w)
        A map in [0, 1].
    images : Tensor, (B, C, h, w)
        Normalised images; clipped to [-3, 4] here.
    region : Tensor, (B, 1, h, w)
        Part of the slice to measure in: brain near the lesion.
    """
    phases = torch.cat([map_, 1 - map_], dim=1) * region
    x = images.clamp(-3, 4)
    weight = phases.sum(dim=(2, 3))
    means = torch.einsum("bkhw,bchw->bkc", phases, x) / (weight[..., None] + 0.1)
    residual = ((x[:, None] - means[..., None, None]) ** 2).sum(dim=2)
    overall = (x * region).sum(dim=(2, 3)) / (region.sum(dim=(2, 3)) + 1e-3)
    total = (((x - overall[..., None, None]) ** 2) * region).sum(dim=(1, 2, 3))
    return mean_over_rows((phases * residual).sum(dim=(1, 2, 3)) / (total + 1e-3))


def uniformity(attention: Tensor, region: Tensor) -> Tensor:
    """Return the KL divergence of attention from equal weights: a pull to the plain average.

    Parameters
    ----------
    attention : Tensor, (B, 4, C, h, w)
        Weights of the exits.
    region : Tensor, (B, 1, h, w)
        1 in the brain.
    """
    exits, classes = attention.shape[1:3]
    kl = (attention * torch.log(exits * attention.clamp_min(1e-6))).sum(dim=1)
    return (kl * region).sum() / (mean_over_processes(region.sum()) * classes).clamp_min(1)
