"""Train the skull stripper from label maps of heads, by one command, on a GPU or the CPU.

    python scripts/train_strip.py --labels DIR --work DIR --minutes 9

``DIR`` holds label maps with FreeSurfer's numbers inside the brain and 500 and more outside (the
training maps of SynthSeg, Apache-2.0).  No image of a person takes part.  The last four maps are
held back for validation.  A killed run goes on from its last checkpoint; ``--minutes`` counts all
its parts.  ``WORK/strip.safetensors`` is what ships, the running average of the weights.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool3d, binary_cross_entropy_with_logits

from napari_gliocam.phantom.heads import (
    DrawnHead,
    HeadLabels,
    draw_anatomy,
    draw_sequence,
    load_head,
)
from napari_gliocam.prepare.strip import BRAIN_FROM
from napari_gliocam.prepare.strip_net import SPACING, StripNet, standardise

HELD_BACK = 4
#: Images of an anatomy: drawing the anatomy takes longest.
SEQUENCES = 2
#: Fields of view in voxels, divisible by 16: of a phantom, an atlas, a head with its neck.
SHAPES = ((96, 112, 96), (80, 128, 112), (112, 128, 96), (128, 128, 112))
RATE, WARM_STEPS, AVERAGE = 2e-3, 100, 0.998
#: Weights of voxels in the cross-entropy, added to 1: at the brain's border, in lesions.
BORDER_WEIGHT, LESION_WEIGHT = 3.0, 4.0
#: Drawn examinations of the held-out heads, each of three sequences.
TRIALS, TRIAL_SEQUENCES = 12, 3


def main() -> None:
    """Train until the time is up, with regular checks of the held-out heads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--batch", type=int, default=4, help="images a step")
    parser.add_argument("--check", type=float, default=300, help="seconds between two checks")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with ThreadPoolExecutor() as pool:
        heads = list(pool.map(load_head, sorted(asked.labels.glob("*.nii.gz"))))
    train(heads, asked)


def train(heads: Sequence[HeadLabels], asked: argparse.Namespace) -> None:
    """Train on all heads but the last four."""
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    asked.work.mkdir(parents=True, exist_ok=True)
    learned = [head.to(device) for head in heads[:-HELD_BACK]]
    with ThreadPoolExecutor() as pool:
        trials = list(
            pool.map(lambda n: draw_trial(heads[n % HELD_BACK - HELD_BACK], n), range(TRIALS))
        )
    torch.manual_seed(asked.seed)
    net, average = StripNet().to(device), StripNet().to(device)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4)
    step, checkpoint = 0, asked.work / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True, map_location="cpu")
        step, started = kept["step"], started - kept["spent"]
        net.load_state_dict(kept["net"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
    checked, before, losses = time.monotonic(), step, torch.zeros((), device=device)
    while True:
        spent = time.monotonic() - started
        done = min(spent / (asked.minutes * 60), 1.0)
        if done == 1.0 or time.monotonic() - checked > asked.check:
            loss = float(losses) / max(step - before, 1)
            if not np.isfinite(loss):
                raise FloatingPointError("The loss is no number; start again from the checkpoint.")
            row = [step, round(spent), round(loss, 4)]
            check(average, trials, device, asked.work / "log.csv", row)
            before = step
            losses.zero_()
            save_file(
                {k: v.half().cpu().contiguous() for k, v in average.state_dict().items()},
                asked.work / "strip.safetensors",
            )
            state = {"step": step, "spent": spent, "net": net.state_dict()}
            state |= {"average": average.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save(state, checkpoint)
            checked = time.monotonic()
            if done == 1.0:
                return
        rate = float(RATE * min((step + 1) / WARM_STEPS, 1.0) * 0.5 * (1 + np.cos(np.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = draw_batch(learned, asked.batch, np.random.default_rng([asked.seed, step]))
        losses += train_step(net, optimiser, batch)
        step += 1
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - keep)


def draw_batch(heads: Sequence[HeadLabels], size: int, rng: np.random.Generator) -> list[DrawnHead]:
    """Draw images of one field of view, of several anatomies."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    drawn: list[DrawnHead] = []
    while len(drawn) < size:
        head = heads[int(rng.integers(len(heads)))]
        anatomy = draw_anatomy(head, rng, shape=shape, spacing=SPACING)
        drawn += [draw_sequence(anatomy, rng) for _ in range(min(SEQUENCES, size - len(drawn)))]
    return drawn


def draw_trial(head: HeadLabels, number: int) -> list[DrawnHead]:
    """Draw an examination with a lesion, whole and unmoved, to check the network with."""
    rng = np.random.default_rng([7, number])
    anatomy = draw_anatomy(head, rng, spacing=SPACING, moved=False, lesions=1)
    return [draw_sequence(anatomy, rng, cut_off=False) for _ in range(TRIAL_SEQUENCES)]


def train_step(
    net: StripNet, optimiser: torch.optim.Optimizer, drawn: Sequence[DrawnHead]
) -> Tensor:
    """Take a step down the gradient of Dice and weighted cross-entropy over drawn heads."""
    images = torch.stack([standardise(head.image) for head in drawn])[:, None]
    shares = torch.stack([head.brain for head in drawn])[:, None]
    lesions = torch.stack([head.lesion for head in drawn])[:, None]
    around = avg_pool3d(shares, 3, 1, 1, count_include_pad=False)
    weights = 1 + BORDER_WEIGHT * ((around > 0.01) & (around < 0.99)) + LESION_WEIGHT * lesions
    with torch.autocast(images.device.type, torch.bfloat16):
        logits = net(images)
    logits = logits.float()
    found, axes = logits.sigmoid(), (1, 2, 3, 4)
    overlap = 2 * (found * shares).sum(axes) + 1
    loss = (1 - overlap / (found.sum(axes) + shares.sum(axes) + 1)).mean()
    loss = (
        loss + (weights * binary_cross_entropy_with_logits(logits, shares, reduction="none")).mean()
    )
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    detached: Tensor = loss.detach()
    return detached


def check(
    net: StripNet,
    trials: Sequence[Sequence[DrawnHead]],
    device: torch.device,
    path: Path,
    row: list[float],
) -> None:
    """Append to the log how well the sequences' vote finds the brains of the held-out heads."""
    scores: dict[str, list[float]] = {}
    for drawn in trials:
        with torch.inference_mode():
            images = [standardise(head.image.to(device))[None, None] for head in drawn]
            chance = torch.stack([net(image)[0, 0].sigmoid() for image in images]).mean(0).cpu()
        brain, lesion = drawn[0].brain > 0.5, drawn[0].lesion > 0.5
        for cut in (0.5, BRAIN_FROM):
            found = chance > cut
            dice = 2 * (found & brain).sum() / (found.sum() + brain.sum())
            kept = (found & lesion).sum() / lesion.sum().clamp_min(1)
            scores.setdefault(f"Dice at {cut}", []).append(float(dice))
            scores.setdefault(f"lesion kept at {cut}", []).append(float(kept))
    summary = {name: (float(np.mean(values)), min(values)) for name, values in scores.items()}
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([*row, *(f"{v:.4f}" for pair in summary.values() for v in pair)])
    print(
        row, ", ".join(f"{k} {m:.4f} (least {l:.3f})" for k, (m, l) in summary.items()), flush=True
    )


if __name__ == "__main__":
    main()
