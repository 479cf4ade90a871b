"""Files of a work folder: those made once, by one of all processes, and facts of a training."""

from __future__ import annotations

import json
import platform
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from lightning import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_json
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.common import AnyRecipe
from napari_gliocam.train.recipe.toml_file import differences, recipe_values
from napari_gliocam.train.run.checkpoints import weights_digest
from napari_gliocam.train.run.fit import Machine, first_process

T = TypeVar("T")

#: Seconds of all runs so far.
_SECONDS = "seconds.json"

#: Errors of files that are missing or damaged; RuntimeError is torch's for weights of other shapes.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
)


def made_once(
    fabric: Fabric | None, file: Path, make: Callable[[], object], read: Callable[[Path], T]
) -> T:
    """Read a file of the work folder, after the first process has made it.

    Parameters
    ----------
    fabric : Fabric or None
        Lets the other processes wait; None where there is one alone.
    file : Path
        The file, or a folder.
    make : callable
        Makes the file where it is missing or damaged; called in the first process only.
    read : callable
        Reads the file.
    """
    if first_process():
        try:
            read(file)
        except DAMAGED:
            make()
    if fabric is not None:
        fabric.barrier()
    return read(file)


@contextmanager
def timed(work: Path) -> Iterator[None]:
    """Add up the seconds of all runs in a work folder, but for those that were killed."""
    before, started = _seconds(work), time.perf_counter()
    try:
        yield
    finally:
        if first_process():
            write_json(work / _SECONDS, before + time.perf_counter() - started)


def _seconds(work: Path) -> float:
    with suppress(*DAMAGED):  # a figure for the model card, no more
        return float(json.loads((work / _SECONDS).read_text(encoding="utf-8")))
    return 0.0


def facts(
    work: Path,
    slices: SliceSet,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    machine: Machine,
) -> dict[str, Any]:
    """Return the counts and the time of a training, for the description of its bundle.

    Parameters
    ----------
    work : Path
        The work folder.
    slices : SliceSet
        All slices.
    train, validation : ndarray of int
        Rows of ``slices`` that were learned from and judged with.
    machine : Machine
        The devices.
    """
    case = slices.case[train]
    return {
        "slices": len(train),
        "synthetic_slices": int((case < 0).sum()),
        "cases": len(np.unique(case)),
        "validation_cases": len(np.unique(slices.case[validation])),
        "hours": round(_seconds(work) / 3600, 2),
        "machine": f"{platform.machine()}, {machine.words}",
    }


def check_same_training(
    work: Path, recipe: AnyRecipe, slices: SliceSet, start: nn.Module | None
) -> None:
    """Raise `TrainingError` if something else was trained in a work folder; note it if nothing was.

    Parameters
    ----------
    work : Path
        The work folder.
    recipe : AnyRecipe
        The recipe.
    slices : SliceSet
        All slices.
    start : Module or None
        The networks to go on from.
    """
    if not first_process():
        return
    file = work / "training.json"
    now = {
        "recipe": recipe_values(recipe),
        "slices": slices.fingerprint(),
        "start": None if start is None else weights_digest(start),
    }
    if not file.exists():
        write_json(file, now)
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        keys = differences(before, now)
    except (*DAMAGED, RecursionError) as error:
        raise TrainingError(
            f'"{file}", which says what was trained in this folder, cannot be read ({error}); '
            "choose another folder for the training."
        ) from error
    if keys:
        words = {"slices": "other cases or slice labels", "start": "another bundle to go on from"}
        which = (words.get(k, k.replace("recipe.", "the recipe's ", 1)) for k in keys[:3])
        raise TrainingError(
            f'The folder "{work}" holds a training with other settings ({", ".join(which)}); give '
            "the same ones to go on with it, or choose another folder for a new training."
        )
