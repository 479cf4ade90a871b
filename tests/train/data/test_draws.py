from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.draws import make_draws
from napari_gliocam.train.recipe.maps import Sampling

from ..conftest import blob_slices

SAMPLING = Sampling(real=0.5, core=0.5, edema=0.25, steps=400)


@pytest.fixture(scope="module")
def mixed():
    """Four patients of ten slices, and twenty synthetic slices."""
    made = blob_slices(60, a_case=10, seed=3)
    case = np.where(made.case < 4, made.case, -1)
    return replace(made, case=case, names=("a", "b", "c", "d"))


def drawn(slices, sampling, seed=0, batch=8):
    rows = np.arange(len(slices))
    draws = make_draws(slices, rows, sampling)
    return np.stack(draws.batches(batch, [seed]))


def test_half_of_each_batch_is_real_and_kinds_have_their_share(mixed):
    batches = drawn(mixed, SAMPLING)
    assert batches.shape == (400, 8)
    synthetic = mixed.case[batches] < 0
    assert (synthetic.sum(axis=1) == 4).all()
    real = batches[~synthetic]
    core = mixed.labels[real, 1] > 0
    assert core.mean() == pytest.approx(0.5, abs=0.05)
    assert (~core & (mixed.labels[real, 2] > 0)).mean() == pytest.approx(0.25, abs=0.05)
    counts = np.bincount(mixed.case[real])
    assert counts == pytest.approx(np.full(4, 400), rel=0.2)


def test_a_patient_comes_as_often_as_asked(mixed):
    batches = drawn(mixed, replace(SAMPLING, often={"c": 3.0}))
    counts = np.bincount(mixed.case[batches][mixed.case[batches] >= 0])
    assert counts[2] / counts[[0, 1, 3]].mean() == pytest.approx(3, rel=0.2)
    with pytest.raises(TrainingError, match=r"names nobody, which is not among the cases"):
        drawn(mixed, replace(SAMPLING, often={"nobody": 2.0}))


def test_draws_are_the_same_by_seed_and_others_each_epoch(mixed):
    again = drawn(mixed, SAMPLING, seed=0)
    np.testing.assert_array_equal(again, drawn(mixed, SAMPLING, seed=0))
    assert (again != drawn(mixed, SAMPLING, seed=1)).any()


def test_one_kind_alone_fills_the_batch(mixed):
    real = np.flatnonzero(mixed.case >= 0)
    for rows, shown in ((real, True), (np.flatnonzero(mixed.case < 0), False)):
        draws = make_draws(mixed, rows, SAMPLING)
        places = np.stack(draws.batches(8, [0]))
        assert ((mixed.case[rows[places]] >= 0) == shown).all()
    both = make_draws(mixed, np.arange(60), SAMPLING)
    places = np.stack(both.real_alone().batches(8, [0]))
    assert (mixed.case[places] >= 0).all()


def test_without_a_share_nothing_is_drawn(mixed):
    assert make_draws(mixed, np.arange(60), Sampling()) is None
