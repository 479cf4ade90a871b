"""What an explanation method says of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.methods.explained_layer import Site
from napari_gliocam.cams.run.normalise import Normalise, normalise_maps
from napari_gliocam.errors import GliocamError
from napari_gliocam.slices import SliceFrame
from napari_gliocam.targets import Target

#: A slice shows a class from this image-level probability on; as `Thresholds.gate_probability`.
GATE = 0.5


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of one method, raw as it made them; cut into [0, 1] when they are looked at.

    `dataclasses.replace` with another ``normalise`` or ``gate`` shows the same maps otherwise;
    no network runs again.

    Parameters
    ----------
    method, title : str
        The method, as typed and as read.
    site : Site
    frame : SliceFrame
        The N slices that were asked for.
    brain : ndarray of bool, shape (S, P, L)
        The case's.
    raw : mapping of target to ndarray of float32, (N, h, w)
        At the layer's own resolution; 0 for slices that are not finished.
    inside : ndarray of bool, (N, h, w)
        Which of their pixels lie in the brain.
    finished : ndarray of bool, (N,)
        Slices that are done; False where the work was stopped before or in the middle of them.
    probabilities : dict of target to ndarray of float32, (N,)
        Image-level probabilities; empty where nobody asked the networks for them.
    whole : bool
        Whether the map speaks for the whole case, so that slices beyond ``frame`` are healthy
        by it; False where single slices were asked for.
    normalise : {"slice", "volume", "none"}
    gate : bool
        Whether slices on which the networks deny the class are 0.
    provenance : mapping
        What made them; goes into the json.
    """

    method: str
    title: str
    site: Site
    frame: SliceFrame
    brain: NDArray[np.bool_]
    raw: Mapping[Target, NDArray[np.float32]]
    inside: NDArray[np.bool_]
    finished: NDArray[np.bool_]
    probabilities: dict[Target, NDArray[np.float32]] = field(default_factory=dict)
    whole: bool = True
    normalise: Normalise = "slice"
    gate: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that were asked for."""
        return tuple(self.raw)

    @property
    def spoken_for(self) -> list[int]:
        """Slices of the case that the map says something of: all, or those asked for."""
        return list(range(len(self.brain)) if self.whole else self.frame.indices)

    def maps(self, target: Target) -> NDArray[np.float32]:
        """Maps in [0, 1] at the layer's own resolution, (N, h, w).

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
        """The map in [0, 1] on the case's grid, enlarged bilinearly, (S, P, L); 0 in air."""
        return self._enlarge(target, self.frame, slice(None), self.brain)

    def plane(self, target: Target, index: int) -> NDArray[np.float32]:
        """One slice of `volume`, (P, L), at the price of one; 0 if it was not asked for."""
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
        """Some slices on a frame's grid.

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
        return np.clip(volume, 0.0, 1.0, out=volume)
