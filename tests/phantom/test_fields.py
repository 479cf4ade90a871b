import numpy as np
import pytest
import torch

from napari_gliocam.phantom.fields import Fields, SliceGrid, blur, soft_step


def make_fields(seed=0, n=24):
    return Fields(SliceGrid(np.arange(n) * 1.5, (48, 40)), np.random.default_rng(seed))


@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0, 15.0])
def test_fields_have_unit_variance_at_any_scale(scale):
    values = torch.stack([make_fields(seed).smooth(scale) for seed in range(60)])
    assert values.shape[1:] == (24, 48, 40)
    assert float(values.std()) == pytest.approx(1.0, abs=0.12)
    assert abs(float(values.mean())) < 0.1


def test_a_longer_scale_is_smoother():
    def roughness(scale):
        field = make_fields().smooth(scale)
        return float((field[:, 1:] - field[:, :-1]).square().mean())

    assert roughness(2.0) > roughness(5.0) > roughness(15.0)


def test_fields_repeat_by_seed():
    torch.testing.assert_close(make_fields(5).fractal(6.0), make_fields(5).fractal(6.0))


def test_blur_keeps_a_constant_and_soft_step_its_bounds():
    torch.testing.assert_close(blur(torch.ones(2, 20, 20), 1.0)[:, 6:14, 6:14], torch.ones(2, 8, 8))
    assert float(soft_step(torch.tensor(-1e9))) < 1e-12
    assert float(soft_step(torch.tensor(1e9))) == 1.0


def correlation(scale, z, seeds=400):
    """Of two slices, over many small fields."""
    pairs = []
    for seed in range(seeds):
        grid = SliceGrid(z, (6, 6), (4.0, 4.0))
        field = Fields(grid, np.random.default_rng(seed)).smooth(scale)
        pairs.append(torch.stack([field[0], field[-1]]).flatten(1))
    return float(torch.corrcoef(torch.cat(pairs, dim=1))[0, 1])


@pytest.mark.parametrize("distance", [2.0, 5.0])
def test_few_slices_hang_together_as_many_do(distance):
    few = np.array([0.0, distance])
    # Enough slices in between that the lattice is drawn instead of one plane a slice.
    many = np.linspace(0.0, distance, 40)
    expected = np.exp(-((distance / (2 * 0.7 * 5.0)) ** 2))
    assert correlation(5.0, few) == pytest.approx(expected, abs=0.08)
    assert correlation(5.0, many) == pytest.approx(expected, abs=0.12)


def test_two_slices_at_the_same_place_are_the_same():
    grid = SliceGrid(np.array([3.0, 3.0, 50.0]), (20, 20))
    field = Fields(grid, np.random.default_rng(0)).smooth(6.0)
    torch.testing.assert_close(field[0], field[1], atol=0.01, rtol=0)
    assert float((field[0] - field[2]).abs().mean()) > 0.3


def test_places_are_drawn_by_weight():
    weight = torch.zeros(3, 4, 5)
    weight[1, 2, 3], weight[2, 0, 0] = 3.0, 1.0
    drawn = make_fields().places(weight, 400)
    assert set(drawn) == {(1, 2, 3), (2, 0, 0)}
    assert drawn.count((1, 2, 3)) == pytest.approx(300, abs=40)
    assert make_fields().places(torch.zeros(3, 4, 5), 4) == []
