import math

import numpy as np
import pytest

from napari_gliocam.measure import sphericity, surface_mm2
from napari_gliocam.measure.lesion.shape import surfaces_mm2


def ball(radius, spacing, extra=3):
    half = [math.ceil(radius / mm) + extra for mm in spacing]
    grids = np.ogrid[tuple(slice(-h, h + 1) for h in half)]
    return sum((g * mm) ** 2 for g, mm in zip(grids, spacing, strict=True)) <= radius**2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (3.0, 0.7, 0.9)])
@pytest.mark.parametrize("radius", [10.0, 20.0])
def test_the_surface_of_a_ball(radius, spacing):
    mask = ball(radius, spacing)
    surface = surface_mm2(mask, spacing)
    assert surface == pytest.approx(4 * math.pi * radius**2, rel=0.03)
    assert sphericity(mask.sum() * math.prod(spacing), surface) > 0.96


def test_the_surface_of_a_box_within_a_tenth():
    mask = np.ones((20, 30, 40), dtype=bool)
    expected = 2 * (20 * 30 + 30 * 40 + 20 * 40)
    assert surface_mm2(mask, (1, 1, 1)) == pytest.approx(expected, rel=0.1)
    cube = np.ones((30, 30, 30), dtype=bool)
    assert sphericity(27_000, surface_mm2(cube, (1, 1, 1))) == pytest.approx(0.806, abs=0.09)


def test_a_stick_is_no_ball():
    stick = np.ones((1, 2, 60), dtype=bool)
    assert sphericity(120, surface_mm2(stick, (1, 1, 1))) < 0.6


def test_nothing_and_one_voxel():
    nothing = np.zeros((3, 3, 3), dtype=bool)
    assert surface_mm2(nothing, (1, 1, 1)) == 0
    assert sphericity(0, 0) == 0
    one = np.ones((1, 1, 1), dtype=bool)
    assert 0 < sphericity(1, surface_mm2(one, (1, 1, 1))) <= 1


def test_surfaces_of_lesions_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    lesions = np.zeros((12, 14, 30), dtype=np.int32)
    lesions[:, :, :14] = rng.random((12, 14, 14)) < 0.5
    lesions[:, :, 16:] = 2 * (rng.random((12, 14, 14)) < 0.8)
    spacing = (2.0, 1.0, 0.5)
    found = surfaces_mm2(lesions > 0, lesions, 2, spacing)
    alone = [surface_mm2(lesions == number, spacing) for number in (1, 2)]
    np.testing.assert_allclose(found, [0, *alone])
    assert surface_mm2(lesions > 0, spacing) == pytest.approx(sum(alone))
