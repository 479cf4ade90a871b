import numpy as np
import pytest

from napari_gliocam.measure import brain_depth
from napari_gliocam.measure.scores.surface import surface


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.9, 1.2)])
def test_depth_is_the_distance_to_the_nearest_voxel_of_the_surface(spacing):
    grids = np.ogrid[:12, :20, :22]
    brain = (
        sum(((g - c) / r) ** 2 for g, c, r in zip(grids, (6, 10, 11), (5, 8, 9), strict=True)) < 1
    )
    depth = brain_depth(brain, spacing)
    rim = np.argwhere(surface(brain)) * spacing
    for voxel in np.argwhere(brain)[::7]:
        nearest = np.linalg.norm(rim - voxel * np.array(spacing), axis=1).min()
        assert depth[tuple(voxel)] == pytest.approx(nearest, abs=1e-4)
    assert not depth[~brain].any()


def test_a_hole_inside_is_no_surface():
    brain = np.zeros((15, 15, 15), dtype=bool)
    brain[1:-1, 1:-1, 1:-1] = True
    whole = brain_depth(brain, (1, 1, 1))
    brain[7, 7, 7] = False
    np.testing.assert_array_equal(brain_depth(brain, (1, 1, 1)), whole)
    assert whole[7, 7, 7] == 6


def test_where_the_image_cuts_the_brain_is_no_surface():
    brain = np.zeros((4, 11, 11), dtype=bool)
    brain[:, 2:9, 2:9] = True
    np.testing.assert_array_equal(brain_depth(brain, (1, 1, 1))[:, 5, 5], 3)


@pytest.mark.parametrize("value", [True, False])
def test_without_air_or_without_a_brain_nobody_knows(value):
    assert brain_depth(np.full((3, 4, 5), value), (1, 1, 1)) is None
