import numpy as np
import pytest

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.nets.segmenters.neighbours import with_neighbours


def ramp(count):
    """Slices whose two channels hold the number of the slice, and ten times that."""
    images = np.zeros((count, 2, 3, 4), dtype=np.float32)
    images[:, 0] = np.arange(count)[:, None, None]
    images[:, 1] = 10 * images[:, 0]
    return images


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_neighbours_lie_at_the_same_distance_whatever_the_spacing(spacing):
    design = SegmenterDesign(neighbours=1, neighbour_mm=2.0)
    images = with_neighbours(ramp(21), spacing, design)
    assert images.shape == (21, 6, 3, 4)
    below, itself, above = images[10, ::2, 0, 0]
    wanted = [10 - 2 / spacing, 10, 10 + 2 / spacing]
    np.testing.assert_allclose([below, itself, above], wanted, rtol=1e-4)
    np.testing.assert_allclose(images[10, 1::2, 0, 0], 10 * images[10, ::2, 0, 0], rtol=1e-4)


def test_beyond_the_ends_the_last_slice_stands_in():
    images = with_neighbours(ramp(3), 2.0, SegmenterDesign(neighbours=2, neighbour_mm=2.0))
    assert images[0, ::2, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert images[2, ::2, 0, 0].tolist() == [0, 1, 2, 2, 2]


def test_without_neighbours_slices_stay_as_they_are():
    images = ramp(3)
    assert with_neighbours(images, 1.0, SegmenterDesign()) is images
