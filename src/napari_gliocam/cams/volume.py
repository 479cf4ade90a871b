"""Every map of one case: exits at their own resolution, aggregates on the case's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.slices import SliceFrame

Target = Literal["tumour", "core", "edema"]
TARGETS: tuple[Target, ...] = ("tumour", "core", "edema")

#: Rows of the panel's matrix of maps.
Row = Literal["exit 1", "exit 2", "exit 3", "exit 4", "guided", "aggregate"]
ROWS: tuple[Row, ...] = ("exit 1", "exit 2", "exit 3", "exit 4", "guided", "aggregate")


@dataclass(frozen=True, eq=False)
class CamVolume:
    """The maps of a case, all in [0, 1], higher = more lesion, ungated.

    Parameters
    ----------
    grid : Grid
        The case's grid.
    frame : SliceFrame
        Where the network's slices lie in the case.
    tumour, core, edema : ndarray of float32, shape (S, P, L)
        The aggregates: binary map (paper 2) and guided class maps (paper 1, Eq. 4).
    probabilities : ndarray of float32, shape (S, 3)
        Image-level probability of tumour, core, edema per slice; 0 where no network ran.
    exits : mapping of target to 4 ndarrays of float16, each (N, h, w)
        The maps of each exit at their native resolution on the N slices of ``frame``.
    guided : mapping of "core" and "edema" to ndarray of float16, (N, H, W)
        Mean over the exits of the class maps after guidance (paper 1, Eq. 3), network grid.
    provenance : mapping
        What made them: bundle, device, precision, seconds a stage; goes into the json.
    attention : mapping of target to ndarray of uint8, (N, 4, h, w)
        Weight of each exit in the aggregate in 255ths, at the resolution of the attention
        networks; empty where they are not known.
    """

    grid: Grid
    frame: SliceFrame
    tumour: NDArray[np.float32]
    core: NDArray[np.float32]
    edema: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    exits: Mapping[Target, tuple[NDArray[np.float16], ...]]
    guided: Mapping[Target, NDArray[np.float16]]
    provenance: Mapping[str, Any]
    attention: Mapping[Target, NDArray[np.uint8]] = field(default_factory=dict)

    def has(self, row: Row, target: Target) -> bool:
        """Whether there is such a map (the tumour map is the guidance, it is not guided)."""
        return row == "aggregate" or target in (self.guided if row == "guided" else self.exits)

    def volume(self, row: Row, target: Target) -> NDArray[np.float32]:
        """One map on the case's grid, enlarged now (bilinear), shape (S, P, L)."""
        if row == "aggregate":
            volume: NDArray[np.float32] = getattr(self, target)
            return volume
        guided = row == "guided"
        maps = self.guided[target] if guided else self.exits[target][int(row[-1]) - 1]
        enlarged = self.frame.put_back(maps)
        enlarged[self.tumour == 0] = 0  # what a network says of air; aggregates are 0 there alone
        return enlarged
