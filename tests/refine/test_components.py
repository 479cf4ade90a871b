from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.components import clean_components, holes
from napari_gliocam.refine.parameters import ComponentParameters
from napari_gliocam.targets import CORE, EDEMA

KEEP_ALL = ComponentParameters(min_fraction=0, fill_holes=False, fill_core=False)


def parts() -> np.ndarray:
    """Three components of 100, 40 and 10 voxels."""
    labels = np.zeros((6, 20, 20), dtype=np.uint8)
    labels[1, 2:12, 2:12] = EDEMA
    labels[3, 2:10, 2:7] = CORE
    labels[5, 15:17, 10:15] = EDEMA
    return labels


@pytest.mark.parametrize(
    ("fraction", "ml", "expected"),
    [(0, 0, 150), (0.3, 0, 140), (0.5, 0, 100), (1, 0, 100), (1, 0.04, 140), (1, 0.041, 100)],
)
def test_small_components_go(fraction: float, ml: float, expected: int):
    parameters = ComponentParameters(min_fraction=fraction, min_ml=ml)
    cleaned = clean_components(parts(), parameters, voxel_ml=0.001)
    assert (cleaned > 0).sum() == expected
    assert set(np.unique(cleaned[cleaned > 0])) <= {CORE, EDEMA}


def test_voxels_that_touch_by_a_corner_in_space_are_one_component():
    labels = np.zeros((2, 2, 2), dtype=np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = CORE
    cleaned = clean_components(labels, ComponentParameters(min_fraction=1))
    np.testing.assert_array_equal(cleaned, labels)


def test_a_hole_takes_the_class_around_it():
    labels = np.zeros((3, 12, 12), dtype=np.uint8)
    labels[1, 1:11, 1:11] = EDEMA
    labels[1, 3:9, 3:9] = CORE
    labels[1, 5:7, 5:7] = 0  # closed in its slice, open in space
    cleaned = clean_components(labels)
    assert (cleaned[1, 5:7, 5:7] == CORE).all()
    assert (cleaned[[0, 2]] == 0).all()
    still_open = clean_components(labels, KEEP_ALL)
    np.testing.assert_array_equal(still_open, labels)


def test_a_hole_that_is_closed_in_space_alone():
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[1:4, 1:4, 1:4] = True
    mask[2, 2, 2] = False
    assert holes(mask).sum() == 1
    assert holes(mask)[2, 2, 2]


def test_edema_inside_core_is_necrosis():
    labels = np.zeros((1, 12, 12), dtype=np.uint8)
    labels[0, 1:11, 1:11] = EDEMA
    labels[0, 3:9, 3:9] = CORE
    labels[0, 5:7, 5:7] = EDEMA
    cleaned = clean_components(labels)
    assert (cleaned[0, 3:9, 3:9] == CORE).all()
    assert (cleaned == EDEMA).sum() == 64
    left = clean_components(labels, ComponentParameters(fill_core=False))
    np.testing.assert_array_equal(left, labels)


@given(
    labels=arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 3)),
    fraction=st.floats(0, 1),
)
def test_odd_shapes(labels: np.ndarray, fraction: float):
    before = labels.copy()
    cleaned = clean_components(labels, ComponentParameters(min_fraction=fraction))
    np.testing.assert_array_equal(labels, before)
    assert cleaned.dtype == np.uint8
    assert cleaned.any() == labels.any()
    again = clean_components(cleaned, ComponentParameters(min_fraction=fraction))
    assert (again > 0).sum() <= (cleaned > 0).sum()


@pytest.mark.parametrize("wrong", [{"min_fraction": 1.1}, {"min_fraction": -0.1}, {"min_ml": -1}])
def test_a_parameter_out_of_range_is_refused_by_name(wrong: dict[str, float]):
    with pytest.raises(GliocamError, match=next(iter(wrong)).replace("_", " ")):
        ComponentParameters(**wrong)
