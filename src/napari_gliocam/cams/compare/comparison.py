"""Several methods on one case: their figures, and the pictures beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.agreement import (
    against_expert,
    defined,
    overlap_with_expert,
    pairwise_iou,
)
from napari_gliocam.cams.compare.ensemble import Ensemble, combine_methods
from napari_gliocam.cams.compare.sheet import SheetColumn, Tile, choose_slices, draw_sheet
from napari_gliocam.case import Case
from napari_gliocam.io.tables import csv_text
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure.scores.overlap import iou
from napari_gliocam.targets import Target, mask_of

Mask = NDArray[np.bool_]

NO_LESION = "no lesion in the reference"
_AGAINST_EXPERT = ("dice", "iou_expert", "pointing_game")


@dataclass(frozen=True)
class ComparisonFigure:
    """One number of the table.

    Parameters
    ----------
    figure : str
        ``iou``, ``overlap``, ``dice``, ``iou_expert``, ``energy_inside``, ``pointing_game``.
    target : str
        The class; ``core and edema`` for their overlap.
    method, other : str
        The methods that are compared; ``other`` is empty where there is one.
    value : float
        In [0, 1]; NaN where it is not defined.
    """

    figure: str
    target: str
    method: str
    other: str
    value: float

    @property
    def words(self) -> str:
        """The value as a reader sees it: three decimals, or a dash and the reason."""
        if not np.isnan(self.value):
            return f"{self.value:.3f}"
        return f"- ({NO_LESION if self.figure in _AGAINST_EXPERT else 'nothing found'})"


@dataclass(eq=False)
class Comparison:
    """Maps of several methods on one case, cut at one threshold.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    threshold : float
        A voxel counts where a map exceeds it, in [0, 1].
    maps : dict of str to ClassMaps
        The methods by name, in the order they came, ensembles last.
    """

    case: Case
    threshold: float = 0.5
    maps: dict[str, ClassMaps] = field(default_factory=dict)
    _measured: list[ComparisonFigure] = field(default_factory=list)

    def truth(self, target: Target) -> Mask | None:
        """Return the expert's mask of a class, if there is one."""
        if self.case.expert is None:
            return None
        return mask_of(self.case.expert.labels, target)

    def mask(self, name: str, target: Target) -> Mask:
        """Return the voxels where a method's map exceeds the threshold, (S, P, L)."""
        maps = self.maps[name]
        return maps.of(target) > (0.5 if maps.is_mask else self.threshold)

    @property
    def targets(self) -> list[Target]:
        """Targets of which any method has a map, in the order they came."""
        return list(dict.fromkeys(t for maps in self.maps.values() for t in maps.targets))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Slices of the case that any method makes a statement about, (S,)."""
        seen = np.zeros(self.case.grid.shape[0], dtype=np.bool_)
        for maps in self.maps.values():
            seen |= maps.asked_slices
        return seen

    def add(self, maps: ClassMaps) -> None:
        """Add the maps of a method, and measure them against the expert's labels."""
        self.maps[maps.name] = maps
        seen = maps.asked_slices
        for target in maps.targets:
            truth = self.truth(target)
            if truth is None:
                continue
            if maps.is_mask:
                mask = self.mask(maps.name, target)
                found = overlap_with_expert(mask[seen], truth[seen])
            else:
                found = against_expert(maps.of(target)[seen], self.threshold, truth[seen])
            found["iou_expert"] = found.pop("iou")
            self._measured += [
                ComparisonFigure(k, target, maps.name, "", v) for k, v in found.items()
            ]

    def add_ensemble(
        self, name: str, ensemble: Ensemble, thresholds: Sequence[float] | None = None
    ) -> ClassMaps:
        """Combine the masks of all methods, add the result as one more, and return it.

        Parameters
        ----------
        name : str
            The ensemble, as a reader sees it.
        ensemble : Ensemble
            How the methods vote.
        thresholds : sequence of float, optional
            One for each method that is no ensemble itself; the comparison's for all by default.
        """
        members = list(self.maps.values())
        if thresholds is not None:
            members = members[: len(thresholds)]  # ensembles come last
        cuts = [self.threshold] * len(members) if thresholds is None else list(thresholds)
        self.add(combine_methods(name, members, ensemble, cuts))
        return self.maps[name]

    def figures(self) -> list[ComparisonFigure]:
        """Return every figure of the methods that were added."""
        rows = []
        for target in self.targets:
            masks = {n: self.mask(n, target) for n, m in self.maps.items() if target in m.targets}
            for (a, b), value in pairwise_iou(masks).items():
                rows.append(ComparisonFigure("iou", target, a, b, value))
        for name, maps in self.maps.items():
            if {"core", "edema"} <= set(maps.targets):
                value = defined(iou, self.mask(name, "core"), self.mask(name, "edema"))
                rows.append(ComparisonFigure("overlap", "core and edema", name, "", value))
        return rows + self._measured

    def sheet(self, slices: Sequence[int] | None = None) -> bytes:
        """Return the contact sheet as PNG.

        Parameters
        ----------
        slices : sequence of int, optional
            Three through the lesion by default: the expert's, else where the methods see it.
        """
        shown = list(slices) if slices else choose_slices(self._amount())
        columns, targets = [], self.targets
        for target in targets:
            truth = self.truth(target)
            columns += [
                SheetColumn(
                    f"{target}\nslice {index}",
                    index,
                    self.case.best_modality(target),
                    None if truth is None else truth[index],
                )
                for index in shown
            ]
        rows = [("scan", [Tile(None, column.modality.title) for column in columns])]
        for name in self.maps:
            tiles = [
                self._tile(name, target, index, index == shown[0])
                for target in targets
                for index in shown
            ]
            rows.append((name, tiles))
        caption = f"{self.case.name}: white, map above {self.threshold:g}"
        if self.case.expert is not None:
            caption += "; green, expert"
        caption += ".  Research use, not a medical device."
        return draw_sheet(self.case, columns, rows, threshold=self.threshold, caption=caption)

    def _tile(self, name: str, target: Target, index: int, first: bool) -> Tile:
        """Return a picture; the figure of the volume stands on the first slice of a class."""
        maps = self.maps[name]
        if target not in maps.targets:
            return Tile(None)
        return Tile(maps.of(target)[index], self._words(name, target) if first else "")

    def _amount(self) -> NDArray[np.float64]:
        """Return the amount of lesion on each slice, (S,)."""
        amount = np.zeros(self.case.grid.shape[0], dtype=np.float64)
        seen, truth = self.seen, self.truth("tumour")
        if truth is not None and truth[seen].any():
            amount[seen] = truth[seen].sum(axis=(1, 2))
            return amount
        for name, maps in self.maps.items():
            for target in maps.targets:
                amount += self.mask(name, target).sum(axis=(1, 2))
        if not amount.any():
            amount[seen] = 1
        return amount

    def _words(self, name: str, target: Target) -> str:
        """Return the figure on a picture."""
        for row in self._measured:
            if (row.figure, row.target, row.method) == ("dice", target, name):
                return NO_LESION if np.isnan(row.value) else f"Dice {row.value:.2f}"
        return f"{self.mask(name, target).sum() * self.case.grid.voxel_ml:.1f} ml"


def to_csv(figures: Sequence[ComparisonFigure]) -> str:
    """Return a table with one figure a line: figure, class, method, other, value.

    The value is empty where the figure is not defined.
    """
    return csv_text(
        ("figure", "class", "method", "other", "value"),
        (
            (r.figure, r.target, r.method, r.other, "" if np.isnan(r.value) else f"{r.value:.4f}")
            for r in figures
        ),
    )
