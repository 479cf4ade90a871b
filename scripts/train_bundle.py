"""Train a bundle on synthetic slices, by a recipe, from scratch or on from another.

    python scripts/train_bundle.py --anatomy DIR --work DIR --out DIR [--recipe default]

``--anatomy`` holds ``labels/`` and ``ms/`` (see `napari_gliocam.phantom.sources`); without it the
brains are procedural.  No image of a patient with a tumour and no outlined voxel takes part: this
is how ``gliocam-synthetic-2`` began.  ``gliocam-real-1`` was made by other code, see its model
card.  A killed run goes on where it stopped: everything that is finished lies in ``--work``.
"""

from __future__ import annotations

import argparse
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from napari_gliocam.nets.bundle import BundleInfo, load_bundle
from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.sources import load_anatomies
from napari_gliocam.train.data.slice_set import SliceSet, open_slices, save_slices
from napari_gliocam.train.data.synthetic import synthetic_slices
from napari_gliocam.train.recipe.fields import Data
from napari_gliocam.train.recipe.toml_file import read_recipe
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.events import TrainingReport
from napari_gliocam.train.run.fit import Machine

#: Half of the cases come from real contrasts (three people), half from label maps; the last
#: two label maps are kept for measuring.
HELD_BACK = ("training_seg_19", "training_seg_20")
SHARD = 100
#: Procedural brains, where no anatomy is given.
BRAINS = 6


def main() -> None:
    """Parse the command line, make the slices, run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="default", help="paper, released, default or a file")
    parser.add_argument("--cases", type=int, default=1300)
    parser.add_argument("--start", type=Path, help="bundle to go on from")
    parser.add_argument("--name", default="my-bundle")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes that make slices")
    parser.add_argument("--loaders", type=int, default=0, help="processes that load, a device")
    asked = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    asked.work.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(asked.recipe)
    slices = make_slices(asked.anatomy, asked.work, asked.cases, asked.workers, recipe.data)
    logging.info("%d slices, labels on average %s", len(slices), slices.labels.mean(0))
    anatomy = "openly licensed anatomy (SynthSeg label maps, Lesjak MS contrasts)"
    about = BundleInfo(
        name=asked.name,
        origin=(
            f"Synthetic tumours in {anatomy if asked.anatomy else 'procedural brains'}; "
            "image-level labels only"
        ),
        licence="BSD-3-Clause",
    )
    train_bundle(
        recipe,
        slices,
        asked.out,
        work_dir=asked.work / recipe.name,
        about=about,
        start=load_bundle(asked.start).net if asked.start else None,
        machine=Machine(asked.accelerator, asked.devices, asked.nodes, workers=asked.loaders),
        report=tell,
    )


def tell(report: TrainingReport) -> None:
    """Log the end of each epoch."""
    if report.epoch and report.step * report.epochs == report.epoch * report.steps:
        values = ", ".join(f"{k} {v:.4g}" for k, v in sorted(report.values.items()))
        logging.info("%s: epoch %d of %d: %s", report.stage, report.epoch, report.epochs, values)


def make_slices(anatomy: Path | None, work: Path, cases: int, workers: int, data: Data) -> SliceSet:
    """Synthetic slices, kept in shards of a hundred cases."""
    kind = "procedural" if anatomy is None else "anatomies"
    cached = work / f"{kind}.pt"
    if not cached.exists():
        if anatomy is None:
            made = {f"procedural_{seed}": procedural_anatomy(seed) for seed in range(BRAINS)}
        else:
            made = load_anatomies(anatomy)
        temporary = cached.with_suffix(".tmp")
        torch.save(
            {k: (a.tissues, a.depth, a.spacing, a.contrasts) for k, a in made.items()}, temporary
        )
        temporary.replace(cached)
    starts = range(0, cases, SHARD)
    # The rule for the labels is part of the name: another one is another set of slices.
    rule = f"{kind}_{data.few_pixels}{data.min_pixels}"
    folders = [work / f"slices_{rule}_{s:06d}-{min(s + SHARD, cases):06d}" for s in starts]
    with ProcessPoolExecutor(workers) as pool:
        n = len(folders)
        stops = [min(s + SHARD, cases) for s in starts]
        return open_slices(
            list(pool.map(_make_shard, [cached] * n, folders, starts, stops, [data] * n))
        )


def _make_shard(anatomies: Path, folder: Path, first: int, last: int, data: Data) -> Path:
    if folder.exists():
        return folder
    torch.set_num_threads(1)
    raw = torch.load(anatomies, weights_only=True)
    made = {k: Anatomy(*v) for k, v in raw.items() if k not in HELD_BACK}
    labels = [k for k in made if made[k].contrasts is None]
    real = [k for k in made if made[k].contrasts is not None]
    images, answers, case = [], [], []
    for number in range(first, last):
        rng = np.random.default_rng([99, number])
        pool = real if real and rng.random() < 0.5 else labels
        chosen = made[pool[int(rng.integers(len(pool)))]]
        image, label, _ = synthetic_slices(
            chosen,
            [2026, 3, number],
            min_pixels=data.min_pixels,
            few_pixels=data.few_pixels,
        )
        images.append(image)
        answers.append(label)
        case.append(np.full(len(image), number))
    slices = SliceSet(np.concatenate(images), np.concatenate(answers), np.concatenate(case))
    return save_slices(slices, folder)


if __name__ == "__main__":
    main()
