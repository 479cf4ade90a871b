"""Synthetic slices that a bundle is shown besides new ones, so that it does not forget."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.progress import Progress
from napari_gliocam.train.data.packed import pack_slices
from napari_gliocam.train.recipe.fields import Data

#: How many procedural brains the cases are drawn into, one after the other.
BRAINS = 6


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """Packed synthetic cases.

    Parameters
    ----------
    files : tuple of Path
    labels : tuple of ndarray of float32, each (n_i, 3)
        Tumour, core, edema.
    shape : (H, W)
        Of a slice.
    """

    files: tuple[Path, ...] = ()
    labels: tuple[NDArray[np.float32], ...] = ()
    shape: tuple[int, int] = (16, 16)


def rehearsing(
    folder: Path, cases: int, data: Data, seed: int
) -> Generator[Progress, None, Rehearsal]:
    """Draw synthetic cases with procedural brains, or take those drawn before.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    cases : int
    data : Data
        The rule for the labels is part of a file's name.
    seed : int

    Yields
    ------
    Progress
        Cases drawn.
    """
    from napari_gliocam.phantom.anatomy import procedural_anatomy
    from napari_gliocam.train.data.synthetic import SHAPE, synthetic_slices

    files, labels = [], []
    brain_of = lru_cache(maxsize=1)(procedural_anatomy)  # a brain takes longer than its case
    for number in range(cases):
        name = f"rehearsal-{seed}-{number}of{cases}-{data.few_pixels}{data.min_pixels}"
        file, answers = folder / f"{name}.slices", folder / f"{name}.npy"
        if not (file.exists() and answers.exists()):
            yield Progress(number, cases, "drawing synthetic cases")
            images, shown, _ = synthetic_slices(
                brain_of(number * BRAINS // cases),
                [2027, seed, number],
                min_pixels=data.min_pixels,
                few_pixels=data.few_pixels,
            )
            pack_slices(images, file)
            np.save(answers, shown)
        files.append(file)
        labels.append(np.load(answers))
    return Rehearsal(tuple(files), tuple(labels), SHAPE)
