"""The last step of a training: comparison, curves and model card; checkpoints are removed."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from napari_gliocam.io.atomic import write_files, write_json
from napari_gliocam.io.tables import csv_text
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.train.run.before_after import ALL, comparing
from napari_gliocam.train.run.checkpoints import stage_folder
from napari_gliocam.train.run.events import BeforeAfter, BeforeAfterRow, Plan
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.run.request import DONE_FILE
from napari_gliocam.train.run.segmenter_training import SLICES
from napari_gliocam.wording import figure

TABLE_FILE, CURVES_FILE, CARD_FILE, PICTURES = (
    "before-after.csv",
    "curves.csv",
    "README.md",
    "pictures",
)
#: In the work folder: the best networks so far, a whole bundle.
BEST_SO_FAR = "best-so-far"


def finishing(given: Gathered) -> Generator[Progress, None, BeforeAfter]:
    """Compare before and after, write all files that belong to a bundle, remove checkpoints.

    Parameters
    ----------
    given : Gathered
        The training.

    Yields
    ------
    Progress
        Cases compared.

    Returns
    -------
    BeforeAfter
        The figures on the validation patients; empty where there are none.
    """
    request = given.request
    out, work = request.out_dir, request.work_dir
    after = load_bundle(out)
    before = given.start or load_bundle()
    compared = BeforeAfter()
    chosen = _some_of(given.plan.validation, request.compare, given.recipe.seed)
    if chosen and before.info.modalities == after.info.modalities:
        compared = yield from comparing(
            {name: given.sources[name] for name in chosen},
            given.tags,
            before,
            after,
            pictures=out / PICTURES if request.case_names else None,
            device=request.device,
        )
    contents = {
        out / CURVES_FILE: _curves(work, list(given.recipe.fits())),
        out / CARD_FILE: model_card(after.info, given.plan, compared),
    }
    if compared.rows:
        names = {name: name for name in (ALL, *compared.cases)}
        if not request.case_names:
            names |= {name: f"case {n}" for n, name in enumerate(compared.cases, start=1)}
        contents[out / TABLE_FILE] = _table_text(compared.rows, names)
    write_files(contents, overwrite=True)
    write_json(work / DONE_FILE, {"bundle": str(out)})
    _remove_checkpoints(work)
    return compared


def model_card(info: BundleInfo, plan: Plan, compared: BeforeAfter) -> str:
    """Write a model card as far as the facts are known, with a request for the others.

    Parameters
    ----------
    info : BundleInfo
        The description of the new bundle.
    plan : Plan
        The counts of cases and slices.
    compared : BeforeAfter
        The figures on the validation patients; may be empty.

    Returns
    -------
    str
        Markdown.  Names from files are plain text in it.
    """
    training, design = info.training, info.segmenter
    began = {k: _plain_text(v) for k, v in training.get("began_with", {}).items()}
    before = began and f"{began['name']} ({began['origin']}; licence {began['licence']})"
    what = f"It goes on from {before}." if began else "It was trained from scratch."
    labels = (
        'The only labels were "this slice shows core" and "this slice shows edema"; no outline '
        "entered a loss."
    )
    if design is not None:
        sees = f"a slice and {design.neighbours} on either side" if design.neighbours else "a slice"
        what = (
            f"A segmentation network ({design.architecture}, which sees {sees}) beside the "
            f"networks of {before}, which explain and compare. Weight beside the maps: "
            f"{design.tumour_share:g} in the tumour, {design.class_share:g} in its classes."
        )
        labels = (
            "The masks were computed from maps of networks that know image-level labels alone"
            + (", and corrected by slice labels" if training["slice_labels"] else "")
            + "; no outline was read."
        )
    recipe = training["recipe"]
    lines = [
        f"# Model card: {_plain_text(info.name)}",
        "",
        "Research use only. Not a medical device.",
        "",
        f"**What it is.** {what} Input: {', '.join(m.title for m in info.modalities)}, axial "
        f"slices at {info.pixel_mm:g} mm.",
        "",
        f"**What it learned from.** {plan.words} {labels}",
        *[f"- {concern}" for concern in plan.concerns],
        "",
        f"**How.** Recipe {_plain_text(recipe['name'])}, seed {recipe['seed']}{_seeds(recipe)}, "
        f"{training['hours']:g} hours on {training['machine']}. All settings are in "
        "`bundle.json`, losses and AUC by epoch in `curves.csv`.",
        "",
        "**What it reaches.** " + _figures_text(compared, plan),
        "",
        "**What it is not for.** Diagnosis; planning; images of another kind than those above.",
        "",
        "**To be filled in by you.** Where the cases come from, who labelled the slices, whether "
        "the weights may be passed on.",
        "",
    ]
    return "\n".join(lines)


def _figures_text(compared: BeforeAfter, plan: Plan) -> str:
    """Return the figures of all validation patients together as markdown."""
    together = [row for row in compared.rows if row.case == ALL]
    if not together:
        why = "no patient was kept for validation"
        if plan.validation:
            why = "no patient that was kept for validation has expert labels or slice labels"
        return f"Nothing was measured: {why}."
    table = [
        f"On {len(compared.cases)} validation patients, who took no part in learning but chose the "
        "weights that were kept:",
        "",
        "| | before | after |",
        "| --- | --- | --- |",
        *(
            f"| {row.measure}, {row.target} | {figure(row.before, 3)} | {figure(row.after, 3)} |"
            for row in together
        ),
        "",
        "AUC is of the slice labels, Dice against expert labels.",
    ]
    return "\n".join(table)


def _seeds(recipe: Mapping[str, Any]) -> str:
    """Return the words for further seeds; recipes of earlier versions have one."""
    count = recipe.get("seeds", 1)
    return "" if count == 1 else f" and on ({count} seeds, the mean of their weights)"


def _plain_text(text: Any) -> str:
    """Return a text on one line that is neither markdown nor html."""
    line = escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#|!~])", r"\\\1", line)


def _table_text(rows: Iterable[BeforeAfterRow], names: Mapping[str, str]) -> str:
    """Return figures as csv, each case called by its name in ``names``."""
    cells = [
        (
            names[row.case],
            row.measure,
            row.target,
            *(figure(v, 4, "") for v in (row.before, row.after)),
        )
        for row in rows
    ]
    return csv_text(("case", "measure", "class", "before", "after"), cells)


def _curves(work: Path, stages: Sequence[str]) -> str:
    """Return the figures of some stages as csv, a row an epoch, from Lightning's logs.

    Parameters
    ----------
    work : Path
        The work folder.
    stages : sequence of str
        Names of the stages.
    """
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for folder in (*sorted(work.glob("round-*/seed-*")), work):
        within = "" if folder == work else f"{folder.parent.name}.{folder.name}."
        for stage in stages:
            logs = (stage_folder(folder, stage) / "logs").glob("version_*/metrics.csv")
            _add_logs(rows, f"{within}{stage}", logs)
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    cells = [
        (stage, epoch + 1, *(row.get(name, "") for name in columns))
        for (stage, epoch), row in rows.items()
    ]
    return csv_text(("stage", "epoch", *columns), cells)


def _add_logs(
    rows: dict[tuple[str, int], dict[str, str]], stage: str, logs: Iterable[Path]
) -> None:
    """Add the lines of the logs of one stage to rows by stage and epoch; later logs go last."""
    for file in sorted(logs, key=lambda f: int(f.parent.name.rpartition("_")[2])):
        with (
            suppress(csv.Error),  # a log that a full disk damaged
            file.open(newline="", encoding="utf-8", errors="replace") as stream,
        ):
            for line in csv.DictReader(stream):
                with suppress(ValueError, TypeError, KeyError):  # a line that a kill cut
                    row = rows.setdefault((stage, int(line.pop("epoch"))), {})
                    row |= {k: v for k, v in line.items() if v}


def _some_of(names: tuple[str, ...], most: int, seed: int) -> tuple[str, ...]:
    """Return all names, or some of them by seed where they are more than ``most``."""
    if len(names) <= most:
        return names
    chosen = np.random.default_rng([seed, 3]).permutation(len(names))[:most]
    return tuple(names[i] for i in sorted(chosen))


def _remove_checkpoints(work: Path) -> None:
    """Remove checkpoints, maps and packed slices; the logs stay."""
    for pattern in ("*.ckpt", "weights.safetensors", "settled.safetensors"):
        for file in [*work.glob(f"*/{pattern}"), *work.glob(f"round-*/seed-*/*/{pattern}")]:
            file.unlink(missing_ok=True)
    for file in work.glob("*.npz"):
        file.unlink(missing_ok=True)
    for folder in (
        work / "maps",
        work / SLICES,
        work / BEST_SO_FAR,
        *work.glob("round-*/soft-maps"),
    ):
        shutil.rmtree(folder, ignore_errors=True)
