"""Labels that follow the thresholds: the slice in view first, the rest in small steps.

NumPy only.  The array is written in place, so that a viewer's layer shows it without a copy;
voxels are counted slice by slice on the way, which gives volumes and lesion slices for free.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import LABELS, TARGETS, Target, mask_of
from napari_gliocam.threshold import Segmentation, apply_thresholds, volumes_of

_KINDS = len(LABELS)


class ThresholdLabels:
    """The labels of a case for the settings last asked for.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema.
    settings : Thresholds
        Thresholds that the labels were cut with.
    labels : ndarray of uint8, optional
        Written in place; a new array by default.
    """

    def __init__(
        self, maps: ClassMaps, settings: Thresholds, labels: NDArray[np.uint8] | None = None
    ) -> None:
        self.maps = maps
        self.settings = settings
        shape = maps.grid.shape
        self.labels = np.zeros(shape, dtype=np.uint8) if labels is None else labels
        self.expert: NDArray[np.uint8] | None = None
        #: Voxels of each slice by label (rows) and expert label (columns).
        self._counts = np.zeros((shape[0], _KINDS, _KINDS), dtype=np.int64)
        self._stale = np.ones(shape[0], dtype=np.bool_)

    @property
    def pending(self) -> bool:
        """Whether some slices still show older settings."""
        return bool(self._stale.any())

    def change(self, settings: Thresholds, first: tuple[slice, ...] | None = None) -> None:
        """Take new settings; compute ``first``, the part in view, at once."""
        self.settings = settings
        self._stale[:] = True
        if first is not None:
            self.show(first)

    def show(self, part: tuple[slice, ...]) -> None:
        """Bring one part, such as the slice in view, up to date now."""
        start, stop, _ = part[0].indices(len(self._stale))
        if len(part) == 1 and stop - start == 1:
            if self._stale[start]:
                self._compute(start, stop)
        elif self.pending:
            apply_thresholds(self.maps, self.settings, out=self.labels, where=part)

    def step(self, slices: int = 16) -> bool:
        """Bring the next stale slices up to date; False when none is left."""
        stale = np.flatnonzero(self._stale)
        if stale.size:
            start = int(stale[0])
            run = int(np.argmin(np.append(self._stale[start : start + slices], False)))
            self._compute(start, start + run)
        return self.pending

    def finish(self) -> None:
        """Bring every slice up to date."""
        while self.step(64):
            pass

    def _compute(self, start: int, stop: int) -> None:
        part = slice(start, stop)
        apply_thresholds(self.maps, self.settings, out=self.labels, where=part)
        for index in range(start, stop):
            expert = None if self.expert is None else self.expert[index]
            self._counts[index] = joint_counts(self.labels[index], expert)
        self._stale[part] = False

    def compare_with(self, expert: NDArray[np.uint8] | None) -> None:
        """Count the voxels that are shared with these labels from now on, for Dice."""
        if expert is not self.expert:
            self.expert = expert
            self._stale[:] = True
            self.finish()

    def segmentation(self) -> Segmentation:
        """Return a copy of the finished labels with their maps and thresholds."""
        self.finish()
        return Segmentation(labels=self.labels.copy(), maps=self.maps, settings=self.settings)

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volumes of the maps' targets in ml, of the slices that are up to date."""
        counts = self._counts.sum(axis=(0, 2))
        return volumes_of(counts, self.maps.grid.voxel_ml, self.maps.targets)

    @property
    def dice(self) -> dict[Target, float] | None:
        """Volume Dice of each target, NaN where both sides are empty; None without an expert."""
        if self.expert is None:
            return None
        return dice_of(self._counts.sum(axis=0), self.maps.targets)

    def lesion_voxels(self) -> NDArray[np.int64]:
        """Return the number of voxels of any class on each slice."""
        self.finish()
        voxels: NDArray[np.int64] = self._counts[:, 1:].sum(axis=(1, 2))
        return voxels


def joint_counts(
    labels: NDArray[np.uint8], expert: NDArray[np.uint8] | None
) -> NDArray[np.integer]:
    """Return the voxels by label (rows, 0 to 4) and expert label (columns), shape (5, 5).

    Without an expert all of them are in the first column.
    """
    pairs = labels * np.uint8(_KINDS)
    if expert is not None:
        pairs += expert
    return np.bincount(pairs.ravel(), minlength=_KINDS**2)[: _KINDS**2].reshape(_KINDS, _KINDS)


def dice_of(
    counts: NDArray[np.integer], targets: Sequence[Target] = TARGETS
) -> dict[Target, float]:
    """Return the volume Dice of targets from `joint_counts`; NaN where both are empty."""
    found: dict[Target, float] = {}
    for target in targets:
        mask = mask_of(np.arange(_KINDS), target)
        either = counts[mask].sum() + counts[:, mask].sum()
        both = counts[np.ix_(mask, mask)].sum()
        found[target] = float(2 * both / either) if either else float("nan")
    return found
