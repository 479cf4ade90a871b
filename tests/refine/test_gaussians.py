from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.refine.gaussians import LEAST_VARIANCE, fit_mixture, quadratic_features


@pytest.fixture
def points():
    """Two clouds in the plane, one three times the other."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal((0, 0), 1, (3000, 2)), rng.normal((9, 4), 2, (1000, 2))])


def test_one_gaussian_has_the_weighted_moments(points):
    weights = np.r_[np.ones(3000), np.zeros(1000)]
    fitted = fit_mixture(points, weights, 1)
    np.testing.assert_allclose(fitted.means[0], points[:3000].mean(axis=0))
    moments = np.cov(points[:3000].T, bias=True) + LEAST_VARIANCE * np.eye(2)
    np.testing.assert_allclose(fitted.covariances[0], moments, rtol=1e-6)


def test_two_clouds_are_told_apart(points):
    fitted = fit_mixture(points, np.ones(len(points)), 2)
    order = np.argsort(fitted.weights)
    np.testing.assert_allclose(fitted.weights[order], [0.25, 0.75], atol=0.02)
    np.testing.assert_allclose(fitted.means[order], [(9, 4), (0, 0)], atol=0.3)
    shares = fitted.shares(quadratic_features(points))
    assert shares[:3000, order[1]].mean() > 0.97


def test_the_log_density_is_that_of_the_formula(points):
    fitted = fit_mixture(points, np.ones(len(points)), 2)
    density = np.zeros(len(points))
    for weight, mean, covariance in zip(
        fitted.weights, fitted.means, fitted.covariances, strict=True
    ):
        away = points - mean
        distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
        norm = 2 * np.pi * np.sqrt(np.linalg.det(covariance))
        density += weight * np.exp(-distance / 2) / norm
    np.testing.assert_allclose(
        fitted.log_density(quadratic_features(points)), np.log(density), rtol=1e-6
    )


def test_nothing_is_drawn_and_a_start_is_taken(points):
    one, two = (fit_mixture(part, np.ones(len(part)), 3) for part in (points, points[::-1][:-1]))
    np.testing.assert_allclose(one.means, two.means, atol=0.02)
    again = fit_mixture(points, np.ones(len(points)), 3, start=one)
    features = quadratic_features(points)
    assert again.log_density(features).mean() == pytest.approx(
        one.log_density(features).mean(), abs=1e-3
    )


def test_equal_points_are_one_place():
    fitted = fit_mixture(np.ones((50, 3)), np.ones(50), 4)
    assert np.isfinite(fitted.log_density(quadratic_features(np.zeros((2, 3))))).all()
