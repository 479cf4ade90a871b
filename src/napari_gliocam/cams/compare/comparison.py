"""Several methods on one case: their figures, and the pictures beside each other."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.agreement import against_expert, iou, pairwise_iou
from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.cams.compare.sheet import Column, Tile, choose_slices, draw_sheet
from napari_gliocam.cams.run.explanation import Explanation
from napari_gliocam.case import Case, Modality
from napari_gliocam.measure.scores.overlap import dice
from napari_gliocam.targets import Target, mask_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
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


@dataclass(eq=False)
class Comparison:
    """What is known of each method, without its volumes: masks and figures.

    Parameters
    ----------
    case : Case
    threshold : float
        A voxel counts where a map exceeds it.
    """

    case: Case
    threshold: float = 0.5
    masks: dict[Target, dict[str, Mask]] = field(default_factory=dict)
    explanations: dict[str, Explanation] = field(default_factory=dict)
    _measured: list[Figure] = field(default_factory=list)

    def truth(self, target: Target) -> Mask | None:
        """The expert's mask of a class, if there is one."""
        if self.case.expert is None:
            return None
        return mask_of(self.case.expert.labels, target)

    @property
    def seen(self) -> list[int]:
        """Slices of the case that any method says something of."""
        return sorted({i for e in self.explanations.values() for i in e.spoken_for})

    def add(
        self, name: str, explanation: Explanation
    ) -> Iterator[tuple[Target, NDArray[np.float32]]]:
        """Take a method in, and hand out its volumes one at a time."""
        self.explanations[name] = explanation
        for target in explanation.targets:
            volume = explanation.volume(target)
            self.masks.setdefault(target, {})[name] = volume > self.threshold
            truth = self.truth(target)
            if truth is not None:
                seen = explanation.spoken_for
                found = against_expert(volume[seen], self.threshold, truth[seen])
                found["iou_expert"] = found.pop("iou")
                self._measured += [Figure(k, target, name, "", v) for k, v in found.items()]
            yield target, volume

    def add_ensemble(self, name: str, ensemble: Ensemble) -> Iterator[tuple[Target, Mask]]:
        """Combine the masks of all methods, and hand out the mask of each class."""
        for target, masks in self.masks.items():
            members = [masks[method] for method in self.explanations if method in masks]
            mask = ensemble.combine(members)
            masks[name] = mask
            truth = self.truth(target)
            if truth is not None:
                seen = self.seen
                self._measured += [
                    Figure("dice", target, name, "", dice(mask[seen], truth[seen])),
                    Figure("iou_expert", target, name, "", iou(mask[seen], truth[seen])),
                ]
            yield target, mask

    def figures(self) -> list[Figure]:
        """Every figure of the methods that were added."""
        rows = [
            Figure("iou", target, a, b, value)
            for target, masks in self.masks.items()
            for (a, b), value in pairwise_iou(masks).items()
        ]
        both = {"core", "edema"} <= set(self.masks)
        for name in self.masks["core"] if both else ():
            if name in self.masks["edema"]:
                value = iou(self.masks["core"][name], self.masks["edema"][name])
                rows.append(Figure("overlap", "core and edema", name, "", value))
        return rows + self._measured

    def sheet(self, slices: Sequence[int] | None = None) -> bytes:
        """The contact sheet as PNG.

        Parameters
        ----------
        slices : sequence of int, optional
            Three through the lesion by default: the expert's, else where the methods see it.
        """
        shown = list(slices) if slices else choose_slices(self._amount())
        columns, targets = [], list(self.masks)
        for target in targets:
            truth = self.truth(target)
            columns += [
                Column(
                    f"{target}\nslice {index}",
                    index,
                    self._under(target),
                    None if truth is None else truth[index],
                )
                for index in shown
            ]
        rows = [("scan", [Tile(None, column.modality.title) for column in columns])]
        for name in dict.fromkeys(name for masks in self.masks.values() for name in masks):
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
        """A picture; the figure of the volume stands on the first slice of a class."""
        if name not in self.masks[target]:
            return Tile(None)
        words = self._words(name, target) if first else ""
        if name in self.explanations:
            return Tile(self.explanations[name].plane(target, index), words)
        return Tile(self.masks[target][name][index].astype(np.float32), words)  # an ensemble

    def _amount(self) -> NDArray[np.float64]:
        """How much of the lesion each slice shows, (S,)."""
        amount = np.zeros(self.case.grid.shape[0], dtype=np.float64)
        seen, truth = self.seen, self.truth("tumour")
        if truth is not None and truth[seen].any():
            amount[seen] = truth[seen].sum(axis=(1, 2))
            return amount
        for masks in self.masks.values():
            for mask in masks.values():
                amount += mask.sum(axis=(1, 2))
        if not amount.any():
            amount[seen] = 1
        return amount

    def _under(self, target: Target) -> Modality:
        """Core is seen on T1ce, the rest on FLAIR."""
        wanted = Modality.T1CE if target == "core" else Modality.FLAIR
        return wanted if wanted in self.case.volumes else next(iter(self.case.volumes))

    def _words(self, name: str, target: Target) -> str:
        """The one figure on a picture."""
        for row in self._measured:
            if (row.figure, row.target, row.method) == ("dice", target, name):
                return f"Dice {row.value:.2f}"
        return f"{self.masks[target][name].sum() * self.case.grid.voxel_ml:.1f} ml"


def to_csv(figures: Sequence[Figure]) -> str:
    """A table with one figure a line: figure, class, method, other, value."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("figure", "class", "method", "other", "value"))
    for row in figures:
        value = "" if np.isnan(row.value) else f"{row.value:.4f}"
        table.writerow((row.figure, row.target, row.method, row.other, value))
    return out.getvalue()
