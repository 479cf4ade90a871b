"""Slices of synthetic cases with neighbours and their exact masks, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.progress import Progress
from napari_gliocam.targets import CORE, EDEMA
from napari_gliocam.train.data.packed import is_whole, pack_slices
from napari_gliocam.train.data.synthetic import BRAINS, PIXEL_MM, SHAPE, normalise_drawn
from napari_gliocam.train.labels.tags import image_labels

#: Most phantoms have a lesion of both classes: healthy slices are plenty in real cases.
SETTINGS = SceneSettings(kinds={"none": 0.08, "both": 0.72, "core": 0.06, "edema": 0.14})
#: Slices spread over the brain, further ones around a lesion, and those of a case without.
SPREAD, NEAR, NEAR_NONE = 5, 7, 2
#: About as many are left of a case, without those that show little brain.
SLICES_A_CASE = 11
#: Least pixels of brain of a slice that is learned from, about 8 cm2.
_MIN_BRAIN = 350


def phantom_with_masks(
    anatomy: Anatomy, seed: Sequence[int], design: SegmenterDesign, min_pixels: int = 4
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw slices of one synthetic case with their neighbours and masks.

    Parameters
    ----------
    anatomy : Anatomy
        The brain that the lesions are drawn into.
    seed : sequence of int
        Seed of everything that is random in the case.
    design : SegmenterDesign
        Number and distance of the neighbours.
    min_pixels : int
        Pixels at which a mask shows a class.

    Returns
    -------
    stored : ndarray of float32, (n, K * 3 + 2, H, W)
        T1ce, T2 and FLAIR of every neighbour, then the masks of core and edema.
    labels : ndarray of float32, (n, 3)
        Tumour, core and edema of each slice.
    """
    rng = np.random.default_rng(list(seed))
    draft = Fields(SliceGrid(np.zeros(1), (2, 2)), rng)
    lesions = draw_lesions(draft, anatomy, SETTINGS)
    low, high = anatomy.extent
    z = low + (np.arange(SPREAD) + rng.random(SPREAD)) * (high - low) / SPREAD
    for _ in range(NEAR if lesions else NEAR_NONE):
        if lesions:
            lesion = lesions[rng.integers(len(lesions))]
            z = np.append(z, lesion.centre[0] + rng.uniform(-1.1, 1.1) * lesion.radius)
        else:
            z = np.append(z, rng.uniform(low, high))
    z = np.clip(z, low, high)
    steps = design.neighbour_mm * np.arange(-design.neighbours, design.neighbours + 1)
    order = [0.0, *steps[steps != 0].tolist()]  # the slices themselves first: they are measured
    grid = SliceGrid(np.concatenate([z + step for step in order]), SHAPE, (PIXEL_MM, PIXEL_MM))
    scene = render_scene(Fields(grid, rng), anatomy, lesions, SETTINGS)
    drawn = [
        normalise_drawn(scene.image[c], scene.brain, SPREAD, rng).numpy() for c in (T1CE, T2, FLAIR)
    ]
    planes = np.stack(drawn, axis=1).reshape(len(order), len(z), 3, *SHAPE)
    images = np.concatenate([planes[order.index(step)] for step in steps.tolist()], axis=1)
    truth = scene.labels[: len(z)].numpy()
    kept = (scene.brain[: len(z)].sum(dim=(1, 2)) > _MIN_BRAIN).numpy()
    masks = np.stack([truth == CORE, truth == EDEMA], axis=1)
    core, edema = masks.sum(axis=(2, 3)).T
    labels, _ = image_labels(core, edema, min_pixels=min_pixels)
    stored = np.concatenate([images, masks.astype(np.float32)], axis=1)
    return stored[kept], labels[kept].astype(np.float32)


def drawing_phantoms(
    cache: Path,
    cases: int,
    design: SegmenterDesign,
    seed: int,
    *,
    masks: int = 2,
    anatomies: Path | None = None,
    min_pixels: int = 4,
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Draw synthetic cases, or reuse those drawn before.

    Parameters
    ----------
    cache : Path
        Folder that the cases are kept in.
    cases : int
        Number of cases.
    design : SegmenterDesign
        Number and distance of the neighbours.
    seed : int
        Seed of the cases.
    masks : {2, 4}
        Channels of masks; with four the second masks are the first again.
    anatomies : Path, optional
        Folder of anatomies to draw into, see `napari_gliocam.phantom.sources`; procedural brains
        by default.
    min_pixels : int
        Pixels at which a mask shows a class.

    Yields
    ------
    Progress
        Cases drawn.

    Returns
    -------
    tuple of Path
        A packed file for each case.
    """
    brain_of = _brains(cases, anatomies)
    kind = "procedural" if anatomies is None else "given"
    files = []
    for number in range(cases):
        yield Progress(number, cases, "drawing synthetic cases")
        file = cache / (
            f"phantom-{kind}-{seed}-{number}of{cases}-{design.neighbours}x"
            f"{design.neighbour_mm:g}-{masks}-{min_pixels}.slices"
        )
        if not is_whole(file):
            stored, labels = phantom_with_masks(
                brain_of(number), [2031, seed, number], design, min_pixels
            )
            if masks > 2:
                stored = np.concatenate([stored, stored[:, -2:]], axis=1)
            pack_slices(stored, file, labels)
        files.append(file)
    return tuple(files)


def _brains(cases: int, folder: Path | None) -> Callable[[int], Anatomy]:
    """Return a function from the number of a case to its brain."""
    made = lru_cache(maxsize=1)(procedural_anatomy)
    if folder is None:
        return lambda number: made(number * BRAINS // cases)
    from napari_gliocam.phantom.sources import load_anatomies

    found = list(load_anatomies(folder).values())
    return lambda number: found[number % len(found)]
