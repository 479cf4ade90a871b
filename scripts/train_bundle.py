"""Train a bundle from scratch: synthetic slices, two classifiers, two aggregators.

    python scripts/train_bundle.py --anatomy DIR --work DIR --out DIR

``--anatomy`` holds ``labels/`` and ``ms/`` (see `napari_gliocam.phantom.sources`).  No image
of a patient with a tumour and no outlined voxel takes part.  A killed run goes on where it
stopped: everything that is finished lies in ``--work``.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from napari_gliocam.case import Modality
from napari_gliocam.nets.bundle import BundleInfo, save_bundle
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.phantom.anatomy import Anatomy
from napari_gliocam.phantom.sources import load_anatomies
from napari_gliocam.train.aggregator import AggregatorRecipe, cache_maps, train_aggregators
from napari_gliocam.train.classifier import ClassifierRecipe, train_classifier
from napari_gliocam.train.synthetic import SliceSet, synthetic_slices

#: Half of the cases come from real contrasts (three people), half from label maps; the last
#: two label maps are kept for measuring.
HELD_BACK = ("training_seg_19", "training_seg_20")
SHARD = 100


def main() -> None:
    """Parse the command line and run the stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=1300)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    asked.work.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()

    slices = make_slices(asked.anatomy, asked.work, asked.cases, asked.workers)
    logging.info("%d slices, labels on average %s", len(slices.images), slices.labels.mean(0))
    recipes = {
        "tumour": ClassifierRecipe((0,), epochs=asked.epochs, seed=asked.seed),
        "classes": ClassifierRecipe((1, 2), epochs=asked.epochs, seed=asked.seed),
    }
    net = GliocamNet()
    for name, recipe in recipes.items():
        file = asked.work / f"{name}_{asked.seed}.safetensors"
        train_classifier(slices.images, slices.labels, recipe, file)
        getattr(net, name).load_state_dict(load_file(file))
    net.eval()
    aggregator = AggregatorRecipe(seed=asked.seed)
    shows = np.flatnonzero(slices.labels[:, 0])
    shows = np.sort(np.random.default_rng(0).permutation(shows)[:3200])
    train_aggregators(net, cache_maps(net, slices.images[shows], slices.labels[shows]), aggregator)
    info = BundleInfo(
        name="gliocam-synthetic-1",
        origin=(
            "Synthetic tumours in openly licensed anatomy (SynthSeg label maps, Lesjak MS "
            "contrasts); image-level labels only"
        ),
        licence="BSD-3-Clause",
        optional_modalities=(Modality.T1CE, Modality.T2),
        training={
            "slices": len(slices.images),
            "cases": asked.cases,
            "recipes": {k: asdict(r) for k, r in recipes.items()},
            "aggregator": asdict(aggregator),
            "hours": round((time.perf_counter() - started) / 3600, 2),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        },
    )
    save_bundle(net, info, asked.out)


def make_slices(anatomy: Path, work: Path, cases: int, workers: int) -> SliceSet:
    """Synthetic slices, kept in shards of a hundred cases."""
    cached = work / "anatomies.pt"
    if not cached.exists():
        made = load_anatomies(anatomy)
        torch.save(
            {k: (a.tissues, a.depth, a.spacing, a.contrasts) for k, a in made.items()}, cached
        )
    starts = range(0, cases, SHARD)
    with ProcessPoolExecutor(workers) as pool:
        files = list(
            pool.map(
                _make_shard,
                [cached] * len(starts),
                [work / f"slices_{s:06d}.npz" for s in starts],
                starts,
                [min(s + SHARD, cases) for s in starts],
            )
        )
    parts = [np.load(f) for f in files]
    return SliceSet(*(np.concatenate([p[k] for p in parts]) for k in ("images", "labels", "case")))


def _make_shard(anatomies: Path, file: Path, first: int, last: int) -> Path:
    if file.exists():
        return file
    torch.set_num_threads(1)
    raw = torch.load(anatomies, weights_only=True)
    made = {k: Anatomy(*v) for k, v in raw.items() if k not in HELD_BACK}
    labels = [k for k in made if made[k].contrasts is None]
    real = [k for k in made if made[k].contrasts is not None]
    images, answers, case = [], [], []
    for number in range(first, last):
        rng = np.random.default_rng([99, number])
        pool = real if rng.random() < 0.5 else labels
        chosen = made[pool[int(rng.integers(len(pool)))]]
        image, label, _ = synthetic_slices(chosen, [2026, 3, number])
        images.append(image)
        answers.append(label)
        case.append(np.full(len(image), number))
    temporary = file.with_name(f"tmp_{file.name}")
    np.savez(
        temporary,
        images=np.concatenate(images),
        labels=np.concatenate(answers),
        case=np.concatenate(case),
    )
    temporary.rename(file)
    return file


if __name__ == "__main__":
    main()
