"""Network slices of synthetic cases with the two questions a reader answers about each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.phantom.anatomy import Anatomy
from napari_gliocam.phantom.contrast import FLAIR, T1CE, T2
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.slices import Normalisation
from napari_gliocam.train.labels import image_labels

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
        As in `napari_gliocam.train.labels.image_labels`.

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
    fields = Fields(SliceGrid(z, SHAPE, (PIXEL_MM, PIXEL_MM)), rng)
    scene = render_scene(fields, anatomy, lesions, settings)

    brain = scene.brain.numpy()
    images = np.zeros((len(z), 3, *SHAPE), dtype=np.float32)
    for channel, source in enumerate((T1CE, T2, FLAIR)):
        images[:, channel] = _normalise(scene.image[source].numpy(), brain, spread, rng)
    truth = scene.labels.numpy()
    core, edema = ((truth == k).sum(axis=(1, 2)) for k in (1, 2))
    labels, keep = image_labels(core, edema, min_pixels=min_pixels, few_pixels=few_pixels)
    keep &= brain.sum(axis=(1, 2)) > 350
    return images[keep].astype(np.float16), labels[keep].astype(np.float32), truth[keep]


def _normalise(
    image: NDArray[np.float32], brain: NDArray[np.bool_], spread: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Normalise as for a real case, with the scatter that real statistics have."""
    how = Normalisation()
    values = image[:spread][brain[:spread]]
    low, high = np.percentile(values, (how.low_percentile, how.high_percentile))
    clipped = np.clip(values, low, high)
    mean, std = clipped.mean(), clipped.std() + 1e-6
    mean += rng.uniform(-0.12, 0.12) * std
    std *= np.exp(rng.uniform(-0.12, 0.2))
    high += max(0.0, rng.uniform(-0.3, 1.0)) * (high - mean)
    out = (np.clip(image, low, high) - mean) / std
    normalised: NDArray[np.float32] = np.clip(out, how.clip_low, how.clip_high) * brain
    return normalised
