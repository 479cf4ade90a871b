"""Network slices of synthetic cases with the two questions a reader answers about each."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.phantom.anatomy import Anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.slices import Normalisation
from napari_gliocam.train.labels.image_labels import image_labels

#: Rows and columns of a training slice at 1.5 mm.
SHAPE = (128, 112)
PIXEL_MM = 1.5


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
    """Slices of one synthetic case.

    Parameters
    ----------
    anatomy : Anatomy
    seed : list of int
    spread : int
        Slices spread over the brain; the case's intensity statistics come from these.
    near : int
        More slices around a lesion, where there is one.
    settings : SceneSettings, optional
    min_pixels, few_pixels
        As in `napari_gliocam.train.labels.image_labels.image_labels`.
    device : torch.device, optional
        Where the slices are drawn; the random numbers come from the CPU, so they are the same
        within rounding.  Quickest where the anatomy lies (`Anatomy.to`).

    Returns
    -------
    images : (n, 3, H, W) float16
    labels : (n, 3) float32
        Tumour, core, edema.
    truth : (n, H, W) uint8
        For measuring only; the training data keep no mask.
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
        [_normalise(scene.image[c], scene.brain, spread, rng) for c in (T1CE, T2, FLAIR)], dim=1
    )
    truth = scene.labels.cpu().numpy()
    core, edema = ((truth == k).sum(axis=(1, 2)) for k in (1, 2))
    labels, keep = image_labels(core, edema, min_pixels=min_pixels, few_pixels=few_pixels)
    keep &= (scene.brain.sum(dim=(1, 2)) > 350).cpu().numpy()
    return images.half().cpu().numpy()[keep], labels[keep].astype(np.float32), truth[keep]


def _normalise(image: Tensor, brain: Tensor, spread: int, rng: np.random.Generator) -> Tensor:
    """Normalise as for a real case, with the scatter that real statistics have."""
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
