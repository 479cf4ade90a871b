"""How sure a result is, and where a reader should look first.

Doubt is the disagreement of maps that should say the same: those of the exits, which cost nothing
after *Segment*; those of the case mirrored left to right; those of other bundles, such as seeds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.maps.doubt import disagreement
from napari_gliocam.measure.lesion.lesions import find_lesions
from napari_gliocam.progress import Progress, finished
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import Target
from napari_gliocam.threshold import apply_thresholds

if TYPE_CHECKING:
    from napari_gliocam.nets.bundle import Bundle

Source = Literal["exits", "flips", "seeds"]


@dataclass(frozen=True)
class VolumeRange:
    """A volume and how far the doubt lets it go.

    Parameters
    ----------
    low, volume, high : float
        In ml; ``low <= volume <= high``.
    """

    low: float
    volume: float
    high: float

    @property
    def words(self) -> str:
        """The range as a reader sees it, such as ``"31 to 44 ml"``."""
        digits = 0 if self.high >= 10 else 1
        low, high = f"{self.low:.{digits}f}", f"{self.high:.{digits}f}"
        return f"{high} ml" if low == high else f"{low} to {high} ml"


@dataclass(frozen=True)
class LesionDoubt:
    """Doubt about a lesion.

    Parameters
    ----------
    number : int
        From the largest, 1.
    doubt : float
        Mean over its voxels, in [0, 1].
    slice : int
        Slice of the case on which it has the most.
    """

    number: int
    doubt: float
    slice: int


@dataclass(frozen=True, eq=False)
class Doubt:
    """Doubt about the maps of a case.

    Parameters
    ----------
    maps : ClassMaps
        Maps that are in doubt.
    sources : tuple of Source
        Disagreements that were looked at; where there are several the largest counts.
    volumes : mapping of Target to ndarray of float32, (S, P, L)
        In [0, 1], 0 in air: 0 where all agree, 1 where half of the maps say 0 and half 1.
    """

    maps: ClassMaps
    sources: tuple[Source, ...]
    volumes: Mapping[Target, NDArray[np.float32]] = field(default_factory=dict)

    def by_slice(self) -> NDArray[np.float64]:
        """Return the area in doubt on each slice in cm², (S,): doubt summed over its pixels.

        Of the targets the one that is most in doubt counts.
        """
        _, row_mm, column_mm = self.maps.grid.spacing
        areas = [v.sum(axis=(1, 2), dtype=np.float64) for v in self.volumes.values()]
        highest: NDArray[np.float64] = np.max(areas, axis=0) * row_mm * column_mm / 100.0
        return highest

    def slices_in_order(self, apart_mm: float = 0.0) -> list[int]:
        """Return the slices with the most doubt first; those without any are left out.

        Parameters
        ----------
        apart_mm : float
            Leave out a slice that is nearer than this to one that comes before it.
        """
        areas, found = self.by_slice(), list[int]()
        apart = apart_mm / self.maps.grid.spacing[0]
        for index in np.argsort(-areas, kind="stable"):
            if areas[index] > 0 and all(abs(index - other) >= apart for other in found):
                found.append(int(index))
        return found

    def by_lesion(self, labels: NDArray[np.uint8]) -> list[LesionDoubt]:
        """Return the doubt of each lesion, the most doubtful first.

        Parameters
        ----------
        labels : ndarray of uint8, (S, P, L)
            Of the result; lesions are numbered from the largest, 1.
        """
        lesions = find_lesions(labels, voxel_ml=self.maps.grid.voxel_ml)
        if lesions is None:
            return []
        doubt, first = self.volumes["tumour"][lesions.box], lesions.box[0].start
        found = []
        for number in range(1, lesions.count + 1):
            own = np.where(lesions.numbers == number, doubt, 0.0)
            mean = float(own.sum() / np.count_nonzero(lesions.numbers == number))
            found.append(LesionDoubt(number, mean, int(first + own.sum(axis=(1, 2)).argmax())))
        return sorted(found, key=lambda one: -one.doubt)

    def ranges(
        self, settings: Thresholds | None = None, volumes_ml: Mapping[str, float] | None = None
    ) -> dict[Target, VolumeRange]:
        """Return the range of each volume.

        The maps are cut again half a doubt (one standard deviation) lower, and higher.  A class
        takes voxels from the other: as its map rises, that of the other falls.

        Parameters
        ----------
        settings : Thresholds, optional
            Thresholds and gate of the result; the papers' by default.
        volumes_ml : mapping of target to float, optional
            Volumes of a result that was refined or painted after the cut; as many ml are added
            and taken away as at the cut.  By default those of the cut itself.
        """
        middle = self._cut({}, settings)
        found: dict[Target, VolumeRange] = {}
        for target in self.maps.targets:
            rising = _RISING[target]
            lower = {t: -sign for t, sign in rising.items()}
            less = middle[target] - self._cut(lower, settings)[target]
            more = self._cut(rising, settings)[target] - middle[target]
            volume = middle[target] if volumes_ml is None else volumes_ml[target]
            low = min(volume, max(0.0, volume - less))
            found[target] = VolumeRange(low, volume, max(volume, volume + more))
        return found

    def _cut(self, signs: Mapping[Target, int], settings: Thresholds | None) -> dict[str, float]:
        """Return the volumes of the maps, each moved up (1) or down (-1) by half of the doubt."""
        moved: Any = {
            target: self.maps.of(target) + np.float32(sign / 2) * self.volumes[target]
            for target, sign in signs.items()
            if target in self.volumes
        }
        return apply_thresholds(replace(self.maps, **moved), settings).volumes_ml

    def figures(self) -> dict[str, float]:
        """Return the mean doubt of each target over its lesion's surroundings, by name of test."""
        found: dict[str, float] = {}
        for target in self.maps.targets:
            near = (self.maps.of(target) > _NEAR) | (self.volumes[target] > _NEAR)
            if near.any():
                found[target] = float(self.volumes[target][near].mean())
        return found


#: How tumour, core and edema move for the highest volume of each.
_RISING: Mapping[Target, Mapping[Target, int]] = {
    "tumour": {"tumour": 1, "core": 1, "edema": 1},
    "core": {"tumour": 1, "core": 1, "edema": -1},
    "edema": {"tumour": 1, "core": -1, "edema": 1},
}

#: Voxels where neither the map nor the doubt is higher than this are healthy beyond doubt.
_NEAR = 0.1


def doubt_of_maps(maps: ClassMaps) -> Doubt:
    """Return the doubt of maps from their exits alone; no network runs.

    Raises
    ------
    GliocamError
        If these are not the networks' own maps.
    """
    if not maps.from_exits:
        raise GliocamError(
            f"The maps of {maps.name} have no exits that could disagree; run Segment first."
        )
    return Doubt(maps, ("exits",), {t: maps.volume("doubt", t) for t in maps.targets})


def doubting(
    case: Case,
    maps: ClassMaps,
    *,
    bundle: Bundle | None = None,
    flips: bool = True,
    others: Sequence[Bundle] = (),
    device: str = "auto",
) -> Generator[Progress, None, Doubt]:
    """Return the doubt of a case from exits, flips and other bundles.

    Parameters
    ----------
    case : Case
        The case that the maps are of.
    maps : ClassMaps
        Of the case by ``bundle``, as *Segment* makes them.
    bundle : Bundle, optional
        The one that ships with the package by default.
    flips : bool
        Whether the networks look at the case mirrored left to right, too.
    others : sequence of Bundle
        Further networks, such as other seeds of the same recipe; one that knows the tumour alone
        says nothing of core and edema.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs.

    Raises
    ------
    GliocamError
        If the maps are not the networks' own.
    """
    doubt = doubt_of_maps(maps)
    sources: list[Source] = ["exits"]
    parts: dict[Target, list[NDArray[np.float32]]] = {t: [doubt.volumes[t]] for t in maps.targets}
    if flips:
        seen = yield from compute_maps(mirrored(case), bundle=bundle, device=device)
        for target in maps.targets:
            parts[target].append(disagreement([maps.of(target), seen.of(target)[..., ::-1]]))
        sources.append("flips")
    if others:
        members: dict[Target, list[NDArray[np.float32]]] = {t: [maps.of(t)] for t in maps.targets}
        for other in others:
            seen = yield from compute_maps(case, bundle=other, device=device)
            for target in maps.targets:
                if target in seen.targets:  # a bundle may know the tumour alone
                    members[target].append(seen.of(target))
        for target in maps.targets:
            parts[target].append(disagreement(members[target]))
        sources.append("seeds")
    volumes = {target: np.maximum.reduce(parts[target]) for target in maps.targets}
    return Doubt(maps, tuple(sources), volumes)


doubt_of_case = finished(doubting, "doubt_of_case")


def mirrored(case: Case) -> Case:
    """Return the case with left and right exchanged, without its outlines."""
    volumes = {
        modality: np.ascontiguousarray(volume[..., ::-1])
        for modality, volume in case.volumes.items()
    }
    return replace(case, volumes=volumes, expert=None)
