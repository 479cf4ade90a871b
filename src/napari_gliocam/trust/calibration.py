"""Reliability of map values.

Of the voxels at 0.7, do seven in ten lie in the lesion?
Outlines are needed, so this measures; nothing is learned from it but one temperature per class
(Guo et al. 2017), which changes no label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Map values are counted in this many steps.
STEPS = 1000

#: Least and largest temperature that is looked for.
_COLDEST, _HOTTEST = 0.1, 10.0


@dataclass(frozen=True, eq=False)
class MapCounts:
    """How often each map value occurs, and how often in the lesion; counts of cases add up.

    Parameters
    ----------
    voxels : ndarray of int64, (`STEPS`,)
        Voxels of the brain whose value lies in each step of [0, 1].
    lesion : ndarray of int64, (`STEPS`,)
        Those of them in the outline.
    """

    voxels: NDArray[np.int64]
    lesion: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.floating], truth: NDArray[np.bool_]) -> MapCounts:
        """Count map values in [0, 1] and the outline's voxels, both of one shape."""
        step = np.minimum((values.ravel() * STEPS).astype(np.int64), STEPS - 1)
        hits = np.bincount(step[truth.ravel()], minlength=STEPS)
        return cls(np.bincount(step, minlength=STEPS), hits)

    def __add__(self, other: MapCounts) -> MapCounts:
        return MapCounts(self.voxels + other.voxels, self.lesion + other.lesion)

    def at_temperature(self, temperature: float) -> NDArray[np.float64]:
        """Return the value of each step at a temperature, (`STEPS`,)."""
        return at_temperature((np.arange(STEPS) + 0.5) / STEPS, temperature)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Map values beside what was found there, in bins of equal width.

    Parameters
    ----------
    said : ndarray of float64, (bins,)
        Mean value in each bin.
    found : ndarray of float64, (bins,)
        Part of its voxels that lies in the lesion.
    voxels : ndarray of int64, (bins,)
        How many there are; where 0 both others are 0.
    """

    said: NDArray[np.float64]
    found: NDArray[np.float64]
    voxels: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of both, weighted by the voxels."""
        total = int(self.voxels.sum())
        if not total:
            return 0.0
        return float((np.abs(self.said - self.found) * self.voxels).sum() / total)


def reliability(
    counts: MapCounts, temperature: float = 1.0, *, bins: int = 15, above: float = 0.0
) -> Reliability:
    """Return the reliability of map values at a temperature.

    Parameters
    ----------
    counts : MapCounts
        Of one class, of one case or of many.
    temperature : float
        Above 0; 1 leaves the values as they are.
    bins : int
        How many.
    above : float
        Only voxels whose value is at least this before any temperature count; most of a brain is
        healthy at a glance, and hides in the mean how unsure the rest is.
    """
    values = counts.at_temperature(temperature)
    first = round(above * STEPS)
    which = np.minimum((values[first:] * bins).astype(int), bins - 1)
    voxels, lesion = counts.voxels[first:], counts.lesion[first:]
    total = np.bincount(which, voxels, bins)
    some = np.maximum(total, 1)
    return Reliability(
        np.bincount(which, voxels * values[first:], bins) / some,
        np.bincount(which, lesion, bins) / some,
        total.astype(np.int64),
    )


def fit_temperature(counts: MapCounts) -> float:
    """Return the temperature that makes the outlines most likely, 0.1 to 10.

    1 where there is no lesion, or nothing else.
    """
    from scipy.optimize import minimize_scalar

    healthy = counts.voxels - counts.lesion
    if not counts.lesion.any() or not healthy.any():
        return 1.0

    def loss(logarithm: float) -> float:
        values = counts.at_temperature(float(np.exp(logarithm))).clip(1e-12, 1 - 1e-12)
        return -float((counts.lesion * np.log(values) + healthy * np.log1p(-values)).sum())

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def at_temperature(values: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return ``sigmoid(logit(v) / T)``; 0, 1/2 and 1 stay where they are."""
    from scipy.special import expit, logit

    scaled: NDArray[np.float64] = expit(logit(values.astype(np.float64)) / temperature)
    return scaled
