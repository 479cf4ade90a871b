import numpy as np
import pytest

from napari_gliocam.measure import summarise
from napari_gliocam.measure.evaluation.summary import IMAGE_LEVEL_POOLED, patients_with


def find(figures, group, target="core", metric="dice", method="gliocam"):
    (figure,) = (
        f
        for f in figures
        if (f.method, f.group, f.target, f.metric) == (method, group, target, metric)
    )
    return figure


def test_mean_and_sd_are_over_patients(make_record):
    figures = summarise([make_record("a", 10), make_record("b", 0), make_record("c", 5)])
    dices = [1, 0, 10 / 15]
    figure = find(figures, "volume")
    assert figure.mean == pytest.approx(np.mean(dices))
    assert figure.sd == pytest.approx(np.std(dices, ddof=1))
    assert figure.n == 3


def test_pooled_figures_are_of_all_voxels(make_record):
    figures = summarise([make_record("a", 4, columns=4), make_record("b", 0, columns=16)])
    pooled = find(figures, "pooled")
    assert pooled.mean == pytest.approx(2 * 4 / (4 + 20))
    assert pooled.sd is None
    assert find(figures, "pooled", metric="iou").mean == pytest.approx(4 / 20)
    assert find(figures, IMAGE_LEVEL_POOLED, metric="accuracy").mean == pytest.approx(3 / 4)


def test_slices_weigh_the_same_in_their_mean(make_record):
    figures = summarise([make_record("a", 10, slices=2), make_record("b", 0, slices=8)])
    every = find(figures, "all-slices")
    assert every.mean == pytest.approx((1 + 7 / 8) / 2)
    assert every.slice_mean == pytest.approx((2 + 7) / 10)
    assert find(figures, "volume").slice_mean is None


def test_one_case_has_no_sd(make_record):
    figure = find(summarise([make_record("a", 5)]), "volume")
    assert figure.sd is None
    assert figure.n == 1


def test_n_is_of_the_patients_who_have_the_figure(make_record):
    records = [make_record("a", 10), make_record("b", 0, columns=0)]
    figures = summarise(records)
    assert find(figures, "present-slices").n == 1
    assert find(figures, "present-slices").mean == 1
    assert find(figures, "volume").n == 2
    assert find(figures, "present-slices", "edema").n == 0
    assert find(figures, "present-slices", "edema").mean is None
    assert find(figures, "pooled", "edema").mean is None
    assert patients_with(records, "core") == 1


def test_methods_are_kept_apart_in_order(make_record):
    records = [make_record("a", 1, "x"), make_record("a", 2, "y"), make_record("b", 3, "x")]
    figures = summarise(records)
    assert list(dict.fromkeys(f.method for f in figures)) == ["x", "y"]
    assert find(figures, "volume", method="x").n == 2
    assert summarise([]) == []
