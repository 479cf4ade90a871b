"""Train a bundle from end to end: on real patients by slice labels, or on synthetic slices alone.

    python scripts/train_bundle.py --patients DIR --labels CSV --out BUNDLE [--anatomies DIR]
    python scripts/train_bundle.py --out BUNDLE [--anatomies DIR]

The first line runs the recipe ``real``: real patients beside synthetic
slices, on from ``gliocam-synthetic-2``, from another bundle (``--start``), or from networks that it
trains on the synthetic slices first (``--scratch``).  The second runs the recipe ``default``, as
``gliocam-synthetic-2`` began.  ``--anatomies`` holds ``labels/`` and ``ms/`` (see
`napari_gliocam.phantom.sources`); without it synthetic brains are procedural.  The labels are a
table case,slice,core,edema; no outline is read.  The same line goes on where a run was killed:
everything that is finished lies in ``--work``.  ``--quick`` runs every step in a few minutes.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from napari_gliocam.errors import CaseError, GliocamError, TrainingError
from napari_gliocam.io.find import find_cases
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, read_bundle_info
from napari_gliocam.progress import Progress, finish
from napari_gliocam.train.data.packed import open_slices
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases
from napari_gliocam.train.recipe.maps import Recipe, read_recipe
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.events import Event, Note, Plan, TrainingReport
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.training import run_request

#: Patients of ``gliocam-real-1`` whose core hardly enhances in T1ce: few, and as often wanted.
OFTEN = {
    "Brats18_CBICA_ARZ_1": 3.0,
    "Brats18_TCIA10_628_1": 3.0,
    "Brats18_TCIA10_639_1": 3.0,
    "Brats18_TCIA13_623_1": 3.0,
    "Brats18_2013_21_1": 1.7,
    "Brats18_CBICA_AQN_1": 1.7,
    "Brats18_CBICA_AQP_1": 1.7,
}


def main(words: list[str] | None = None) -> int:
    """Parse the command line and train; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="BUNDLE", help="the new bundle")
    add("--patients", type=Path, metavar="DIR", help="a folder of cases")
    add("--labels", type=Path, metavar="CSV", help="case,slice,core,edema")
    add("--anatomies", type=Path, metavar="DIR", help="brains that synthetic cases are drawn into")
    begins = parser.add_mutually_exclusive_group()
    begins.add_argument("--start", type=Path, metavar="BUNDLE", help="bundle to go on from")
    begins.add_argument("--scratch", action="store_true", help="no bundle to go on from")
    add("--recipe", metavar="NAME|FILE", help="real with patients, else default")
    add("--cases", type=int, help="synthetic cases; by default as the recipe says, or 1300")
    add("--work", type=Path, metavar="DIR", help="slices and checkpoints; BUNDLE-work by default")
    add("--name", default="", help="of the bundle; its folder's by default")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--workers", type=int, default=0, help="processes that draw and load slices")
    add("--quick", action="store_true", help="every step, a few slices each")
    asked = parser.parse_args(words)
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    asked.work = asked.work or asked.out.with_name(f"{asked.out.name}-work")
    try:
        check(asked)
        if asked.patients is None:
            train_on_synthetic(asked, asked.recipe or "default", asked.out)
        else:
            train_on_patients(asked)
    except GliocamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def check(asked: argparse.Namespace) -> None:
    """Raise an error of one sentence if a folder or file that is asked for is missing."""
    if (asked.patients is None) != (asked.labels is None):
        raise TrainingError("Give --patients and --labels together, or neither.")
    for name in ("patients", "anatomies"):
        folder = getattr(asked, name)
        if folder is not None and not folder.is_dir():
            raise CaseError(f'There is no folder "{folder}" for --{name}; check the path.')
    if asked.start is not None:
        read_bundle_info(asked.start)
    if asked.labels is not None and not asked.labels.is_file():
        raise TrainingError(f'There is no table "{asked.labels}" of slice labels; check the path.')


def train_on_patients(asked: argparse.Namespace) -> None:
    """Run the recipe of real patients beside synthetic slices."""
    start = asked.start or read_bundle_info("gliocam-synthetic-2").path
    if asked.scratch:
        start = asked.work / "synthetic"
        if not (start / INFO_FILE).exists():
            train_on_synthetic(asked, "default", start)
    recipe = sized(read_recipe(asked.recipe or "real"), asked)
    names = {case.name for case in find_cases(asked.patients)}
    often = {**{k: v for k, v in OFTEN.items() if k in names}, **recipe.data.sampling.often}
    sampling = replace(recipe.data.sampling, often=often)
    request = TrainingRequest(
        cases=str(asked.patients),
        labels=str(asked.labels),
        out=str(asked.out),
        recipe=recipe_values(replace(recipe, data=replace(recipe.data, sampling=sampling))),
        bundle=str(start),
        anatomies="" if asked.anatomies is None else str(asked.anatomies),
        name=asked.name,
        cache=str(asked.work / "slices"),
        work=str(asked.work / "training"),
        device=asked.device,
        workers=asked.workers,
    )
    if not request.finished:
        run_request(request, log)


def train_on_synthetic(asked: argparse.Namespace, name: str, out: Path) -> None:
    """Run a recipe on synthetic slices alone; none is kept for validation."""
    recipe = read_recipe(name)
    recipe = sized(replace(recipe, data=replace(recipe.data, validation=0.0)), asked)
    cases = recipe.data.rehearsal or asked.cases or (6 if asked.quick else 1300)
    drawing = drawing_cases(
        asked.work / "slices",
        cases,
        Drawing.of(recipe.data),
        recipe.seed,
        anatomies=asked.anatomies,
        workers=asked.workers,
    )
    slices = open_slices(finish(drawing, log), range(-1, -1 - cases, -1))
    brains = "openly licensed anatomy (SynthSeg label maps, Lesjak MS contrasts)"
    about = BundleInfo(
        name=asked.name or out.name,
        origin=f"Synthetic tumours in {brains if asked.anatomies else 'procedural brains'}; "
        "image-level labels only",
        licence="BSD-3-Clause",
    )
    train_bundle(
        recipe,
        slices,
        out,
        work_dir=asked.work / recipe.name,
        about=about,
        start=load_bundle(asked.start).net if asked.start else None,
        machine=Machine("gpu" if asked.device == "cuda" else asked.device, workers=asked.workers),
        report=log,
    )


def sized(recipe: Recipe, asked: argparse.Namespace) -> Recipe:
    """Return the recipe with the number of synthetic cases asked for, and small if asked."""
    data = recipe.data
    if data.rehearsal and asked.cases is not None:
        data = replace(data, rehearsal=asked.cases)
    if not asked.quick:
        return replace(recipe, data=data)
    sampling = replace(data.sampling, steps=2)
    data = replace(data, rehearsal=min(data.rehearsal, 4), sampling=sampling)
    small = recipe.with_fits(lambda _, fit: replace(fit, epochs=min(fit.epochs, 1), batch=8))
    return replace(
        small,
        data=data,
        seeds=min(recipe.seeds, 2),
        rounds=tuple(replace(r, epochs=1) for r in recipe.rounds),
        aggregate=replace(small.aggregate, max_slices=32),
    )


def log(event: Event) -> None:
    """Log what a reader of a long run needs: the plan, notes, the end of each epoch."""
    match event:
        case Plan():
            logging.info("%s", event.words)
        case Note():
            logging.info("%s", event.sentence)
        case Progress() if event.done == event.total or event.done % 50 == 0:
            logging.info("%s: %d of %d", event.what, event.done, event.total)
        case TrainingReport() if event.note:
            logging.info("%s", event.note)
        case TrainingReport() if event.epoch and event.step * event.epochs == (
            event.epoch * event.steps
        ):
            values = ", ".join(f"{k} {v:.4g}" for k, v in sorted(event.values.items()))
            logging.info("%s: epoch %d of %d: %s", event.stage, event.epoch, event.epochs, values)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    sys.exit(main())
