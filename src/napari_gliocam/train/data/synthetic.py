"""Slices of synthetic cases with their image-level labels, made for a training or kept on disk."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.progress import Progress
from napari_gliocam.slices import Normalisation
from napari_gliocam.train.data.packed import pack_slices, packed_labels
from napari_gliocam.train.labels.tags import image_labels
from napari_gliocam.train.recipe.fields import Data

#: Rows and columns of a training slice at 1.5 mm.
SHAPE = (128, 112)
PIXEL_MM = 1.5
#: Number of procedural brains that the rehearsal cases are drawn into, one after the other.
BRAINS = 6


def synthetic_slices(
    anatomy: Anatomy,
    seed: list[int],
    *,
    spread: int = 9,
    near: int = 9,
    settings: SceneSettings | None = None,
    min_pixels: int = 8,
    few_pixels: str = "exclude",
    device: torch.device | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.uint8]]:
    """Draw the slices of one synthetic case.

    Parameters
    ----------
    anatomy : Anatomy
        The brain that the lesions are drawn into.
    seed : list of int
        Seed of everything that is random in the case.
    spread : int
        Number of slices spread over the brain; the case's intensity statistics come from these.
    near : int
        Number of further slices around a lesion, where there is one.
    settings : SceneSettings, optional
        Lesions and acquisition; the defaults if omitted.
    min_pixels, few_pixels
        As in `napari_gliocam.train.labels.tags.image_labels`.
    device : torch.device, optional
        Device to draw the slices on, the CPU by default.  The random numbers come from the CPU, so
        that the slices are the same within rounding.  Quickest where the anatomy lies
        (`Anatomy.to`).

    Returns
    -------
    images : ndarray of float16, (n, 3, H, W)
        T1ce, T2 and FLAIR, normalised.
    labels : ndarray of float32, (n, 3)
        Tumour, core and edema.
    truth : ndarray of uint8, (n, H, W)
        The labels of the pixels, for measuring only; the training data keep no mask.
    """
    rng = np.random.default_rng(seed)
    draft = Fields(SliceGrid(np.zeros(1), (2, 2)), rng)
    lesions = draw_lesions(draft, anatomy, settings or SceneSettings())
    low, high = anatomy.extent
    z = low + (np.arange(spread) + rng.random(spread)) * (high - low) / spread
    wanted = near if lesions else near // 3
    for _ in range(wanted):
        if lesions:
            lesion = lesions[rng.integers(len(lesions))]
            z = np.append(z, lesion.centre[0] + rng.uniform(-1.25, 1.25) * lesion.radius)
        else:
            z = np.append(z, rng.uniform(low, high))
    z = np.clip(z, low, high)
    grid = SliceGrid(z, SHAPE, (PIXEL_MM, PIXEL_MM), device or torch.device("cpu"))
    fields = Fields(grid, rng)
    scene = render_scene(fields, anatomy, lesions, settings)

    images = torch.stack(
        [normalise_drawn(scene.image[c], scene.brain, spread, rng) for c in (T1CE, T2, FLAIR)],
        dim=1,
    )
    truth = scene.labels.cpu().numpy()
    core, edema = ((truth == k).sum(axis=(1, 2)) for k in (1, 2))
    labels, keep = image_labels(core, edema, min_pixels=min_pixels, few_pixels=few_pixels)
    keep &= (scene.brain.sum(dim=(1, 2)) > 350).cpu().numpy()
    return images.half().cpu().numpy()[keep], labels[keep].astype(np.float32), truth[keep]


def normalise_drawn(image: Tensor, brain: Tensor, spread: int, rng: np.random.Generator) -> Tensor:
    """Normalise as for a real case, with the scatter that the statistics of real cases have."""
    how = Normalisation()
    mean_off, std_off, high_off = (
        rng.uniform(-0.12, 0.12),
        float(np.exp(rng.uniform(-0.12, 0.2))),
        max(0.0, rng.uniform(-0.3, 1.0)),
    )
    values = image[:spread][brain[:spread]]
    if not len(values):  # the field of view ends below every one of these slices
        return torch.zeros_like(image)
    bounds = torch.tensor([how.low_percentile, how.high_percentile], device=image.device) / 100
    low, high = torch.quantile(values, bounds)
    clipped = values.clamp(low, high)
    mean, std = clipped.mean(), clipped.std(correction=0) + 1e-6
    mean = mean + mean_off * std
    std = std * std_off
    high = high + high_off * (high - mean)
    out = (image.clamp(low, high) - mean) / std
    return out.clamp(how.clip_low, how.clip_high) * brain


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """Packed synthetic cases that a bundle is shown again, so that it does not forget.

    Parameters
    ----------
    files : tuple of Path
        A file of packed slices for each case.
    labels : tuple of ndarray of float32, each (n_i, 3)
        Tumour, core and edema of the slices of each case.
    shape : (H, W)
        Rows and columns of a slice.
    """

    files: tuple[Path, ...] = ()
    labels: tuple[NDArray[np.float32], ...] = ()
    shape: tuple[int, int] = (16, 16)


def rehearsing(
    folder: Path, cases: int, data: Data, seed: int
) -> Generator[Progress, None, Rehearsal]:
    """Draw synthetic cases into procedural brains, or reuse those drawn before.

    Parameters
    ----------
    folder : Path
        Folder that the cases are kept in.
    cases : int
        Number of cases.
    data : Data
        The rule for the labels; it is part of the name of each file.
    seed : int
        Seed of the cases.

    Yields
    ------
    Progress
        Cases drawn.
    """
    files, labels = [], []
    brain_of = lru_cache(maxsize=1)(procedural_anatomy)  # a brain takes longer than its case
    for number in range(cases):
        file = folder / (
            f"rehearsal-{seed}-{number}of{cases}-{data.few_pixels}{data.min_pixels}.slices"
        )
        shown = packed_labels(file)
        if shown is None:
            yield Progress(number, cases, "drawing synthetic cases")
            images, shown, _ = synthetic_slices(
                brain_of(number * BRAINS // cases),
                [2027, seed, number],
                min_pixels=data.min_pixels,
                few_pixels=data.few_pixels,
            )
            pack_slices(images, file, labels=shown)
        files.append(file)
        labels.append(shown)
    return Rehearsal(tuple(files), tuple(labels), SHAPE)
