"""Train the skull stripper from label maps of heads, by one command.

    python scripts/train_strip.py --labels DIR --work DIR --minutes 80

``DIR`` holds label maps with FreeSurfer's numbers inside the brain and 500 and more outside (the
training maps of SynthSeg, Apache-2.0).  No image of a person takes part.  The last four maps are
held back for validation.  A killed run goes on from its last checkpoint; ``--minutes`` counts all
its parts.  ``WORK/strip.safetensors`` is what ships, the running average of the weights.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits

from napari_gliocam.phantom.heads import (
    DrawnHead,
    draw_anatomy,
    draw_head,
    draw_sequence,
    load_head,
)
from napari_gliocam.prepare.strip_net import StripNet, standardise

HELD_BACK = 4
#: Images of an anatomy, a step each: drawing the anatomy takes longest.
SEQUENCES = 3
RATE, WARM_STEPS, AVERAGE = 2e-3, 50, 0.995
#: Seconds between two checks.
CHECK_S = 300.0


def main() -> None:
    """Train until the time is up, with a check of the held-out heads every five minutes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    heads = [load_head(path) for path in sorted(asked.labels.glob("*.nii.gz"))]
    learned, held = heads[:-HELD_BACK], heads[-HELD_BACK:]
    trial = [
        draw_head(held[n % HELD_BACK], np.random.default_rng([7, n]), cut_off=n % 3 == 2)
        for n in range(12)
    ]
    torch.manual_seed(asked.seed)
    net, average = StripNet(), StripNet()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4)
    step, spent, checkpoint = 0, 0.0, asked.work / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        step, spent = kept["step"], kept["spent"]
        net.load_state_dict(kept["net"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
    started, checked = time.monotonic() - spent, time.monotonic()
    drawn: list[DrawnHead] = []
    while True:
        spent = time.monotonic() - started
        done = min(spent / (asked.minutes * 60), 1.0)
        if done == 1.0 or time.monotonic() - checked > CHECK_S:
            scores = [dice(average, head) for head in trial]
            log(asked.work / "log.csv", step, spent, scores)
            save_file(
                {k: v.half().contiguous() for k, v in average.state_dict().items()},
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
        if not drawn:
            rng = np.random.default_rng([asked.seed, step])
            anatomy = draw_anatomy(learned[rng.integers(len(learned))], rng)
            drawn = [draw_sequence(anatomy, rng) for _ in range(SEQUENCES)]
        loss = train_step(net, optimiser, drawn.pop())
        step += 1
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        if step % 20 == 0:
            print(f"step {step}, {spent / 60:.1f} min, loss {loss:.3f}", flush=True)


def train_step(net: StripNet, optimiser: torch.optim.Optimizer, head: DrawnHead) -> float:
    """Take a step down the gradient of Dice and cross-entropy over a drawn head."""
    images = standardise(head.image)[None, None]
    shares = head.brain[None, None]
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images)
    logits = logits.float()
    found = logits.sigmoid()
    overlap = 2 * (found * shares).sum() + 1
    loss = 1 - overlap / (found.sum() + shares.sum() + 1)
    loss = loss + binary_cross_entropy_with_logits(logits, shares)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def dice(net: StripNet, head: DrawnHead) -> float:
    """Return the Dice coefficient of the brain found in a drawn head."""
    with torch.inference_mode():
        found = net(standardise(head.image)[None, None])[0, 0] > 0
    brain = head.brain > 0.5
    return float(2 * (found & brain).sum() / (found.sum() + brain.sum()).clamp_min(1))


def log(path: Path, step: int, spent: float, scores: list[float]) -> None:
    """Append the scores of the held-out heads to the log."""
    with path.open("a", newline="") as file:
        row = [step, f"{spent / 60:.1f}", f"{np.mean(scores):.4f}", *(f"{s:.3f}" for s in scores)]
        csv.writer(file).writerow(row)
    print(f"step {step}: Dice {np.mean(scores):.4f}, least {min(scores):.3f}", flush=True)


if __name__ == "__main__":
    main()
