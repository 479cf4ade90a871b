"""Reliability and temperature."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gliocam.trust.calibration import (
    MapCounts,
    at_temperature,
    fit_temperature,
    reliability,
)


def drawn(temperature: float, seed: int = 0):
    """Map values, and truths that happen as often as the values say at a temperature."""
    rng = np.random.default_rng(seed)
    values = rng.random(200_000)
    return MapCounts.of(values, rng.random(values.shape) < at_temperature(values, temperature))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_used_is_found(temperature):
    counts = drawn(temperature)
    found = fit_temperature(counts)
    assert found == pytest.approx(temperature, rel=0.03)
    assert reliability(counts, found).ece < 0.01
    if temperature != 1:
        assert reliability(counts).ece > 0.05


def test_a_temperature_moves_no_value_across_one_half():
    values = np.array([0, 0.2, 0.5, 0.7, 1])
    for temperature in (0.3, 3.0):
        moved = at_temperature(values, temperature)
        assert np.array_equal(moved > 0.5, values > 0.5)
        assert moved[[0, 2, 4]].tolist() == [0, 0.5, 1]


def test_counts_of_cases_add_up():
    a, b = drawn(1, 0), drawn(1, 1)
    both = a + b
    assert both.voxels.sum() == 400_000
    assert both.lesion.sum() == a.lesion.sum() + b.lesion.sum()


def test_reliability_by_hand():
    values = np.array([0.05, 0.05, 0.95, 0.95])
    counts = MapCounts.of(values, np.array([False, True, True, True]))
    found = reliability(counts, bins=2)
    assert found.voxels.tolist() == [2, 2]
    assert found.found.tolist() == [0.5, 1.0]
    assert found.ece == pytest.approx((0.45 + 0.05) / 2, abs=1e-3)
    assert reliability(counts, bins=2, above=0.5).voxels.sum() == 2


def test_nothing_to_measure_divides_by_nothing():
    none = MapCounts.of(np.zeros(0), np.zeros(0, bool))
    assert reliability(none).ece == 0
    assert fit_temperature(none) == 1
    healthy = MapCounts.of(np.full(5, 0.3), np.zeros(5, bool))
    assert fit_temperature(healthy) == 1
