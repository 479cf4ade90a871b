"""Maps of an explanation method as it made them, and their way into [0, 1] on the case's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps, Normalise
from napari_gliocam.slices import SliceFrame
from napari_gliocam.targets import TARGETS, Target

#: A slice shows a class from this image-level probability on; as `Thresholds.gate_probability`.
GATE = 0.5

#: A map whose values differ by less than this part of the largest is constant.
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class RawMaps:
    """Maps of one method, raw as it made them; brought into [0, 1] when they are looked at.

    `dataclasses.replace` with another ``normalise`` or ``gate`` shows the same maps otherwise;
    no network runs again.

    Parameters
    ----------
    name : str
        The method, as a reader sees it, such as ``"GradCAM 4"``.
    grid : Grid
        The case's grid.
    brain : ndarray of bool, shape (S, P, L)
        The case's brain.
    frame : SliceFrame
        Place of the N slices that were asked for.
    raw : mapping of target to ndarray of float32, (N, h, w)
        At the layer's own resolution; 0 for slices that are not finished.
    inside : ndarray of bool, (N, h, w)
        Pixels of the raw maps that lie in the brain.
    finished : ndarray of bool, (N,)
        Slices that are done; False where the work was stopped before or in the middle of them.
    probabilities : dict of target to ndarray of float32, (N,)
        Image-level probabilities; empty where the networks were not asked for them.
    whole : bool
        Whether the map speaks for the whole case, so that slices beyond ``frame`` are healthy
        by it; False where single slices were asked for.
    normalise : {"slice", "volume", "none"}
        See `normalise_maps`.
    gate : bool
        Whether slices on which the networks deny the class are 0.
    provenance : mapping
        The maps' origin; written into the json.
    """

    name: str
    grid: Grid
    brain: NDArray[np.bool_]
    frame: SliceFrame
    raw: Mapping[Target, NDArray[np.float32]]
    inside: NDArray[np.bool_]
    finished: NDArray[np.bool_]
    probabilities: dict[Target, NDArray[np.float32]] = field(default_factory=dict)
    whole: bool = True
    normalise: Normalise = "slice"
    gate: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def class_maps(self) -> ClassMaps:
        """Return the maps in [0, 1] on the case's grid.

        Raises
        ------
        GliocamError
            If the gate is on and the probabilities are not known.
        """
        indices = list(self.frame.indices)
        probabilities = np.zeros((self.grid.shape[0], len(TARGETS)), dtype=np.float32)
        for target, values in self.probabilities.items():
            probabilities[indices, TARGETS.index(target)] = values
        asked = None if self.whole else self.frame.indices
        complete = bool(self.finished.all())
        begun = self.finished | np.any([m.any(axis=(1, 2)) for m in self.raw.values()], axis=0)
        made = tuple(i for i, there in zip(indices, begun, strict=True) if there)
        return ClassMaps.of_targets(
            self.grid,
            {target: self.volume(target) for target in self.raw},
            probabilities=probabilities,
            provenance=self.provenance,
            name=self.name,
            asked=asked,
            spoken_for=asked if complete else made,
            complete=complete,
            raw=self,
        )

    def shown_as(
        self, *, normalise: Normalise | None = None, gate: bool | None = None
    ) -> ClassMaps:
        """Return the maps in [0, 1], with another normalisation or gate where given."""
        shown = replace(
            self,
            normalise=self.normalise if normalise is None else normalise,
            gate=self.gate if gate is None else gate,
        )
        return shown.class_maps()

    def maps(self, target: Target) -> NDArray[np.float32]:
        """Return maps in [0, 1] at the layer's own resolution, (N, h, w).

        Raises
        ------
        GliocamError
            If the gate is on and the probabilities are not known.
        """
        unit = normalise_maps(self.raw[target], self.inside, self.normalise)
        if self.gate:
            if target not in self.probabilities:
                raise GliocamError(
                    f"Which slices show {target} is not known to this map; make it again with the "
                    "gate on."
                )
            unit[self.probabilities[target] < GATE] = 0.0
        return unit

    def volume(self, target: Target) -> NDArray[np.float32]:
        """Return the map in [0, 1] on the case's grid, enlarged bilinearly, (S, P, L); 0 in air."""
        return self._enlarge(target, self.frame, slice(None), self.brain)

    def plane(self, target: Target, index: int) -> NDArray[np.float32]:
        """Return one slice of `volume`, (P, L), without enlarging the others."""
        _, height, width = self.frame.shape
        if index not in self.frame.indices:
            return np.zeros((height, width), dtype=np.float32)
        where = self.frame.indices.index(index)
        frame = replace(self.frame, shape=(1, height, width), indices=(0,))
        brain = self.brain[index : index + 1]
        plane: NDArray[np.float32] = self._enlarge(target, frame, slice(where, where + 1), brain)[0]
        return plane

    def _enlarge(
        self, target: Target, frame: SliceFrame, where: slice, brain: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return some slices on a frame's grid.

        A pixel of a map is several voxels wide.  One that lies in air was set to 0 and would dim
        the cortex next to it, so it takes no part: the mean is over those in the brain.
        """
        volume = frame.put_back(self.maps(target)[where])
        share = (
            None
            if self.normalise == "none"
            else frame.put_back(self.inside[where].astype(np.float32))
        )
        for index in frame.indices:
            volume[index] *= brain[index]
            if share is not None:
                there = share[index] > 0
                np.divide(volume[index], share[index], out=volume[index], where=there)
            np.clip(volume[index], 0.0, 1.0, out=volume[index])
        return volume


def normalise_maps(
    raw: NDArray[np.float32], inside: NDArray[np.bool_], how: Normalise = "slice"
) -> NDArray[np.float32]:
    """Bring maps of any scale into [0, 1] by minimum and maximum over the brain; never NaN.

    Parameters
    ----------
    raw : ndarray of float32, (N, h, w)
        Values that are not finite count as 0.
    inside : ndarray of bool, (N, h, w)
        The brain; pixels elsewhere do not count for minimum and maximum, and become 0.
    how : {"slice", "volume", "none"}
        Range that is stretched to [0, 1]: of each slice, of the volume, or none.

    Returns
    -------
    ndarray of float32, (N, h, w)
        In [0, 1]; a constant map, and a slice without brain, become 0.  With ``none`` nothing
        is touched, air included.
    """
    finite: NDArray[np.float32] = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
    if how == "none":
        clipped: NDArray[np.float32] = finite.clip(0.0, 1.0)
        return clipped
    axes: Any = (0, 1, 2) if how == "volume" else (1, 2)
    wide = finite.astype(np.float64)
    low = wide.min(axis=axes, keepdims=True, where=inside, initial=np.inf)
    high = wide.max(axis=axes, keepdims=True, where=inside, initial=-np.inf)
    span = high - low
    tells = np.isfinite(span) & (span > _CONSTANT * np.maximum(np.abs(high), np.abs(low)))
    low, span = np.where(tells, low, 0.0), np.where(tells, span, 1.0)
    scaled = np.clip((wide - low) / span, 0.0, 1.0) * (inside & tells)
    unit: NDArray[np.float32] = scaled.astype(np.float32)
    return unit
