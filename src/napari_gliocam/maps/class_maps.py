"""Maps of tumour, core and edema of a case, and the trace of the networks that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid
from napari_gliocam.maps.doubt import doubt_of_exits
from napari_gliocam.slices import SliceFrame
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE, Target

if TYPE_CHECKING:
    from napari_gliocam.maps.raw_maps import RawMaps

#: ``slice``: each slice has its own minimum and maximum, as in every CAM library, so a healthy
#: slice glows as bright as a diseased one.  ``volume``: one minimum and maximum for all slices.
#: ``none``: left as they are, for maps that are probabilities.
Normalise = Literal["slice", "volume", "none"]

#: Rows of the panel's matrix of maps; ``doubt`` is the disagreement of the exits, ``attention`` the
#: weight of an exit in the aggregate (paper 1, Eq. 4; paper 2, Fig. 2).
Row = Literal[
    "exit 1",
    "exit 2",
    "exit 3",
    "exit 4",
    "guided",
    "aggregate",
    "doubt",
    "attention 1",
    "attention 2",
    "attention 3",
    "attention 4",
]
ROWS: tuple[Row, ...] = get_args(Row)
#: The weights of the exits.
ATTENTION_ROWS: tuple[Row, ...] = tuple(row for row in ROWS if row.startswith("attention"))
#: Rows that say where a target is; the others say something of the networks.
CLASS_ROWS: tuple[Row, ...] = tuple(
    row for row in ROWS if row != "doubt" and row not in ATTENTION_ROWS
)


#: Name of the maps that *Segment* cuts.
NETWORKS = "Networks"


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
        if row in ATTENTION_ROWS:
            return target in self.attention
        return target in (self.guided if row == "guided" else self.exits)

    def volume(self, row: Row, target: Target) -> NDArray[np.float32]:
        """Return one of the maps on the case's grid, enlarged now (bilinear), (S, P, L)."""
        if row == "doubt":
            return self.frame.put_back(doubt_of_exits(self.exits[target], self.frame))
        if row in ATTENTION_ROWS:
            weights = self.attention[target][:, int(row[-1]) - 1].astype(np.float32)
            return self.frame.put_back(weights / 255)
        maps = self.guided[target] if row == "guided" else self.exits[target][int(row[-1]) - 1]
        return self.frame.put_back(maps)


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Maps of a case in [0, 1], higher = more lesion: what is cut, compared, painted over, saved.

    Parameters
    ----------
    grid : Grid
        The case's grid.
    tumour, core, edema : ndarray of float32, shape (S, P, L)
        One map for each target, 0 where it is not among ``targets``.  From the networks: the
        binary map (paper 2) and the guided class maps (paper 1, Eq. 4), not gated.
    probabilities : ndarray of float32, shape (S, 3)
        Image-level probability of tumour, core, edema of each slice; 0 where no network ran.
    provenance : mapping
        The maps' origin: bundle, device, precision, seconds of each stage; written into the json.
    trace : NetworkTrace or None
        Intermediate maps, where a network made these.
    name : str
        The method, as a reader sees it, such as ``"GradCAM 4"``.
    targets : tuple of Target
        Targets that have a map.
    asked : tuple of int or None
        Slices that were asked for; None for all of them.
    spoken_for : tuple of int or None
        Slices that the maps make a statement about, fewer than ``asked`` where the work was
        stopped; None for all of them.
    complete : bool
        False where the work was stopped before its end.
    is_mask : bool
        True if every value is 0 or 1, as in an ensemble's result, so that no threshold applies.
    raw : RawMaps or None
        The maps of an explanation method at its layer's resolution; see `shown_as`.  Maps with
        ``raw`` have their own scale and gate, so each class is cut alone, without tumour map.
    """

    grid: Grid
    tumour: NDArray[np.float32]
    core: NDArray[np.float32]
    edema: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    trace: NetworkTrace | None = None
    name: str = NETWORKS
    targets: tuple[Target, ...] = TARGETS
    asked: tuple[int, ...] | None = None
    spoken_for: tuple[int, ...] | None = None
    complete: bool = True
    is_mask: bool = False
    raw: RawMaps | None = None

    def __repr__(self) -> str:
        """Return the name alone, not thousands of voxels."""
        return f"ClassMaps({self.name!r})"

    @classmethod
    def of_targets(
        cls, grid: Grid, volumes: Mapping[Target, NDArray[np.float32]], **fields: Any
    ) -> ClassMaps:
        """Return maps of some targets; the others are 0 and take no memory.

        Parameters
        ----------
        grid : Grid
            The case's grid.
        volumes : mapping of target to ndarray of float32, shape (S, P, L)
            The maps that there are, in [0, 1].
        **fields
            Further fields of the class; probabilities are 0 by default.
        """
        nothing = np.broadcast_to(np.float32(0), grid.shape)
        fields.setdefault("probabilities", np.zeros((grid.shape[0], len(TARGETS)), np.float32))
        tumour, core, edema = (volumes.get(target, nothing) for target in TARGETS)
        targets = tuple(target for target in TARGETS if target in volumes)
        return cls(grid, tumour, core, edema, targets=targets, **fields)

    def of(self, target: Target) -> NDArray[np.float32]:
        """Return the map of a target, shape (S, P, L).

        Raises
        ------
        KeyError
            If there is none.
        """
        if target not in self.targets:
            raise KeyError(target)
        volume: NDArray[np.float32] = getattr(self, target)
        return volume

    @property
    def from_exits(self) -> bool:
        """Whether the networks that left ``trace`` made these maps, and no other method.

        A segmentation network may have been mixed in; the exits' doubt is said of that, too.
        """
        return self.trace is not None and self.name == NETWORKS

    @property
    def asked_slices(self) -> NDArray[np.bool_]:
        """Slices that were asked for, shape (S,)."""
        return self._chosen(self.asked)

    @property
    def spoken_slices(self) -> NDArray[np.bool_]:
        """Slices that the maps make a statement about, shape (S,)."""
        return self._chosen(self.spoken_for)

    def _chosen(self, slices: tuple[int, ...] | None) -> NDArray[np.bool_]:
        chosen = np.full(self.grid.shape[0], slices is None)
        if slices is not None:
            chosen[list(slices)] = True
        return chosen

    def shown_as(
        self, *, normalise: Normalise | None = None, gate: bool | None = None
    ) -> ClassMaps:
        """Return a method's maps with another normalisation or gate; no network runs again.

        Parameters
        ----------
        normalise : {"slice", "volume", "none"}, optional
            Range that is stretched to [0, 1]; as it is by default.
        gate : bool, optional
            Whether slices on which the networks deny the class are 0.

        Raises
        ------
        KeyError
            If these are not the maps of an explanation method.
        GliocamError
            If the gate is asked for and the image-level probabilities are not known.
        """
        if self.raw is None:
            raise KeyError("raw")
        return replace(self.raw.shown_as(normalise=normalise, gate=gate), name=self.name)

    def as_result(self) -> ClassMaps:
        """Return the maps as a result to be cut like the networks': tumour is the higher class.

        With both thresholds equal and no gate the labels are core and edema above the threshold.
        Maps of the tumour alone stay what they are.
        """
        if self.targets == TUMOUR_ALONE:
            return replace(self, raw=None)
        tumour = np.maximum(self.core, self.edema)
        return replace(self, tumour=tumour, targets=TARGETS, raw=None)

    def row(self, row: Row) -> ClassMaps:
        """Return maps that differ from these in core and edema alone: those of another row.

        Parameters
        ----------
        row : Row
            One that has both classes.

        Raises
        ------
        KeyError
            If there is no such row.
        """
        if row == "aggregate":
            return self
        return replace(self, core=self.volume(row, "core"), edema=self.volume(row, "edema"))

    def has(self, row: Row, target: Target) -> bool:
        """Return True if the map of a row of the panel's matrix is there."""
        if row == "aggregate":
            return target in self.targets
        return self.trace is not None and self.trace.has(row, target)

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
