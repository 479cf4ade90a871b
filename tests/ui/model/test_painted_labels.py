"""Strokes over labels: what is painted, undone, carried to other labels, kept out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gliocam.ui.model.painted_labels import PaintedLabels

SHAPE = (3, 4, 5)
LABELS = arrays(np.uint8, SHAPE, elements=st.integers(0, 3))


@given(LABELS, LABELS, LABELS)
def test_strokes_lie_over_every_base(first: np.ndarray, painted: np.ndarray, second: np.ndarray):
    shown = PaintedLabels(first)
    shown.labels[...] = painted
    assert shown.take_strokes(first, (1, 2, 3)) == ()
    touched = painted != first
    assert shown.painted == np.count_nonzero(touched)
    shown.follow(second)
    np.testing.assert_array_equal(shown.labels, np.where(touched, painted, second))
    shown.discard(second)
    np.testing.assert_array_equal(shown.labels, second)
    assert shown.painted == 0


def test_undone_strokes_are_none():
    base = np.zeros(SHAPE, np.uint8)
    shown = PaintedLabels(base)
    shown.labels[1, 2] = 1
    shown.take_strokes(base)
    assert shown.painted == 5
    shown.labels[1, 2, :3] = 0
    shown.take_strokes(base)
    assert shown.painted == 2
    shown.labels[1, 2] = 0
    shown.take_strokes(base)
    assert shown.strokes is None


@pytest.mark.parametrize(("value", "known"), [(4, (1, 2, 3)), (255, (1, 2)), (3, (1, 2))])
def test_a_value_that_is_no_class_is_taken_back(value: int, known: tuple[int, ...]):
    base = np.full(SHAPE, 2, np.uint8)
    shown = PaintedLabels(base)
    shown.labels[0, 0] = 1
    shown.labels[2, 1:3] = value
    assert shown.take_strokes(base, known) == (value,)
    expected = base.copy()
    expected[0, 0] = 1
    np.testing.assert_array_equal(shown.labels, expected)
    np.testing.assert_array_equal(shown.over(base), expected)


def test_a_part_follows():
    base = np.zeros(SHAPE, np.uint8)
    shown = PaintedLabels(base)
    shown.labels[1, 0, 0] = 1
    shown.take_strokes(base)
    other = np.full(SHAPE, 2, np.uint8)
    shown.follow(other, (slice(1, 2),))
    assert shown.labels[1, 0, 0] == 1
    assert (shown.labels[1].ravel()[1:] == 2).all()
    assert not shown.labels[[0, 2]].any()
