"""Stage 1: a multi-exit classifier from image-level labels (papers 1 and 2, Eq. 1 and 2)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from napari_gliocam.nets.multi_exit import MultiExitResNet, lse_pool

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierRecipe:
    """How a classifier is trained.

    Parameters
    ----------
    columns : tuple of int
        Which image-level labels it learns: (0,) tumour, (1, 2) core and edema.
    width : int
        Of the network.
    epochs, batch : int
    rate : float
        Peak of the one-cycle schedule (Adam).
    exit_weights : tuple of 4 float
        w_l of paper 1, Eq. 2.
    drop_modality : float
        Probability that T1ce, and that T2, is left out of a slice, so that the network runs
        without it.
    seed : int
    """

    columns: tuple[int, ...]
    width: int = 32
    epochs: int = 5
    batch: int = 32
    rate: float = 1e-3
    exit_weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    drop_modality: float = 0.06
    seed: int = 0


def augment(images: Tensor, generator: torch.Generator, drop_modality: float = 0.0) -> Tensor:
    """Mirror, shift, change gain and offset, add noise; sometimes leave out T1ce or T2.

    Parameters
    ----------
    images : Tensor, (B, 3, H, W)
        Air is exactly 0 and stays so.
    generator : torch.Generator
    drop_modality : float
    """
    b, c = images.shape[:2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def chance(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    images = torch.where(chance(b, 1, 1, 1) < 0.5, images.flip(3), images)
    shift = torch.randint(-4, 5, (2,), generator=generator).tolist()
    images = torch.roll(images, shift, (2, 3))
    inside = images != 0
    changed = images * (1 + 0.12 * normal(b, c, 1, 1)) + 0.12 * normal(b, c, 1, 1)
    changed = changed + 0.05 * normal(*images.shape)
    images = torch.where(inside, changed, images)
    if drop_modality > 0:
        draw = chance(b)
        images[draw < drop_modality, 0] = 0
        images[(draw >= drop_modality) & (draw < 2 * drop_modality), 1] = 0
    return images


def classifier_loss(logits: Sequence[Tensor], labels: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum over exits of the binary cross-entropy (paper 1, Eq. 2).

    Parameters
    ----------
    logits : 4 Tensor, (B, C)
        Image-level logits of each exit.
    labels : Tensor, (B, C)
        0 or 1.
    weights : 4 float
    """
    losses = [
        w * binary_cross_entropy_with_logits(exit_, labels)
        for w, exit_ in zip(weights, logits, strict=True)
    ]
    return torch.stack(losses).sum()


def train_classifier(
    images: NDArray[np.float16],
    labels: NDArray[np.float32],
    recipe: ClassifierRecipe,
    checkpoint: Path,
    start: MultiExitResNet | None = None,
) -> MultiExitResNet:
    """Train, with a checkpoint after each epoch that a killed run goes on from.

    Parameters
    ----------
    images : ndarray, (N, 3, H, W)
        May be memory-mapped.
    labels : ndarray, (N, 3)
        Tumour, core, edema.
    recipe : ClassifierRecipe
    checkpoint : Path
        ``.safetensors`` file.
    start : MultiExitResNet, optional
        Weights to go on from, instead of random ones.
    """
    torch.manual_seed(recipe.seed)
    net = MultiExitResNet(images.shape[1], len(recipe.columns), recipe.width)
    if start is not None:
        net.load_state_dict(start.state_dict())
    net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), recipe.rate, weight_decay=1e-5)
    steps_an_epoch = len(images) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, recipe.epochs * steps_an_epoch, pct_start=0.15
    )
    state = checkpoint.with_suffix(".state.pt")
    first = 0
    if state.exists():  # written by this very function, on this machine
        saved = torch.load(state, weights_only=True)
        net.load_state_dict(load_file(checkpoint))
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        first = int(saved["epoch"])
    columns = list(recipe.columns)
    for epoch in range(first, recipe.epochs):
        started, total = time.perf_counter(), 0.0
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(images))
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        net.train()
        for step in range(steps_an_epoch):
            chosen = np.sort(order[step * recipe.batch : (step + 1) * recipe.batch])
            batch = augment(
                torch.from_numpy(images[chosen]).float(), generator, recipe.drop_modality
            )
            brain = (batch != 0).any(dim=1, keepdim=True).float()
            target = torch.from_numpy(labels[chosen][:, columns])
            batch = batch.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                maps = net(batch)
            logits = [lse_pool(m.float(), brain) for m in maps]
            loss = classifier_loss(logits, target, recipe.exit_weights)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        save_file(
            {k: v.contiguous() for k, v in net.state_dict().items()},
            checkpoint,
            {"recipe": repr(asdict(recipe)), "epoch": str(epoch + 1)},
        )
        torch.save(
            {
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "epoch": epoch + 1,
            },
            state,
        )
        log.info(
            "epoch %d of %d: loss %.3f, %.0f slices/s",
            epoch + 1,
            recipe.epochs,
            total / steps_an_epoch,
            steps_an_epoch * recipe.batch / (time.perf_counter() - started),
        )
    return net.eval()
