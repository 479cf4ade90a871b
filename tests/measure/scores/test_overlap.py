import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.measure import dice, iou, score


def test_dice_by_hand():
    a = np.array([True, True, False, False])
    assert dice(a, np.array([True, False, True, False])) == 0.5
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert dice(~a & a, ~a & a) == 1.0


def test_iou_by_hand():
    a = np.array([True, True, False, False])
    assert iou(a, np.array([True, False, True, False])) == 1 / 3
    assert iou(a, a) == 1.0
    assert iou(a, ~a) == 0.0
    assert iou(~a & a, ~a & a) == 1.0


@given(st.integers(0, 1000))
def test_dice_is_symmetric_and_in_range(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 50)) < rng.random()
    assert dice(a, b) == dice(b, a)
    assert 0 <= dice(a, b) <= 1


def test_a_voxel_of_both_counts_in_each_class():
    labels = np.array([0, 1, 2, 3], dtype=np.uint8)
    expert = np.array([0, 1, 2, 1], dtype=np.uint8)
    assert score(labels, expert) == {
        "tumour": 1.0,
        "core": 1.0,
        "edema": pytest.approx(2 / 3),
    }
