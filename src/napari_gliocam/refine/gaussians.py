"""Mixtures of Gaussians, fitted to weighted points by expectation maximisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Added to every variance, so that no component collapses on a few like points.
LEAST_VARIANCE = 0.1
#: Steps of expectation maximisation: from nothing, and from a mixture that nearly fits.
STEPS, STEPS_AGAIN = 20, 8


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K Gaussians in C dimensions, each with a covariance of its own.

    Parameters
    ----------
    weights : ndarray of float, shape (K,)
        Positive, summing to 1.
    means : ndarray of float, shape (K, C)
        Centres.
    covariances : ndarray of float, shape (K, C, C)
        Positive definite.
    """

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    def log_density(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the log-density at N points, shape (N,).

        Parameters
        ----------
        features : ndarray, shape (N, F)
            `quadratic_features` of the points.
        """
        each = self._log_terms(features)
        highest = each.max(axis=1)
        density: NDArray[np.floating] = highest + np.log(
            np.exp(each - highest[:, None]).sum(axis=1)
        )
        return density

    def shares(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the probability of each component at N points, shape (N, K)."""
        each = self._log_terms(features)
        odds = np.exp(each - each.max(axis=1, keepdims=True))
        shares: NDArray[np.floating] = odds / odds.sum(axis=1, keepdims=True)
        return shares

    def _log_terms(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the weighted log-density of each component, linear in the quadratic features."""
        precisions = np.linalg.inv(self.covariances)
        rows, columns = np.triu_indices(self.means.shape[1])
        linear = np.einsum("kij,kj->ki", precisions, self.means)
        constant = np.log(self.weights) - 0.5 * (
            np.linalg.slogdet(self.covariances)[1]
            + self.means.shape[1] * np.log(2 * np.pi)
            + (linear * self.means).sum(axis=1)
        )
        quadratic = precisions[:, rows, columns] * np.where(rows == columns, -0.5, -1.0)
        coefficients = np.concatenate([constant[:, None], linear, quadratic], axis=1)
        terms: NDArray[np.floating] = features @ coefficients.T.astype(features.dtype)
        return terms


def quadratic_features(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1, the coordinates and their products, (N, C) -> (N, 1 + C + C (C + 1) / 2)."""
    rows, columns = np.triu_indices(points.shape[1])
    one = np.ones((len(points), 1), dtype=points.dtype)
    return np.concatenate([one, points, points[:, rows] * points[:, columns]], axis=1)


def fit_mixture(
    points: NDArray[np.float64],
    weights: NDArray[np.floating],
    components: int,
    start: Mixture | None = None,
) -> Mixture:
    """Fit a mixture to weighted points.

    Parameters
    ----------
    points : ndarray of float64, shape (N, C)
        Finite, N >= 1.
    weights : ndarray, shape (N,)
        At least 0, with a positive sum.
    components : int
        Number of Gaussians K, at least 1.
    start : Mixture, optional
        One that nearly fits, with as many components; by default the points are divided.
    """
    share = weights / weights.sum()
    if components == 1:
        return _maximised(points, share, np.ones((len(points), 1)))
    features = quadratic_features(points)
    mixture = start
    if mixture is None:
        mixture = _maximised(points, share, np.eye(components)[_parts(points, share, components)])
    for _ in range(STEPS if start is None else STEPS_AGAIN):
        mixture = _maximised(points, share, mixture.shares(features))
    return mixture


def _maximised(
    points: NDArray[np.float64], weights: NDArray[np.floating], shares: NDArray[np.floating]
) -> Mixture:
    """Return the mixture of highest likelihood for given shares of the components."""
    counts = shares * weights[:, None]
    totals = counts.sum(axis=0) + 1e-9
    means = counts.T @ points / totals[:, None]
    covariances = []
    for mean, count, total in zip(means, counts.T, totals, strict=True):
        away = points - mean
        covariances.append((away * count[:, None]).T @ away / total)
    floor = LEAST_VARIANCE * np.eye(points.shape[1])
    return Mixture(totals / totals.sum(), means, np.stack(covariances) + floor)


def _parts(
    points: NDArray[np.float64], weights: NDArray[np.floating], count: int
) -> NDArray[np.intp]:
    """Divide points into parts, with nothing drawn at random; return the part of each point.

    In turns, the part of largest spread is divided at its mean, across the axis along which it
    spreads most (PCA-Part, Su and Dy 2007).
    """
    parts = np.zeros(len(points), dtype=np.intp)
    for new in range(1, count):
        whole = _maximised(points, weights, np.eye(new)[parts])
        spread = whole.weights * np.trace(whole.covariances, axis1=1, axis2=2)
        widest = int(spread.argmax())
        axis = np.linalg.eigh(whole.covariances[widest])[1][:, -1]
        beyond = (points - whole.means[widest]) @ axis > 0
        parts[(parts == widest) & beyond] = new
    return parts
