"""AUPRC, mass and rank accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.targets import mask_of
from napari_gliocam.trust.localisation import average_precision, localise, rank_accuracy

from .conftest import SLICES


def test_average_precision_by_hand():
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), truth) == pytest.approx(1 / 2 + 1 / 3)
    assert average_precision(np.array([4.0, 1, 3, 1]), truth) == 1
    assert average_precision(np.zeros(4), truth) == 0.5  # all come in together


def test_ties_do_not_depend_on_their_order():
    rng = np.random.default_rng(0)
    values, truth = rng.integers(0, 5, 300) / 4, rng.random(300) < 0.2
    order = rng.permutation(300)
    for figure in (average_precision, rank_accuracy):
        assert figure(values, truth) == pytest.approx(figure(values[order], truth[order]))


def test_rank_accuracy_by_hand():
    truth = np.array([True, True, False, False, False])
    assert rank_accuracy(np.array([5.0, 1, 4, 2, 3]), truth) == 0.5
    assert rank_accuracy(np.array([5.0, 1, 1, 1, 0]), truth) == pytest.approx((1 + 1 / 3) / 2)


def test_a_map_of_the_outline_itself_is_perfect(case, maps_of):
    truth = mask_of(case.expert.labels, "core").astype(np.float32)
    found = localise(replace(maps_of("guided"), core=truth, asked=None), case, "core").figures()
    assert found["auprc"] == found["mass-accuracy"] == found["rank-accuracy"] == 1
    assert found["prevalence"] == pytest.approx(truth.sum() / case.brain.sum())


def test_the_reason_is_said_where_there_is_nothing_to_compare_with(case, maps_of):
    maps = maps_of("guided")
    assert set(localise(maps, case, "edema").figures()) >= {"auprc", "mass-accuracy"}
    assert maps.asked == SLICES
    assert "no outline" in localise(maps, replace(case, expert=None), "core").reason()
    nothing = np.zeros(case.grid.shape[0], bool)
    assert "shows no core" in localise(maps, case, "core", nothing).reason()
    empty = replace(maps, core=np.zeros_like(maps.core), asked=None)
    assert "map is empty" in localise(empty, case, "core").reason()
