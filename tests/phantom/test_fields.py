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
