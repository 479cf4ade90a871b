"""Maps as probabilities that a CRF can start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.targets import TUMOUR_ALONE

if TYPE_CHECKING:
    from napari_gliocam.threshold import Segmentation

#: How sure a mask is of its own pixels, where a mask is all there is (the usual ``gt_prob``).
MASK_PROBABILITY = 0.7


def tumour_probability(segmentation: Segmentation, index: tuple[slice, ...]) -> NDArray[np.float32]:
    """Probability of tumour that is 0.5 exactly where the thresholds cut, in [0, 1].

    A map m with threshold t becomes ``m (1 - t) / (m (1 - t) + (1 - m) t)``: its odds are those
    of the map over those of the threshold.  Tumour takes both, the tumour map above its threshold
    and a class map above its own, so the smaller of the two counts.  Thus the sliders go on
    meaning something, and a CRF without kernels gives back the mask.  Where there are no classes,
    the tumour map counts alone.
    """
    maps, settings = segmentation.maps, segmentation.settings
    tumour = _shifted(maps.tumour[index], settings.tumour_threshold)
    if maps.targets == TUMOUR_ALONE:
        return tumour * _open(segmentation, index)[:, 0] if settings.gate else tumour
    core, edema = class_maps(segmentation, index)
    either = _shifted(np.maximum(core, edema), settings.class_threshold)
    smaller: NDArray[np.float32] = np.minimum(tumour, either)
    return smaller


def core_share(segmentation: Segmentation, index: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the core's share of the two class maps, in [0, 1]; 0.5 where both are 0."""
    core, edema = class_maps(segmentation, index)
    total = core + edema
    share: NDArray[np.float32] = (core / np.maximum(total, 1e-9)).astype(np.float32)
    share[total == 0] = 0.5
    return share


def class_maps(
    segmentation: Segmentation, index: tuple[slice, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the maps of core and edema; 0 on slices whose gate is closed for the class."""
    maps, settings = segmentation.maps, segmentation.settings
    core, edema = maps.core[index], maps.edema[index]
    if not settings.gate:
        return core, edema
    open_ = _open(segmentation, index)
    return core * (open_[:, 0] & open_[:, 1]), edema * (open_[:, 0] & open_[:, 2])


def _open(segmentation: Segmentation, index: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Return the slices on which the gate is open for each target, (S, 3, 1, 1)."""
    maps, settings = segmentation.maps, segmentation.settings
    open_: NDArray[np.bool_] = maps.probabilities[index[0]] >= settings.gate_probability
    return open_[:, :, None, None]


def _shifted(values: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    cut = np.float32(min(max(threshold, 1e-4), 1 - 1e-4))
    up = values * (1 - cut)
    down = (1 - values) * cut
    return (up / (up + down)).astype(np.float32, copy=False)
