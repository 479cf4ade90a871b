import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.case import Grid
from napari_gliocam.errors import GliocamError
from napari_gliocam.io import read_case
from napari_gliocam.measure import FIGURES, brain_depth, measure_labels
from napari_gliocam.measure.lesion.lesions import find_lesions

SHAPE = (8, 20, 18)


def make_grid(shape=SHAPE, spacing=(2.0, 1.0, 0.5)):
    return Grid(np.diag([-spacing[2], -spacing[1], spacing[0], 1.0]), shape[::-1])


def numbers_in(value):
    """Every number in nested plain values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [n for item in value for n in numbers_in(item)]
    return [value] if isinstance(value, int | float) else []


def two_lesions():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2:5, 3:9, 3:9] = 2
    labels[3, 5:7, 4:8] = 1
    labels[3, 5, 4] = 3
    labels[6, 14:16, 12:15] = 1
    labels[0, 18, 16] = 2
    return labels


def test_volumes_are_voxels_times_spacing():
    found = measure_labels(two_lesions(), make_grid(), min_ml=0.002)
    case, (first, second) = found.case, found.lesions
    assert first.tumour.ml == 108 * 0.001
    assert first.core.ml == 8 * 0.001
    assert first.edema_ml == 101 * 0.001  # the voxel of both counts in each
    assert (second.tumour.ml, second.core.ml, second.edema_ml) == (0.006, 0.006, 0)
    assert case.tumour.ml == pytest.approx(115 * 0.001, abs=1e-15)
    assert (found.small, found.small_ml) == (1, 0.001)
    assert found.sentences[0] == ("2 lesions, and 1 part smaller than 0.002 ml (0.001 ml).")


def test_where_lesions_are():
    found = measure_labels(two_lesions(), make_grid(), min_ml=0)
    first, second, third = found.lesions
    assert [m.number for m in (found.case, first, second, third)] == [0, 1, 2, 3]
    assert (first.first_slice, first.last_slice, second.largest_slice) == (2, 4, 6)
    assert (found.case.first_slice, found.case.last_slice) == (0, 6)
    assert (first.at_border, third.at_border, found.case.at_border) == (False, True, True)
    assert first.core.diameters.slice == 3
    assert found.case.tumour.diameters == first.tumour.diameters
    assert first.core.diameters.long_mm == pytest.approx(math.hypot(2, 1.5))


def test_the_diameters_of_the_case_are_those_of_the_largest_product():
    labels = np.zeros((3, 40, 40), dtype=np.uint8)
    labels[1, 2:12, 2:12] = 1
    labels[1, 30:32, 2:38] = 1  # longer, and thin
    found = measure_labels(labels, make_grid(labels.shape, (1, 1, 1)), min_ml=0)
    broad, thin = found.lesions
    assert thin.tumour.diameters.long_mm > broad.tumour.diameters.long_mm
    assert found.case.tumour.diameters == broad.tumour.diameters
    assert found.case.core.diameters == broad.core.diameters


def test_the_depth_of_the_core():
    brain = np.zeros(SHAPE, dtype=bool)
    brain[1:-1, 1:-1, 1:-1] = True
    grid = make_grid()
    found = measure_labels(two_lesions(), grid, depth=brain_depth(brain, grid.spacing), min_ml=0)
    first, second, third = found.lesions
    assert first.core_depth_mm == 1.5  # three columns of 0.5 mm
    assert second.core_depth_mm == 0
    assert third.core_depth_mm is None  # it has no core
    assert found.case.core_depth_mm == 0
    assert measure_labels(two_lesions(), grid).case.core_depth_mm is None


def test_corners_join_lesions():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2, 3, 4] = labels[3, 4, 5] = 1
    assert len(measure_labels(labels, make_grid(), min_ml=0).lesions) == 1


def test_nothing_is_0_and_says_so():
    found = measure_labels(np.zeros(SHAPE, dtype=np.uint8), make_grid())
    assert found.sentences == ("No lesion found.",)
    assert (found.lesions, found.rows) == ((), (found.case,))
    values = {figure.key: figure.of(found.case) for figure in FIGURES}
    assert values.pop("core_depth_mm") is None
    assert set(values.values()) == {0}


def test_small_parts_alone_are_no_lesion_but_count():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[4, 10, 9] = 1
    found = measure_labels(labels, make_grid())
    assert found.lesions == ()
    assert found.case.core.ml == 0.001
    assert found.case.tumour.diameters.long_mm == 1
    assert found.sentences[0].startswith("No lesion found; 1 part smaller than 0.1 ml")


def test_one_slice_and_one_voxel():
    labels = np.ones((1, 1, 1), dtype=np.uint8)
    found = measure_labels(labels, make_grid((1, 1, 1)), min_ml=0)
    assert found.case.core.ml == 0.001
    assert not found.case.at_border  # there is nothing else in this image
    flat = np.zeros((1, 20, 18), dtype=np.uint8)
    flat[0, 5:9, 5:9] = 2
    assert measure_labels(flat, make_grid((1, 20, 18)), min_ml=0).case.edema_ml == 0.016


def test_a_value_that_is_no_class_is_left_out_and_told():
    labels = two_lesions().astype(np.int16)
    expected = measure_labels(labels, make_grid())
    labels[7, 1, 1], labels[7, 19, 17] = 7, -1
    found = measure_labels(labels, make_grid())
    assert found.strange == (-1, 7)
    assert "-1, 7" in found.sentences[-1]
    assert found.case == expected.case


def test_painting_changes_the_measures_and_undoing_brings_them_back():
    labels = two_lesions()
    before = measure_labels(labels, make_grid())
    labels[5, 10, 10] = 1
    assert measure_labels(labels, make_grid()).case.core.ml == before.case.core.ml + 0.001
    labels[5, 10, 10] = 0
    assert measure_labels(labels, make_grid()) == before


def test_what_does_not_fit_is_refused():
    with pytest.raises(GliocamError, match="8 × 20 × 18 voxels and the case 4 × 20 × 18"):
        measure_labels(two_lesions(), make_grid((4, 20, 18)))
    with pytest.raises(GliocamError, match="choose 0 or more"):
        measure_labels(two_lesions(), make_grid(), min_ml=-1)
    with pytest.raises(GliocamError, match="choose 0 or more"):
        measure_labels(two_lesions(), make_grid(), min_ml=float("nan"))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.002, 0.05, 0.3, 0.9]), st.sampled_from([0, 0.01]))
def test_any_labels_give_finite_numbers_that_add_up(seed, density, min_ml):
    rng = np.random.default_rng(seed)
    labels = (rng.integers(1, 4, SHAPE) * (rng.random(SHAPE) < density)).astype(np.uint8)
    grid = make_grid()
    depth = rng.random(SHAPE).astype(np.float32)
    found = measure_labels(labels, grid, depth=depth, min_ml=min_ml)
    assert all(math.isfinite(n) for n in numbers_in(asdict(found)))
    assert all((figure.of(row) or 0) >= 0 for figure in FIGURES for row in found.rows)
    assert found.case.tumour.ml == np.count_nonzero(labels) * grid.voxel_ml
    assert found.case.core.ml == np.isin(labels, (1, 3)).sum() * grid.voxel_ml
    parts = sum(m.tumour.ml for m in found.lesions) + found.small_ml
    assert parts == pytest.approx(found.case.tumour.ml)
    sizes = [m.tumour.ml for m in found.lesions]
    assert sizes == sorted(sizes, reverse=True)
    if found.lesions:
        largest = max(m.tumour.diameters.product_mm2 for m in found.lesions)
        assert found.case.tumour.diameters.product_mm2 >= largest
    for row in found.lesions:
        assert row.tumour.diameters.long_mm >= row.core.diameters.long_mm
    for row in found.rows:
        assert row.tumour.sphericity <= 1
        assert all("nan" not in figure.text(row) for figure in FIGURES)


def test_lesions_can_be_shown_on_the_case():
    labels = two_lesions()
    found = find_lesions(labels, min_ml=0.002)
    numbers = found.case_numbers(SHAPE)
    assert (numbers[3, 5, 5], numbers[6, 14, 12], numbers[0, 18, 16]) == (1, 2, 0)
    assert find_lesions(np.zeros(SHAPE, dtype=bool)) is None


def test_a_real_case(shared_cases):
    case = read_case(shared_cases / "BraTS2021_01481")
    depth = brain_depth(case.brain, case.grid.spacing)
    found = measure_labels(case.expert.labels, case.grid, depth=depth)
    assert found.case.tumour.ml == pytest.approx(np.count_nonzero(case.expert.labels) / 1000)
    assert len(found.lesions) == 1
    # A ball of this volume would be 48 mm wide.
    assert 48 < found.case.tumour.diameters.long_mm < 90
    assert 0 < found.case.core_depth_mm < 40
