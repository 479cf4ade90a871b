"""Two or more maps of one class made into one mask (paper 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.wording import no_such

#: Paper 5, section 2.3, calls them ``or``, ``and``, ``<`` and ``>``; ``vote`` is k of n.
Rule = Literal["union", "intersection", "smaller", "larger", "vote"]
RULES: tuple[Rule, ...] = get_args(Rule)
PAPER_NAMES: dict[str, Rule] = {
    "or": "union",
    "and": "intersection",
    "<": "smaller",
    ">": "larger",
}

#: For every map, where no threshold was chosen: the paper's optimum, which its authors found
#: with pixel masks of other data; no mask is used to take it over.
DEFAULT_THRESHOLD = 0.7


@dataclass(frozen=True)
class Ensemble:
    """The rule by which masks of several networks or methods become one.

    Parameters
    ----------
    rule : {"union", "intersection", "smaller", "larger", "vote"}
        ``smaller`` and ``larger`` take, slice by slice, the whole mask with the fewest or the
        most pixels; of equals the first.
    votes : int
        For ``vote``: a voxel counts where at least so many masks have it.
    """

    rule: Rule = "intersection"
    votes: int = 2

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise GliocamError(no_such(self.rule, RULES, "ensemble"))
        if self.votes < 1:
            raise GliocamError(f"{self.votes} votes are too few; choose 1 or more.")

    @property
    def title(self) -> str:
        """The name that a user reads, such as ``"intersection"`` or ``"2 votes"``."""
        return f"{self.votes} votes" if self.rule == "vote" else self.rule

    @property
    def least(self) -> int:
        """Number of masks that the rule needs."""
        return max(2, self.votes) if self.rule == "vote" else 2

    def combine(self, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Return one mask from two or more, all of shape (S, ...).

        Raises
        ------
        GliocamError
            If there are fewer masks than two, or than votes.
        """
        count = len(masks)
        if count < self.least:
            raise GliocamError(
                f"An ensemble of {count} is too small; choose {self.least} or more methods or "
                "networks."
            )
        if self.rule in ("smaller", "larger"):
            areas = np.stack([m.reshape(len(m), -1).sum(axis=1) for m in masks])
            best = areas.argmin(axis=0) if self.rule == "smaller" else areas.argmax(axis=0)
            return np.stack([masks[which][row] for row, which in enumerate(best)])
        needed = {"union": 1, "intersection": count}.get(self.rule, self.votes)
        agreeing = np.zeros(masks[0].shape, dtype=np.uint8)
        for mask in masks:
            agreeing += mask
        return agreeing >= needed


def combine_maps(
    maps: Sequence[NDArray[np.float32]],
    ensemble: Ensemble | None = None,
    thresholds: Sequence[float] | None = None,
) -> NDArray[np.bool_]:
    """Cut each map at its threshold, then combine.

    Parameters
    ----------
    maps : sequence of ndarray, each (S, P, L)
        In [0, 1], of one class, from different networks or methods.
    ensemble : Ensemble, optional
        The intersection by default, the paper's best.
    thresholds : sequence of float, optional
        One a map; a voxel counts where the map exceeds it.  0.7 for each by default.

    Returns
    -------
    ndarray of bool, (S, P, L)
    """
    chosen = [DEFAULT_THRESHOLD] * len(maps) if thresholds is None else list(thresholds)
    if len(chosen) != len(maps):
        raise GliocamError(
            f"There are {len(maps)} maps and {len(chosen)} thresholds; give one for each map."
        )
    masks = [m > threshold for m, threshold in zip(maps, chosen, strict=True)]
    return (ensemble or Ensemble()).combine(masks)


def combine_methods(
    name: str, members: Sequence[ClassMaps], ensemble: Ensemble, thresholds: Sequence[float]
) -> ClassMaps:
    """Return the masks of several methods combined, target by target.

    Parameters
    ----------
    name : str
        The ensemble, as a reader sees it.
    members : sequence of ClassMaps
        Of one case; a target that too few of them have is left out.
    ensemble : Ensemble
        How the methods vote, and their thresholds.
    thresholds : sequence of float
        One for each member; a voxel counts where its map exceeds it.

    Returns
    -------
    ClassMaps
        Of 0 and 1, for the slices that every member makes a statement about.

    Raises
    ------
    GliocamError
        If no target has enough members.
    """
    volumes: dict[Target, NDArray[np.float32]] = {}
    for target in TARGETS:
        own = [
            (m.of(target), t)
            for m, t in zip(members, thresholds, strict=True)
            if target in m.targets
        ]
        if len(own) >= min(ensemble.least, len(members)):  # too few members is an error below
            mask = combine_maps([m for m, _ in own], ensemble, [t for _, t in own])
            volumes[target] = mask.astype(np.float32)
    return ensemble_maps(name, members, ensemble, volumes)


def ensemble_maps(
    name: str,
    members: Sequence[ClassMaps],
    ensemble: Ensemble,
    volumes: Mapping[Target, NDArray[np.float32]],
) -> ClassMaps:
    """Return the combined masks of several methods as maps.

    Parameters
    ----------
    name, members, ensemble
        As in `combine_methods`.
    volumes : mapping of target to ndarray of float32, (S, P, L)
        Of 0 and 1.
    """
    made = np.logical_and.reduce([m.spoken_slices for m in members])
    asked = np.logical_or.reduce([m.asked_slices for m in members])
    return ClassMaps.of_targets(
        members[0].grid,
        volumes,
        probabilities=members[0].probabilities,
        provenance={
            "method": {"name": "ensemble", "rule": ensemble.title, "of": [m.name for m in members]},
            "members": [dict(m.provenance) for m in members],
        },
        name=name,
        asked=None if asked.all() else tuple(map(int, np.flatnonzero(asked))),
        spoken_for=None if made.all() else tuple(map(int, np.flatnonzero(made))),
        complete=all(m.complete for m in members),
        is_mask=True,
    )
