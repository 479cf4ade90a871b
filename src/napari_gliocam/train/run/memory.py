"""What becomes of a stage whose batches do not fit into the device's memory."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from napari_gliocam.io.atomic import write_json
from napari_gliocam.train.recipe.fields import Fit

_FILE = "halved.json"


def halved(folder: Path, fit: Fit) -> Fit:
    """How a stage is optimised if its batches were halved before: as many slices a step."""
    file = folder / _FILE
    if not file.exists():
        return fit
    batch = int(json.loads(file.read_text(encoding="utf-8"))["batch"])
    return replace(fit, batch=batch, accumulate=2 * fit.accumulate)


def halve(folder: Path, fit: Fit) -> bool:
    """Begin a stage anew with half batches, now and whenever it goes on; False the second time."""
    if (folder / _FILE).exists():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / _FILE, {"batch": max(1, fit.batch // 2)})
    return True
