"""The figures of a comparison at the present thresholds, fast enough to follow a slider.

Each map is kept as the values of the brain's voxels on the slices that were asked for: a tenth
of the volume, in one row.  Distances take longer; `distances` measures them on another thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.agreement import defined, energy_inside, pointing_game
from napari_gliocam.cams.compare.comparison import ComparisonFigure, to_csv
from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.maps.raw_maps import GATE
from napari_gliocam.measure.scores.overlap import dice, iou
from napari_gliocam.targets import TARGETS, Target, mask_of, masks_of
from napari_gliocam.ui.compare.work import Key
from napari_gliocam.wording import digits_apart, figure

#: The threshold of a method that nobody has moved.
THRESHOLD = 0.5

#: The thresholds that a mask was cut with: its own, or those of an ensemble's members.
Version = float | tuple[tuple[str, float], ...]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MethodRow:
    """The figures of one map; None where there is nothing to compare with, NaN where undefined.

    Parameters
    ----------
    method, target : str
        Names of the method and of the target.
    threshold : float or None
        None for an ensemble, which is cut by its members' thresholds.
    volume_ml : float
        Above the threshold.
    iou_result : float or None
        With the result in the viewer.
    dice, iou_expert, energy_inside, pointing_game : float or None
        With the expert's labels.
    hd95 : float or None
        In mm, with the expert's labels; None while it is not known yet.
    overlap : float or None
        IoU of the method's core and edema.
    """

    method: str
    target: Target
    threshold: float | None
    volume_ml: float
    iou_result: float | None = None
    dice: float | None = None
    iou_expert: float | None = None
    hd95: float | None = None
    energy_inside: float | None = None
    pointing_game: float | None = None
    overlap: float | None = None


@dataclass(frozen=True)
class PairRow:
    """Agreement (IoU) of two methods on one class."""

    target: Target
    method: str
    other: str
    iou: float


class Figures:
    """Maps of one comparison, and their figures.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    asked : ndarray of bool, (S,)
        The slices that are looked at.
    """

    def __init__(self, case: Case, asked: NDArray[np.bool_]) -> None:
        self.case = case
        expert = None if case.expert is None else case.expert.labels
        self._region = case.brain & asked[:, None, None]
        if expert is not None:  # an outline may reach beyond the brain
            self._region |= (expert > 0) & asked[:, None, None]
        counts = self._region.sum(axis=(1, 2))
        self._slice_of = np.repeat(np.arange(len(asked)), counts)
        self._starts = [0, *np.cumsum(counts).tolist()]
        self._truths = _masks(None if expert is None else expert[self._region])
        self._results: dict[Target, _Mask] = {}
        self._maps: dict[Key, ClassMaps] = {}
        self._made: dict[Key, NDArray[np.bool_]] = {}
        self._values: dict[Key, NDArray[np.float32]] = {}
        self._fixed: dict[Key, tuple[float, float]] = {}
        self._hd95: dict[Key, tuple[Version, float]] = {}
        self._thresholds: dict[str, float] = {}

    @property
    def methods(self) -> list[str]:
        """The methods, in the order they came."""
        return list(dict.fromkeys(method for method, _ in self._maps))

    @property
    def keys(self) -> list[Key]:
        """Every map, in the order they came."""
        return list(self._maps)

    def add(self, maps: ClassMaps) -> None:
        """Add the maps of a method, or take them again after they have changed."""
        made = maps.spoken_slices
        for target in maps.targets:
            key, volume = (maps.name, target), maps.of(target)
            self._maps[key], self._made[key] = maps, made
            self._values[key] = volume[self._region]
            self._thresholds.setdefault(maps.name, THRESHOLD)
            if self.case.expert is not None and not maps.is_mask:
                truth, seen = mask_of(self.case.expert.labels[made], target), volume[made]
                self._fixed[key] = energy_inside(seen, truth), pointing_game(seen, truth)

    def remove(self, key: Key) -> None:
        """Forget a map."""
        for known in (self._maps, self._made, self._values, self._fixed, self._hd95):
            known.pop(key, None)

    def set_result(self, labels: NDArray[np.uint8] | None) -> None:
        """Compare with the labels of a result from now on; None where there is none."""
        self._results = _masks(None if labels is None else labels[self._region])

    def threshold(self, method: str) -> float:
        """Return the value that a method's maps must exceed, in [0, 1]."""
        return self._thresholds.get(method, THRESHOLD)

    def set_threshold(self, method: str, threshold: float) -> None:
        """Cut the maps of a method here."""
        self._thresholds[method] = threshold

    def tables(self) -> tuple[list[MethodRow], list[PairRow]]:
        """Return every figure at the present thresholds."""
        masks = {key: values > self.threshold(key[0]) for key, values in self._values.items()}
        rows = [self._row(key, masks) for key in self._maps]
        pairs = []
        for a, b in combinations(self._maps, 2):
            if a[1] == b[1]:
                here = self._on(self._made[a] & self._made[b])
                pairs.append(
                    PairRow(a[1], a[0], b[0], defined(iou, masks[a][here], masks[b][here]))
                )
        return rows, pairs

    def caption(self, key: Key, index: int | None) -> str:
        """Return the one figure on a picture: Dice, else IoU with the result, else ml.

        Parameters
        ----------
        key : (str, Target)
            Method and target of the picture.
        index : int or None
            The slice in view; None for all slices that were asked for, as in another plane. A
            map of a single slice then has its number instead of a figure.
        """
        target, slices = key[1], self._made[key]
        words = ""
        if index is not None:
            if not slices[index]:
                return "no map of this slice"
            maps = self._maps[key]
            p = maps.probabilities[index, TARGETS.index(target)]
            if maps.raw is not None and maps.raw.gate and p < GATE:
                return f"hidden here, p = {p:.{digits_apart(p, GATE)}f}"
            words = "" if np.count_nonzero(slices) == 1 else "slice "
            here: slice | NDArray[np.bool_] = slice(*self._starts[index : index + 2])
        elif np.count_nonzero(slices) == 1:
            return f"axial slice {np.flatnonzero(slices)[0]}"
        else:
            here = self._on(slices)
        mask = self._values[key][here] > self.threshold(key[0])
        if self._truths:
            value = defined(dice, mask, self._truths[target][here])
            return f"{words}Dice {figure(value, 2, f'– (no {target})')}"
        if self._results:
            value = defined(iou, mask, self._results[target][here])
            return f"{words}IoU with result {figure(value, 2, f'– (no {target})')}"
        return f"{words}{np.count_nonzero(mask) * self.case.grid.voxel_ml:.1f} ml"

    # ---- distances

    def unknown_distances(self) -> list[tuple[Key, ClassMaps, float, Version]]:
        """Return the maps whose distance to the expert's labels is not known.

        Returns
        -------
        list of (key, maps, threshold, version)
        """
        if self.case.expert is None:
            return []
        return [
            (key, maps, self.threshold(key[0]), self._version(key))
            for key, maps in self._maps.items()
            if self._distance(key) is None
        ]

    def set_distance(self, key: Key, version: Version, hd95: float) -> None:
        """Take a distance in mm, measured on that version of a map."""
        self._hd95[key] = version, hd95

    def _distance(self, key: Key) -> float | None:
        known = self._hd95.get(key)
        return known[1] if known is not None and known[0] == self._version(key) else None

    def _version(self, key: Key) -> Version:
        """Return what the mask of a map depends on."""
        if not self._maps[key].is_mask:
            return self.threshold(key[0])
        return tuple((m, self.threshold(m)) for m in self.methods)

    # ---- helpers

    def _row(self, key: Key, masks: dict[Key, _Mask]) -> MethodRow:
        (method, target), mask = key, masks[key]
        is_mask, here = self._maps[key].is_mask, self._on(self._made[key])
        found: dict[str, float | None] = {}
        if self._results:
            found["iou_result"] = defined(iou, mask[here], self._results[target][here])
        if self._truths:
            truth = self._truths[target][here]
            found["dice"] = defined(dice, mask[here], truth)
            found["iou_expert"] = defined(iou, mask[here], truth)
            found["hd95"] = self._distance(key)
            if not is_mask:
                found["energy_inside"], found["pointing_game"] = self._fixed[key]
        core, edema = masks.get((method, "core")), masks.get((method, "edema"))
        if core is not None and edema is not None and target != "tumour":
            found["overlap"] = defined(iou, core, edema)
        volume = np.count_nonzero(mask) * self.case.grid.voxel_ml
        shown = None if is_mask else self.threshold(method)
        return MethodRow(method, target, shown, volume, **found)

    def _on(self, slices: NDArray[np.bool_]) -> slice | NDArray[np.bool_]:
        """Return an index of the voxels of some slices; of all without a copy."""
        chosen = slices[self._slice_of]
        return slice(None) if chosen.all() else chosen


def _masks(labels: NDArray[np.uint8] | None) -> dict[Target, _Mask]:
    """Return the voxels that show each class; empty where there are no labels."""
    return {} if labels is None else masks_of(labels)


def as_csv(rows: list[MethodRow], pairs: list[PairRow]) -> str:
    """Return the table that `napari-gliocam explain` writes, with thresholds and distances."""
    figures = [ComparisonFigure("iou", p.target, p.method, p.other, p.iou) for p in pairs]
    for row in rows:
        for name in (
            *("threshold", "volume_ml", "iou_result"),
            *("dice", "iou_expert", "hd95", "energy_inside", "pointing_game"),
        ):
            value = getattr(row, name)
            if value is not None:
                figures.append(ComparisonFigure(name, row.target, row.method, "", value))
        if row.overlap is not None and row.target == "core":
            figures.append(
                ComparisonFigure("overlap", "core and edema", row.method, "", row.overlap)
            )
    return to_csv(figures)
