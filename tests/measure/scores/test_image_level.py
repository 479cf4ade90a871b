from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.measure import auc
from napari_gliocam.measure.scores.image_level import SliceCalls, call_slices, image_level, pool


def calls(present, called=None, probability=None):
    present = np.array(present, dtype=bool)
    called = present if called is None else np.array(called, dtype=bool)
    return SliceCalls(present, called, None if probability is None else np.array(probability))


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_auc_counts_pairs(slices):
    scores, present = (np.array(column) for column in zip(*slices, strict=True))
    pairs = list(product(scores[present], scores[~present]))
    found = auc(scores, present)
    if not pairs:
        assert found is None
    else:
        assert found == pytest.approx(np.mean([(p > n) + 0.5 * (p == n) for p, n in pairs]))


def test_figures_by_hand():
    figures = image_level(
        calls([1, 1, 1, 0, 0], called=[1, 0, 1, 0, 1], probability=[0.9, 0.2, 0.8, 0.1, 0.7])
    )
    assert figures.sensitivity == pytest.approx(2 / 3)
    assert figures.specificity == 0.5
    assert figures.accuracy == 0.6
    assert figures.auc == pytest.approx(5 / 6)
    assert (figures.positive, figures.negative) == (3, 2)
    assert figures.undefined == {}


@pytest.mark.parametrize(
    ("slices", "missing"),
    [
        (calls([1, 1], probability=[0.1, 0.2]), {"auc", "specificity"}),
        (calls([0, 0], probability=[0.1, 0.2]), {"auc", "sensitivity"}),
        (calls([], probability=[]), {"auc", "sensitivity", "specificity", "accuracy"}),
        (calls([0, 1]), {"auc"}),
        (calls([0, 1], probability=[0.1, np.nan]), {"auc"}),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(slices, missing):
    figures = image_level(slices)
    none = {
        name
        for name in ("auc", "sensitivity", "specificity", "accuracy")
        if getattr(figures, name) is None
    }
    assert none == missing == set(figures.undefined)
    assert all(figures.undefined.values())


@pytest.fixture
def volume():
    """Five slices: 0, 1, 3 and 9 pixels of the expert, and one of air."""
    expert = np.zeros((5, 4, 4), dtype=bool)
    expert[1, 0, 0] = True
    expert[2, 0, :3] = True
    expert[3, :3, :3] = True
    brain = np.ones_like(expert)
    brain[4] = False
    return expert, brain


def test_slices_of_air_and_slices_in_doubt_are_left_out(volume):
    expert, brain = volume
    probability = np.array([0.1, 0.9, 0.5, 0.49, 0.9])
    found = call_slices(expert, expert, probability=probability, brain=brain, min_pixels=3)
    assert found.present.tolist() == [False, True, True]
    assert found.called.tolist() == [False, True, False]
    assert found.probability.tolist() == [0.1, 0.5, 0.49]
    assert found.left_out == 1


def test_without_probabilities_the_labels_call(volume):
    expert, brain = volume
    labels = np.zeros_like(expert)
    labels[3, 2, 2] = True
    found = call_slices(labels, expert, brain=brain)
    assert found.called.tolist() == [False, False, False, True]
    assert found.probability is None
    assert len(call_slices(labels, expert).called) == 5


def test_slices_of_several_cases_in_one_heap():
    one = SliceCalls(np.array([True]), np.array([False]), np.array([0.3]), left_out=1)
    other = SliceCalls(np.array([False]), np.array([False]), np.array([0.1]), left_out=2)
    both = pool([one, other])
    assert both.left_out == 3
    assert image_level(both).auc == 1
    assert pool([one, calls([True])]).probability is None
