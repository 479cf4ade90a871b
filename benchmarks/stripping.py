"""Skull stripping of heads that were held back: Dice, tumours at the border, seconds.

    python benchmarks/stripping.py LABELS [--heads 12]

``LABELS`` holds label maps; the last four took no part in the training.  Each head is drawn in
three random contrasts with lesions, and its brain is found in each and by their vote.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from napari_gliocam.case import Grid
from napari_gliocam.phantom.heads import draw_anatomy, draw_sequence, load_head
from napari_gliocam.prepare.series import SeriesVolume
from napari_gliocam.prepare.strip import brain_logits, stripping
from napari_gliocam.progress import finish


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def main() -> None:
    """Print a line for each head, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("--heads", type=int, default=12)
    asked = parser.parse_args()
    maps = sorted(asked.labels.glob("*.nii.gz"))[-4:]
    heads = [load_head(path) for path in maps]
    rows = []
    for number in range(asked.heads):
        found, alone = [], []
        started = time.perf_counter()
        anatomy = draw_anatomy(
            heads[number % 4], np.random.default_rng([11, number]), moved=False, lesions=1
        )
        for sequence in range(3):
            rng = np.random.default_rng([12, number, sequence])
            drawn = draw_sequence(anatomy, rng, cut_off=False)
            grid = Grid(np.diag([-2.0, -2.0, 2.0, 1.0]), tuple(drawn.image.shape[::-1]))
            volume = SeriesVolume("head", drawn.image.numpy(), grid)
            logits, own = brain_logits(volume)
            found.append((logits, own, np.eye(4)))
            alone.append(dice(finish(stripping(found[-1:], grid)), drawn.brain.numpy() > 0.5))
        seconds = time.perf_counter() - started
        brain = finish(stripping(found, grid))
        lesion = drawn.lesion.numpy() > 0.5
        kept = (brain & lesion).sum() / max(lesion.sum(), 1)
        rows.append((np.mean(alone), dice(brain, drawn.brain.numpy() > 0.5), kept))
        print(
            f"{maps[number % 4].name.split('.')[0]}: alone {rows[-1][0]:.3f}, vote "
            f"{rows[-1][1]:.3f}, lesion kept {kept:.3f}, {seconds:.1f} s with drawing",
            flush=True,
        )
    alone_, vote, kept_ = np.mean(rows, axis=0)
    print(f"mean: alone {alone_:.3f}, vote of three {vote:.3f}, lesion kept {kept_:.3f}; ", end="")
    print(f"least kept {min(row[2] for row in rows):.3f}")


if __name__ == "__main__":
    main()
