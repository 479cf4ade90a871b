"""The methods of a comparison voting together: one more cell for each class, always up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.compare.work import Cell


def choices(methods: int) -> list[Ensemble]:
    """The rules that make sense for so many methods."""
    if methods < 2:
        return []
    votes = [Ensemble("vote", count) for count in range(2, methods)]  # 1 and all have names
    return [
        *(Ensemble("union"), Ensemble("intersection")),
        *votes,
        *(Ensemble("smaller"), Ensemble("larger")),
    ]


def title_of(ensemble: Ensemble, methods: int) -> str:
    """What a rule is called beside its members."""
    if ensemble.rule == "vote":
        return f"{ensemble.votes} of {methods}"
    return ensemble.title.capitalize()


class EnsembleCells:
    """Masks of several methods, cut at their thresholds and combined (paper 5).

    Parameters
    ----------
    ensemble : Ensemble
    members : sequence of Cell
        Every map of the comparison.
    """

    def __init__(self, ensemble: Ensemble, members: Sequence[Cell]) -> None:
        self.ensemble = ensemble
        methods = list(dict.fromkeys(cell.method for cell in members))
        self.title = f"Ensemble, {title_of(ensemble, len(methods)).lower()}"
        self._members = {
            target: [cell for cell in members if cell.target == target] for target in TARGETS
        }
        least = ensemble.votes if ensemble.rule == "vote" else 2
        self.cells = [
            self._cell(cells) for cells in self._members.values() if len(cells) >= max(least, 2)
        ]

    def _cell(self, cells: list[Cell]) -> Cell:
        first = cells[0]
        made = np.logical_and.reduce([cell.made for cell in cells])
        return Cell(
            *(self.title, first.target, np.zeros_like(first.volume), first.asked, made),
            *(all(cell.complete for cell in cells), first.frame),
            provenance={
                "method": {
                    "name": "ensemble",
                    "rule": self.ensemble.title,
                    "of": [cell.method for cell in cells],
                },
                "members": [dict(cell.provenance) for cell in cells],
            },
            is_mask=True,
        )

    def update(
        self, threshold: Callable[[str], float], slices: Iterable[int] | None = None
    ) -> None:
        """Cut and combine anew, in place: some axial slices, or all that every member has."""
        for cell in self.cells:
            members = self._members[cell.target]
            wanted = np.flatnonzero(cell.made) if slices is None else slices
            for index in (i for i in wanted if cell.made[i]):
                masks = [m.volume[index : index + 1] > threshold(m.method) for m in members]
                cell.volume[index] = self.ensemble.combine(masks)[0]
