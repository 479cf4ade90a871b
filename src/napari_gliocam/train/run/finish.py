"""What is done when the stages are: the comparison, the curves, the model card, tidying up."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.io.atomic import write_files, write_json
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.progress import Progress
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.run.before_after import Row, as_csv, comparing
from napari_gliocam.train.run.model_card import model_card
from napari_gliocam.train.run.request import DONE_FILE, TrainingRequest

if TYPE_CHECKING:
    from napari_gliocam.train.run.finetune import Gathered, Tell

TABLE_FILE, CURVES_FILE, CARD_FILE, PICTURES = (
    "before-after.csv",
    "curves.csv",
    "README.md",
    "pictures",
)


def finish_bundle(
    request: TrainingRequest, given: Gathered, tell: Tell
) -> Generator[Progress, None, list[Row]]:
    """Compare before and after, write everything that belongs to a bundle, remove checkpoints.

    Returns
    -------
    list of Row
        The figures on the validation patients; empty where there are none.
    """
    out = request.out_dir
    after = load_bundle(out)
    before = given.start or load_bundle()
    rows: list[Row] = []
    chosen = _some(given.plan.validation, request.compare, given.recipe.seed)
    if chosen and before.info.modalities == after.info.modalities:
        sources = {name: given.index.source(name) for name in chosen}
        rows = yield from comparing(
            sources, given.tags.cases, before, after, out / PICTURES, request.device
        )
    contents = {
        out / CURVES_FILE: curves(request.work_dir).encode(),
        out / CARD_FILE: model_card(after.info, given.plan, rows, len(chosen)).encode(),
    }
    if rows:
        contents[out / TABLE_FILE] = as_csv(rows).encode()
    write_files(contents, overwrite=True)
    tell({"kind": "table", "rows": [asdict(row) for row in rows], "cases": list(chosen)})
    write_json(request.work_dir / DONE_FILE, {"bundle": str(out)})
    _tidy(request.work_dir)
    return rows


def curves(work: Path) -> str:
    """The figures of all stages, a row an epoch, from Lightning's logs."""
    columns = ["stage", "epoch"]
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for file in sorted(work.glob("*/logs/version_*/metrics.csv"), key=_run_of):
        stage = _stage_of(file)
        with file.open(newline="", encoding="utf-8") as stream:
            for line in csv.DictReader(stream):
                row = rows.setdefault((stage, int(line["epoch"])), {})
                row |= {k: v for k, v in line.items() if v and k != "epoch"}
    for row in rows.values():
        columns += [name for name in row if name not in columns]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for (stage, epoch), row in rows.items():
        writer.writerow({"stage": stage, "epoch": epoch + 1, **row})
    return out.getvalue()


def _stage_of(file: Path) -> str:
    return file.parents[2].name.replace("_", ".", 1)


def _run_of(file: Path) -> tuple[int, int]:
    """In the order in which stages ran and went on."""
    stages = [key.removesuffix(".fit") for key in Recipe().fits()]
    return stages.index(_stage_of(file)), int(file.parent.name.rpartition("_")[2])


def _some(names: tuple[str, ...], most: int, seed: int) -> tuple[str, ...]:
    if len(names) <= most:
        return names
    chosen = np.random.default_rng([seed, 3]).permutation(len(names))[:most]
    return tuple(names[i] for i in sorted(chosen))


def _tidy(work: Path) -> None:
    """Logs stay; checkpoints and maps have done their work."""
    for file in [*work.glob("*/*.ckpt"), *work.glob("*/weights.safetensors"), *work.glob("*.npz")]:
        file.unlink(missing_ok=True)
    for folder in (work / "maps", work / "newest"):
        shutil.rmtree(folder, ignore_errors=True)
