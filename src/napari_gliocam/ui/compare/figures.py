"""The figures of a comparison at the present thresholds, fast enough to follow a slider.

Each map is kept as the values of the brain's voxels on the slices that it speaks for: a tenth
of the volume, in one row.  Distances take longer; `compare_distances` measures
them on another thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.agreement import energy_inside, iou, pointing_game
from napari_gliocam.cams.compare.comparison import ComparisonFigure, to_csv
from napari_gliocam.case import Case
from napari_gliocam.measure.scores.overlap import dice
from napari_gliocam.targets import Target, mask_of, masks_of
from napari_gliocam.ui.compare.work import Cell

#: The threshold of a method that nobody has moved.
THRESHOLD = 0.5

Key = tuple[str, Target]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MethodRow:
    """The figures of one map; None where there is nothing to compare with.

    Parameters
    ----------
    method, target : str
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

    @property
    def caption(self) -> str:
        """The one figure on the picture."""
        if self.dice is not None:
            return f"Dice {self.dice:.2f}"
        if self.iou_result is not None:
            return f"IoU with result {self.iou_result:.2f}"
        return f"{self.volume_ml:.1f} ml"


@dataclass(frozen=True)
class PairRow:
    """Agreement (IoU) of two methods on one class."""

    target: Target
    method: str
    other: str
    iou: float


class Figures:
    """The maps of one comparison and what they amount to.

    Parameters
    ----------
    case : Case
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
        self._truths = _masks(None if expert is None else expert[self._region])
        self._results: dict[Target, _Mask] = {}
        self._cells: dict[Key, Cell] = {}
        self._values: dict[Key, NDArray[np.float32]] = {}
        self._fixed: dict[Key, tuple[float, float]] = {}
        self._hd95: dict[Key, tuple[Any, float]] = {}
        self._thresholds: dict[str, float] = {}

    @property
    def methods(self) -> list[str]:
        """The methods, in the order they came."""
        return list(dict.fromkeys(method for method, _ in self._cells))

    def add(self, cell: Cell) -> None:
        """Take a map in, or take it in again after it has changed."""
        self._cells[cell.key] = cell
        self._values[cell.key] = cell.volume[self._region]
        self._thresholds.setdefault(cell.method, THRESHOLD)
        if self.case.expert is not None and not cell.is_mask:
            truth = mask_of(self.case.expert.labels[cell.made], cell.target)
            seen = cell.volume[cell.made]
            self._fixed[cell.key] = energy_inside(seen, truth), pointing_game(seen, truth)

    def remove(self, key: Key) -> None:
        """Forget a map."""
        for known in (self._cells, self._values, self._fixed, self._hd95):
            known.pop(key, None)  # type: ignore[attr-defined]

    def set_result(self, labels: NDArray[np.uint8] | None) -> None:
        """Compare with these labels from now on."""
        self._results = _masks(None if labels is None else labels[self._region])

    def threshold(self, method: str) -> float:
        """A voxel counts where the map exceeds this."""
        return self._thresholds.get(method, THRESHOLD)

    def set_threshold(self, method: str, threshold: float) -> None:
        """Cut the maps of a method here."""
        self._thresholds[method] = threshold

    def tables(self) -> tuple[list[MethodRow], list[PairRow]]:
        """Every figure at the present thresholds."""
        masks = {key: values > self.threshold(key[0]) for key, values in self._values.items()}
        rows = [self._row(cell, masks) for cell in self._cells.values()]
        pairs = []
        for a, b in combinations(self._cells.values(), 2):
            if a.target == b.target:
                value = self._agreement(masks[a.key], masks[b.key], a.made & b.made)
                pairs.append(PairRow(a.target, a.method, b.method, value))
        return rows, pairs

    # ---- distances

    def unknown_distances(self) -> list[tuple[Cell, float, Any]]:
        """Maps whose distance to the expert's labels is not known: map, threshold, version."""
        if self.case.expert is None:
            return []
        return [
            (cell, self.threshold(cell.method), self._version(cell))
            for cell in self._cells.values()
            if self._distance(cell) is None
        ]

    def set_distance(self, key: Key, version: Any, hd95: float) -> None:
        """Take a distance, measured on that version of a map."""
        self._hd95[key] = version, hd95

    def _distance(self, cell: Cell) -> float | None:
        version, hd95 = self._hd95.get(cell.key, (None, 0.0))
        return hd95 if version == self._version(cell) else None

    def _version(self, cell: Cell) -> Any:
        """What the mask of a map depends on."""
        if not cell.is_mask:
            return self.threshold(cell.method)
        return tuple((m, self.threshold(m)) for m in self.methods)

    # ---- helpers

    def _row(self, cell: Cell, masks: dict[Key, _Mask]) -> MethodRow:
        mask, threshold = masks[cell.key], self.threshold(cell.method)
        found: dict[str, Any] = {}
        if self._results:
            found["iou_result"] = self._agreement(mask, self._results[cell.target], cell.made)
        if self._truths:
            truth = self._truths[cell.target]
            here = self._on(cell.made)
            found["dice"] = dice(mask[here], truth[here])
            found["iou_expert"] = iou(mask[here], truth[here])
            found["hd95"] = self._distance(cell)
            if not cell.is_mask:
                found["energy_inside"], found["pointing_game"] = self._fixed[cell.key]
        core, edema = (masks.get((cell.method, target)) for target in ("core", "edema"))
        if core is not None and edema is not None and cell.target != "tumour":
            found["overlap"] = iou(core, edema)
        volume = np.count_nonzero(mask) * self.case.grid.voxel_ml
        shown = None if cell.is_mask else threshold
        return MethodRow(cell.method, cell.target, shown, volume, **found)

    def _agreement(self, a: _Mask, b: _Mask, slices: NDArray[np.bool_]) -> float:
        here = self._on(slices)
        return iou(a[here], b[here])

    def _on(self, slices: NDArray[np.bool_]) -> Any:
        """An index of the voxels of some slices; of all without a copy."""
        chosen = slices[self._slice_of]
        return slice(None) if chosen.all() else chosen


def _masks(labels: NDArray[np.uint8] | None) -> dict[Target, _Mask]:
    """Which voxels show each class; empty where there are no labels."""
    return {} if labels is None else masks_of(labels)


def as_csv(rows: list[MethodRow], pairs: list[PairRow]) -> str:
    """The same table as `napari-gliocam explain` writes, with thresholds and distances."""
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
