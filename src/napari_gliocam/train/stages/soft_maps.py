"""Soft maps of the patients that are trained with, from images and slice labels alone.

Where a patient's intensities part lesion from healthy tissue, the exits can learn more than "this
slice shows core" (self-training with a model of intensities as teacher).  For each patient
the mean maps of the networks so far are adapted to the patient (`napari_gliocam.refine.adapt`),
with the slice labels in place of the networks' own judgement: a slice without a class gets none of
it.  No outline is read; the result is a probability of each pixel.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.case import Case
from napari_gliocam.io.atomic import replacing
from napari_gliocam.maps.across_slices import smooth_across_slices
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.phantom.sample import phantom_grid
from napari_gliocam.refine.adapt import adapt
from napari_gliocam.refine.components import holes, kept_components
from napari_gliocam.refine.parameters import ComponentParameters
from napari_gliocam.settings import Thresholds
from napari_gliocam.train.data.slice_set import SliceSet

#: Slices that go through the networks at once.
BATCH = 16
#: Least probability inside the tumour that is found, and largest outside.
INSIDE, OUTSIDE = 0.6, 0.2
#: Even odds: the maps are shifted before they are adapted, so that 0.5 cuts them.
_EVEN = Thresholds(tumour_threshold=0.5, class_threshold=0.5)


class SoftMaps:
    """The soft maps that `write_soft_maps` wrote, read from disk row by row.

    Parameters
    ----------
    folder : Path
        The folder of the maps.
    device : torch.device, optional
        Device to keep the maps on, beside the slices; by default they stay on the disk.

    Raises
    ------
    OSError, ValueError
        If a file is missing or damaged.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        self.folder, self.device = folder, device
        self._maps = np.load(folder / "maps.npy", mmap_mode=None if device else "r")
        self._place = np.load(folder / "place.npy")
        self._held = torch.from_numpy(self._maps).to(device) if device else None

    def __reduce__(self) -> tuple[type[SoftMaps], tuple[Path, torch.device | None]]:
        return SoftMaps, (self.folder, self.device)  # a worker opens the files itself

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the maps of some rows of the slice set, (B, 3, H, W); NaN where there are none."""
        place = self._place[rows]
        known = place >= 0
        out = torch.full((len(rows), *self._maps.shape[1:]), torch.nan, device=self.device)
        if self._held is None:
            out[known] = torch.from_numpy(self._maps[place[known]].astype(np.float32))
        else:
            out[known] = self._held[place[known]].float()
        return out


def write_soft_maps(
    nets: Sequence[GliocamNet],
    slices: SliceSet,
    rows: NDArray[np.int64],
    folder: Path,
    about: BundleInfo,
    prior_shift: float = 0.0,
) -> None:
    """Make the soft maps of all real patients and write them, whole or not at all.

    Parameters
    ----------
    nets : sequence of GliocamNet
        Networks whose mean maps are the prior, on their device.
    slices : SliceSet
        All slices.
    rows : ndarray of int
        The rows of ``slices`` that are trained with.
    folder : Path
        The folder to make.
    about : BundleInfo
        Modalities, pixel, thresholds and smoothing over slices.
    prior_shift : float
        As in `napari_gliocam.train.recipe.maps.Round`.
    """
    real = rows[slices.case[rows] >= 0]
    place = np.full(len(slices), -1, dtype=np.int64)
    place[real] = np.arange(len(real))
    with replacing(folder) as part:
        part.mkdir()
        shape = (len(real), 3, *slices.images.shape[2:])
        file = open_memmap(part / "maps.npy", "w+", np.float16, shape)
        patients = [real[slices.case[real] == number] for number in np.unique(slices.case[real])]
        at_once = os.cpu_count() or 1
        with ThreadPoolExecutor(at_once) as pool:  # most of an adaptation leaves the GIL to others
            for start in range(0, len(patients), at_once):
                some = patients[start : start + at_once]
                found = [mean_maps(nets, slices, own) for own in some]
                jobs = [
                    pool.submit(patient_maps, slices, own, maps, about, prior_shift)
                    for own, maps in zip(some, found, strict=True)
                ]
                for own, job in zip(some, jobs, strict=True):
                    file[place[own]] = job.result()
        file.flush()
        np.save(part / "place.npy", place)


def patient_maps(
    slices: SliceSet,
    rows: NDArray[np.int64],
    found: NDArray[np.float32],
    about: BundleInfo,
    prior_shift: float = 0.0,
) -> NDArray[np.float32]:
    """Return the soft maps of one patient, (n, 3, H, W); NaN on slices whose tumour is not found.

    Parameters
    ----------
    slices, about, prior_shift
        As in `write_soft_maps`.
    rows : ndarray of int, (n,)
        The rows of this patient.
    found : ndarray of float32, (3, n, H, W)
        The maps of these rows, from `mean_maps`.
    """
    position = np.arange(len(rows)) if slices.position is None else slices.position[rows]
    order = np.argsort(position)
    step = float(np.median(np.diff(position[order]))) if len(rows) > 1 else 1.0
    images = slices.images[rows[order]].astype(np.float32)
    labels = slices.labels[rows[order]].astype(np.float32)
    spacing = (step, about.pixel_mm, about.pixel_mm)
    grid = phantom_grid((len(rows), *images.shape[2:]), spacing)
    volumes = {m: images[:, channel] for channel, m in enumerate(about.modalities)}
    case = Case(name="", volumes=volumes, grid=grid)
    sigma = about.across_slices_mm / step
    tumour, core, edema = smooth_across_slices(found[:, order], case.brain, sigma)
    shows = labels[:, :, None, None]
    known = np.clip(tumour, 1e-4, 1 - 1e-4)
    odds = known / (1 - known) * np.exp(prior_shift)
    odds *= (1 - about.tumour_threshold) / about.tumour_threshold
    maps = ClassMaps(
        grid=grid,
        tumour=np.where(tumour > 0, odds / (1 + odds), 0).astype(np.float32) * shows[:, 0],
        core=core,
        edema=edema,
        probabilities=labels,
        provenance={"thresholds": asdict(_EVEN)},
    )
    adapted = adapt(maps, case)
    part = ComponentParameters(min_fraction=0.1)
    inside = kept_components(adapted.tumour > 0.5, part, voxel_ml=grid.voxel_ml)
    inside |= holes(inside)
    whole = np.where(
        inside, np.maximum(adapted.tumour, INSIDE), np.minimum(adapted.tumour, OUTSIDE)
    )
    whole *= shows[:, 0]
    share = adapted.core / np.maximum(adapted.core + adapted.edema, 1e-6)
    share = np.where(shows[:, 2] == 0, 1, share) * shows[:, 1]  # a class alone is all of the tumour
    soft = np.stack([whole, whole * share, whole * (1 - share) * shows[:, 2]], axis=1)
    soft[(labels[:, 0] > 0) & ~(inside & (shows[:, 0] > 0)).any(axis=(1, 2))] = np.nan
    out = np.empty_like(soft, dtype=np.float32)
    out[order] = soft
    return out


@torch.inference_mode()
def mean_maps(
    nets: Sequence[GliocamNet], slices: SliceSet, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the mean over networks of the aggregates of some slices, (3, n, H, W)."""
    parts = []
    for start in range(0, len(rows), BATCH):
        images = slices.images[rows[start : start + BATCH]].astype(np.float32)
        batch = torch.from_numpy(images).to(nets[0].signs.device)
        brain = (batch != 0).any(dim=1, keepdim=True).float()
        parts.append(torch.stack([net(batch, brain).aggregates for net in nets]).mean(dim=0).cpu())
    return torch.cat(parts).transpose(0, 1).numpy()
