"""Slices of synthetic cases with their image-level labels, made for a training or kept on disk."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.io.atomic import replacing
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.phantom.sources import find_anatomies, load_anatomies
from napari_gliocam.progress import Progress
from napari_gliocam.slices import Normalisation
from napari_gliocam.targets import CORE, EDEMA
from napari_gliocam.train.data.packed import SUFFIX, is_whole, pack_slices
from napari_gliocam.train.labels.tags import image_labels
from napari_gliocam.train.recipe.maps import Data

#: Rows and columns of a training slice at 1.5 mm.
SHAPE = (128, 112)
PIXEL_MM = 1.5
#: Number of procedural brains that the rehearsal cases are drawn into, one after the other.
BRAINS = 6
#: Label maps that are kept for measuring.
HELD_BACK = ("training_seg_19", "training_seg_20")


#: Least pixels of brain of a slice that is learned from, about 8 cm2.
_MIN_BRAIN = 350


@dataclass(frozen=True)
class Drawing:
    """How the slices of a synthetic case are drawn.

    Parameters
    ----------
    spread : int
        Number of slices spread over the brain; the case's intensity statistics come from these.
    near : int
        Number of further slices around a lesion; a third of them anywhere where there is none.
    settings : SceneSettings
        Lesions and acquisition.
    min_pixels, few_pixels
        As in `napari_gliocam.train.labels.tags.image_labels`.
    design : SegmenterDesign, optional
        Neighbours that are drawn as further channels, and masks behind them: for a segmentation
        network.
    masks : {2, 4}
        Channels of masks: core and edema, once or twice.
    """

    spread: int = 9
    near: int = 9
    settings: SceneSettings = field(default_factory=SceneSettings)
    min_pixels: int = 8
    few_pixels: str = "exclude"
    design: SegmenterDesign | None = None
    masks: int = 2

    @classmethod
    def of(cls, data: Data) -> Drawing:
        """Return the drawing that a recipe asks for."""
        settings = SceneSettings(not_enhancing=data.not_enhancing)
        return cls(settings=settings, min_pixels=data.min_pixels, few_pixels=data.few_pixels)

    @classmethod
    def with_masks(cls, design: SegmenterDesign, masks: int, min_pixels: int) -> Drawing:
        """Return the drawing for a segmentation network, mostly of lesions with both classes."""
        kinds = {"none": 0.08, "both": 0.72, "core": 0.06, "edema": 0.14}
        settings = SceneSettings(kinds=kinds)  # healthy slices are plenty in real cases
        return cls(5, 7, settings, min_pixels, "normal", design, masks)

    @property
    def words(self) -> str:
        """The part of a file's name that differs for every other way of drawing."""
        words = f"{self.few_pixels}{self.min_pixels}"
        words += f"-{self.settings.not_enhancing:g}" if self.settings.not_enhancing else ""
        if self.design is not None:
            words += f"-{self.design.neighbours}x{self.design.neighbour_mm:g}-{self.masks}"
        return words


def synthetic_slices(
    anatomy: Anatomy,
    seed: Sequence[int],
    how: Drawing | None = None,
    device: torch.device | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.uint8]]:
    """Draw the slices of one synthetic case.

    Parameters
    ----------
    anatomy : Anatomy
        The brain that the lesions are drawn into.
    seed : sequence of int
        Seed of everything that is random in the case.
    how : Drawing, optional
        Slices, lesions and labels; the defaults if omitted.
    device : torch.device, optional
        Device to draw the slices on, the CPU by default.  The random numbers come from the CPU, so
        that the slices are the same within rounding.  Quickest where the anatomy lies
        (`Anatomy.to`).

    Returns
    -------
    images : ndarray of float16, (n, C, H, W)
        T1ce, T2 and FLAIR, normalised; of every neighbour, then the masks, if ``how`` has a design.
    labels : ndarray of float32, (n, 3)
        Tumour, core and edema.
    truth : ndarray of uint8, (n, H, W)
        The labels of the pixels; where only image-level labels are learned they measure.
    """
    how = how or Drawing()
    rng = np.random.default_rng(list(seed))
    draft = Fields(SliceGrid(np.zeros(1), (2, 2)), rng)
    lesions = draw_lesions(draft, anatomy, how.settings)
    low, high = anatomy.extent
    z = low + (np.arange(how.spread) + rng.random(how.spread)) * (high - low) / how.spread
    for _ in range(how.near if lesions else how.near // 3):
        if lesions:
            lesion = lesions[rng.integers(len(lesions))]
            z = np.append(z, lesion.centre[0] + rng.uniform(-1.25, 1.25) * lesion.radius)
        else:
            z = np.append(z, rng.uniform(low, high))
    z = np.clip(z, low, high)
    count = len(z)
    steps = [0.0] if how.design is None else how.design.offsets_mm
    order = sorted(steps, key=bool)  # the slices themselves first: they are measured
    places = np.concatenate([z + step for step in order])
    grid = SliceGrid(places, SHAPE, (PIXEL_MM, PIXEL_MM), device or torch.device("cpu"))
    scene = render_scene(Fields(grid, rng), anatomy, lesions, how.settings)

    drawn = [
        normalise_drawn(scene.image[c], scene.brain, how.spread, rng) for c in (T1CE, T2, FLAIR)
    ]
    planes = torch.stack(drawn, dim=1).half().cpu().numpy().reshape(len(order), count, 3, *SHAPE)
    truth = scene.labels[:count].cpu().numpy()
    masks = np.stack([truth == CORE, truth == EDEMA], axis=1)
    labels, keep = image_labels(
        *masks.sum(axis=(2, 3)).T, min_pixels=how.min_pixels, few_pixels=how.few_pixels
    )
    parts = [planes[order.index(step)] for step in steps]
    if how.design is not None:
        parts += [masks.astype(np.float16)] * (how.masks // 2)
    keep &= (scene.brain[:count].sum(dim=(1, 2)) > _MIN_BRAIN).cpu().numpy()
    images = np.concatenate(parts, axis=1)
    return images[keep], labels[keep].astype(np.float32), truth[keep]


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


def drawing_cases(
    folder: Path,
    cases: int,
    how: Drawing,
    seed: int,
    *,
    anatomies: Path | None = None,
    workers: int = 0,
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Draw synthetic cases, or reuse those drawn before.

    They are learned from beside real ones, so that a bundle does not forget, or alone.

    Parameters
    ----------
    folder : Path
        Folder that the cases are kept in.
    cases : int
        Number of cases.
    how : Drawing
        Slices, lesions and labels of each, part of the name of each file.
    seed : int
        Seed of the cases.
    anatomies : Path, optional
        Folder of anatomies to draw into (`napari_gliocam.phantom.sources`); procedural brains by
        default.  `HELD_BACK` take no part.
    workers : int
        Number of processes that draw; 0 draws in this one.

    Yields
    ------
    Progress
        Cases drawn.

    Returns
    -------
    tuple of Path
        The packed slices of each case, with their labels.

    Raises
    ------
    CaseError
        If ``anatomies`` is no such folder, or a file in it cannot be read.
    """
    brains = None
    if anatomies is not None and cases:
        yield Progress(0, cases, "reading anatomies")
        brains = _kept_anatomies(anatomies, folder)
    kind = f"{how.words}-{brains.stem}" if brains else how.words
    files = [folder / f"rehearsal-{seed}-{n}of{cases}-{kind}{SUFFIX}" for n in range(cases)]
    wanted = [number for number, file in enumerate(files) if not is_whole(file)]
    draw = partial(_draw_case, files=files, how=how, seed=seed, brains=brains)
    size = max(1, 8 * workers)
    for first in range(0, len(wanted), size):
        yield Progress(cases - len(wanted) + first, cases, "drawing synthetic cases")
        part = wanted[first : first + size]
        if workers == 0:
            list(map(draw, part))
        else:  # the pool ends before this yields again
            with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
                list(pool.map(draw, part))
    return tuple(files)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _draw_case(
    number: int, files: Sequence[Path], how: Drawing, seed: int, brains: Path | None
) -> None:
    if brains is None:
        brain = _procedural(number * BRAINS // len(files))
    else:
        brain = _chosen(_anatomies(brains), number)
    images, shown, _ = synthetic_slices(brain, [2027, seed, number], how)
    pack_slices(images, files[number], labels=shown)


@lru_cache(maxsize=1)
def _procedural(number: int) -> Anatomy:
    return procedural_anatomy(number)  # a brain takes longer than its case


def _chosen(made: Mapping[str, Anatomy], number: int) -> Anatomy:
    """Return an anatomy for a case: one with real contrasts for half of them, if there are."""
    rng = np.random.default_rng([99, number])
    real = [name for name, a in made.items() if a.contrasts is not None]
    labels = [name for name, a in made.items() if a.contrasts is None]
    names = real if real and (not labels or rng.random() < 0.5) else labels
    return made[names[int(rng.integers(len(names)))]]


def _kept_anatomies(given: Path, folder: Path) -> Path:
    """Load anatomies once and keep them in a folder; return the file."""
    found = [p for paths in find_anatomies(given).values() for p in paths]
    known = [f"{p.name} {p.stat().st_size}" for p in found]
    file = folder / f"anatomies-{sha256(repr(known).encode()).hexdigest()[:8]}.pt"
    if not file.exists():
        made = load_anatomies(given)
        learned = {k: a for k, a in made.items() if k not in HELD_BACK} or made
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            values = {k: (a.tissues, a.depth, a.spacing, a.contrasts) for k, a in learned.items()}
            torch.save(values, part)
    return file


@lru_cache(maxsize=1)
def _anatomies(file: Path) -> dict[str, Anatomy]:
    raw = torch.load(file, weights_only=True, mmap=True)
    return {name: Anatomy(*values) for name, values in raw.items()}
