"""The methods of a comparison combined: one more of them, that follows their thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from napari_gliocam.cams.compare.ensemble import Ensemble, ensemble_maps
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.targets import TARGETS, Target


def choices(methods: int) -> list[Ensemble]:
    """Return the rules that make sense for a number of methods."""
    if methods < 2:
        return []
    votes = [Ensemble("vote", count) for count in range(2, methods)]  # 1 and all have names
    return [
        *(Ensemble("union"), Ensemble("intersection")),
        *votes,
        *(Ensemble("smaller"), Ensemble("larger")),
    ]


def title_of(ensemble: Ensemble, methods: int) -> str:
    """Return what a rule is called beside its members, such as ``"2 of 3"``."""
    if ensemble.rule == "vote":
        return f"{ensemble.votes} of {methods}"
    return ensemble.title.capitalize()


class LiveEnsemble:
    """Masks of several methods, cut at their thresholds and combined (paper 5), in place.

    Parameters
    ----------
    ensemble : Ensemble
        How the methods vote, and their thresholds.
    members : sequence of ClassMaps
        Every method of the comparison.

    Attributes
    ----------
    maps : ClassMaps
        Of the targets that enough members have; 0 until `update`.
    """

    def __init__(self, ensemble: Ensemble, members: Sequence[ClassMaps]) -> None:
        self.ensemble = ensemble
        self._members = list(members)
        targets = [t for t in TARGETS if len(self._having(t)) >= ensemble.least]
        shape = self._members[0].grid.shape
        volumes = {target: np.zeros(shape, dtype=np.float32) for target in targets}
        title = f"Ensemble, {title_of(ensemble, len(self._members)).lower()}"
        self.maps = ensemble_maps(title, self._members, ensemble, volumes)

    def _having(self, target: Target) -> list[ClassMaps]:
        return [maps for maps in self._members if target in maps.targets]

    def update(
        self, threshold: Callable[[str], float], slices: Iterable[int] | None = None
    ) -> None:
        """Cut and combine anew.

        Parameters
        ----------
        threshold : callable
            Takes the name of a method, returns its threshold.
        slices : iterable of int, optional
            Axial slices; all that every member has by default.
        """
        made = self.maps.spoken_slices
        wanted = np.flatnonzero(made) if slices is None else [i for i in slices if made[i]]
        for target in self.maps.targets:
            volume, members = self.maps.of(target), self._having(target)
            for index in wanted:
                part = slice(index, index + 1)
                masks = [m.of(target)[part] > threshold(m.name) for m in members]
                volume[part] = self.ensemble.combine(masks)
