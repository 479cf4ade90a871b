from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.boundary_fit import fit_labels, fit_mask
from napari_gliocam.refine.clusters import connected
from napari_gliocam.refine.parameters import FitParameters
from napari_gliocam.targets import CORE, EDEMA

shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
PAPER = FitParameters(min_inside=1.0)


def flood_fill(mask: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The paper's words: from every negative pixel, its whole connected cluster turns negative."""
    left = mask.copy()
    for number in np.unique(clusters):
        pieces, count = ndimage.label(clusters == number)
        for piece in range(1, count + 1):
            if (~mask[pieces == piece]).any():
                left[pieces == piece] = False
    return left


@given(data=st.data(), shape=shapes)
def test_counting_is_the_flood_fill_of_the_paper(data, shape):
    image = data.draw(arrays(np.int32, shape, elements=st.integers(0, 2)))
    mask = data.draw(arrays(np.bool_, shape))
    clusters = connected(image, np.ones(shape, dtype=bool))
    np.testing.assert_array_equal(fit_mask(mask, clusters, 1.0), flood_fill(mask, image))


@given(data=st.data(), shape=shapes, least=st.floats(0.05, 1))
def test_a_cluster_stays_whole_or_goes(data, shape, least):
    clusters = data.draw(arrays(np.int32, shape, elements=st.integers(0, 5)))
    mask = data.draw(arrays(np.bool_, shape))
    fitted = fit_mask(mask, clusters, least)
    assert not fitted[clusters == 0].any()
    for number in np.unique(clusters[clusters > 0]):
        inside = mask[clusters == number].mean()
        assert fitted[clusters == number].all() == (inside >= least and inside > 0)
    strict = fit_mask(mask, clusters, 1.0)
    assert not (strict & ~mask).any()
    assert not (strict & ~fitted).any()


@given(data=st.data(), shape=shapes, classes=st.sampled_from(["by cluster", "as they are"]))
def test_labels_never_leave_the_tumour_and_classes_stay_exclusive(data, shape, classes):
    labels = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 2)))
    clusters = data.draw(arrays(np.int32, shape, elements=st.integers(0, 4)))
    fitted = fit_labels(labels, clusters, FitParameters(1.0, classes))
    assert not ((fitted > 0) & (labels == 0)).any()
    assert set(np.unique(fitted)) <= {0, CORE, EDEMA}
    if classes == "as they are":
        np.testing.assert_array_equal(fitted[fitted > 0], labels[fitted > 0])
    for number in np.unique(clusters):
        assert len(np.unique(fitted[clusters == number])) == 1 or classes == "as they are"


def test_a_cluster_is_the_class_of_most_of_its_pixels():
    clusters = np.repeat(np.array([[1, 2, 3]], dtype=np.int32), 4, axis=0)
    labels = np.array([[1, 2, 1], [1, 2, 2], [1, 1, 2], [2, 2, 0]], dtype=np.uint8)
    fitted = fit_labels(labels, clusters, PAPER)
    np.testing.assert_array_equal(fitted, np.tile([CORE, EDEMA, 0], (4, 1)))
    grown = fit_labels(labels, clusters, FitParameters(min_inside=0.75))
    np.testing.assert_array_equal(grown, np.tile([CORE, EDEMA, EDEMA], (4, 1)))


@pytest.mark.parametrize("mask", [np.zeros((3, 3), bool), np.ones((3, 3), bool)])
def test_nothing_and_everything_stay(mask: np.ndarray):
    np.testing.assert_array_equal(fit_mask(mask, np.ones((3, 3), np.int32), 1.0), mask)


def test_a_parameter_out_of_range_is_refused_by_name():
    for value in (0, -1, 1.01, float("nan")):
        with pytest.raises(GliocamError, match="min inside"):
            FitParameters(min_inside=value)
    with pytest.raises(GliocamError, match="classes"):
        FitParameters(classes="both")  # type: ignore[arg-type]
