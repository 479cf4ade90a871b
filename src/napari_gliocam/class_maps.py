"""Maps of tumour, core and edema of a case, and the trace of the networks that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.slices import SliceFrame
from napari_gliocam.targets import Target

#: Rows of the panel's matrix of maps.
Row = Literal["exit 1", "exit 2", "exit 3", "exit 4", "guided", "aggregate"]
ROWS: tuple[Row, ...] = ("exit 1", "exit 2", "exit 3", "exit 4", "guided", "aggregate")


@dataclass(frozen=True, eq=False)
class NetworkTrace:
    """Intermediate maps of the networks on the slices that they saw, all in [0, 1].

    Parameters
    ----------
    frame : SliceFrame
        Where the networks' N slices lie in the case.
    exits : mapping of target to 4 ndarrays of float16, each (N, h, w)
        Maps of each exit at their native resolution.
    guided : mapping of "core" and "edema" to ndarray of float16, (N, H, W)
        Mean over the exits of the class maps after guidance (paper 1, Eq. 3), network grid.
    attention : mapping of target to ndarray of uint8, (N, 4, h, w)
        Weight of each exit in the aggregate in 255ths, at the resolution of the attention
        networks; empty where it is not known.
    """

    frame: SliceFrame
    exits: Mapping[Target, tuple[NDArray[np.float16], ...]]
    guided: Mapping[Target, NDArray[np.float16]]
    attention: Mapping[Target, NDArray[np.uint8]] = field(default_factory=dict)

    def has(self, row: Row, target: Target) -> bool:
        """Return True if there is such a map (the tumour map guides; it is not guided)."""
        return target in (self.guided if row == "guided" else self.exits)

    def volume(self, row: Row, target: Target) -> NDArray[np.float32]:
        """Return an exit's or guided map on the case's grid, enlarged now (bilinear), (S, P, L)."""
        maps = self.guided[target] if row == "guided" else self.exits[target][int(row[-1]) - 1]
        return self.frame.put_back(maps)


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Maps of a case in [0, 1], higher = more lesion, not gated: they are cut, compared, saved.

    Parameters
    ----------
    grid : Grid
        The case's grid.
    tumour, core, edema : ndarray of float32, shape (S, P, L)
        One map a target; of the networks: the binary map (paper 2) and the guided class maps
        (paper 1, Eq. 4).
    probabilities : ndarray of float32, shape (S, 3)
        Image-level probability of tumour, core, edema per slice; 0 where no network ran.
    provenance : mapping
        The maps' origin: bundle, device, precision, seconds a stage; written into the json.
    trace : NetworkTrace or None
        Intermediate maps, where a network made these.
    name : str
        The method, as a reader sees it.
    spoken_for : tuple of int or None
        Slices that the maps say something of; None for all of them.
    """

    grid: Grid
    tumour: NDArray[np.float32]
    core: NDArray[np.float32]
    edema: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    trace: NetworkTrace | None = None
    name: str = "Networks"
    spoken_for: tuple[int, ...] | None = None

    def of(self, target: Target) -> NDArray[np.float32]:
        """Return the map of a target, shape (S, P, L)."""
        volume: NDArray[np.float32] = getattr(self, target)
        return volume

    def has(self, row: Row, target: Target) -> bool:
        """Return True if the map of a row of the panel's matrix is there."""
        return row == "aggregate" or (self.trace is not None and self.trace.has(row, target))

    def volume(self, row: Row, target: Target) -> NDArray[np.float32]:
        """Return a map of the panel's matrix on the case's grid, shape (S, P, L).

        Raises
        ------
        KeyError
            If there is no such map.
        """
        if row == "aggregate":
            return self.of(target)
        if self.trace is None:
            raise KeyError(row)
        enlarged = self.trace.volume(row, target)
        enlarged[self.tumour == 0] = 0  # the networks' word on air; aggregates are 0 there alone
        return enlarged
