"""Localisation without a threshold: how much of a map lies on the lesion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.agreement import energy_inside
from napari_gliocam.targets import Target, mask_of

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.maps.class_maps import ClassMaps


@dataclass(frozen=True)
class Localisation:
    """Figures of a map against an outline; empty where there is nothing to compare with.

    Parameters
    ----------
    target : Target
        The target of the map.
    values : dict of str to float
        ``auprc``, ``mass-accuracy``, ``rank-accuracy`` and ``prevalence``, the AUPRC of a map
        that knows nothing; each in [0, 1].
    why_not : str
        The reason why there are none.
    """

    target: Target
    values: dict[str, float] = field(default_factory=dict)
    why_not: str = ""

    def figures(self) -> dict[str, float]:
        """Return each figure by the name of its test."""
        return self.values

    def reason(self) -> str:
        """Return the reason why there are no figures; empty where there are some."""
        return self.why_not


def localise(
    maps: ClassMaps, case: Case, target: Target, slices: NDArray[np.bool_] | None = None
) -> Localisation:
    """Compare a map with an expert's outline without a threshold, over the brain.

    Parameters
    ----------
    maps : ClassMaps
        Any maps of the case.
    case : Case
        With expert labels.
    target : Target
        One that has a map.
    slices : ndarray of bool, (S,), optional
        Slices that count; by default those that the maps were asked for.
    """
    if case.expert is None:
        return Localisation(target, why_not="no outline is loaded")
    seen = maps.asked_slices if slices is None else slices
    brain = case.brain[seen]
    truth = mask_of(case.expert.labels, target)[seen][brain]
    values = maps.of(target)[seen][brain]
    if not truth.any():
        return Localisation(target, why_not=f"the outline shows no {target} on these slices")
    if not values.any():
        return Localisation(target, why_not="the map is empty on these slices")
    return Localisation(
        target,
        {
            "auprc": average_precision(values, truth),
            "mass-accuracy": energy_inside(values, truth),
            "rank-accuracy": rank_accuracy(values, truth),
            "prevalence": float(truth.mean()),
        },
    )


def average_precision(values: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the area under precision over recall, ``sum (R_n - R_(n-1)) P_n``.

    Voxels of equal value come in together, so that their order does not matter.

    Parameters
    ----------
    values : ndarray of float, (N,)
        Map values.
    truth : ndarray of bool, (N,)
        At least one is True.
    """
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
    found = hits[last]
    gained = np.diff(found, prepend=0) / hits[-1]
    return float((gained * found / (last + 1)).sum())


def rank_accuracy(values: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return which part of the K highest values lies in an outline of K voxels (Arras et al. 2022).

    Of voxels that tie for the last places the mean over their orders is taken.

    Parameters
    ----------
    values : ndarray of float, (N,)
        Map values.
    truth : ndarray of bool, (N,)
        At least one is True.
    """
    count = int(truth.sum())
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, tied = values > least, values == least
    places = count - int(above.sum())
    return float((truth[above].sum() + places * truth[tied].mean()) / count)
