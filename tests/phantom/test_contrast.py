import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.phantom.anatomy import Tissue
from napari_gliocam.phantom.contrast import (
    FLAIR,
    T1,
    T1CE,
    T2,
    draw_contrast,
    random_curve,
    render_tissues,
)
from napari_gliocam.phantom.fields import Fields, SliceGrid


def make_fields(seed=0):
    return Fields(SliceGrid(np.arange(3) * 4.0, (24, 20)), np.random.default_rng(seed))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), strength=st.floats(0, 0.5))
def test_a_random_curve_never_falls(seed, strength):
    ramp = torch.linspace(0, 1.6, 400, dtype=torch.float64)
    curved = random_curve(make_fields(seed), ramp, strength)
    assert torch.isfinite(curved).all()
    assert float(torch.diff(curved).min()) > 0


def test_random_curves_differ():
    ramp = torch.linspace(0, 1, 50)
    ends = torch.stack([random_curve(make_fields(seed), ramp, 0.33)[25] for seed in range(30)])
    assert float(ends.max() - ends.min()) > 0.2


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_the_priors_keep_the_order_of_each_modality(seed):
    contrast = draw_contrast(make_fields(seed))
    assert contrast.white[T1] > contrast.grey[T1] > contrast.csf[T1]
    assert contrast.csf[T2] > contrast.grey[T2] > contrast.white[T2]
    assert contrast.csf[FLAIR] < min(contrast.grey[FLAIR], contrast.white[FLAIR])
    assert contrast.means[T1CE, Tissue.VESSEL] > contrast.white[T1CE] - 0.1


@pytest.mark.parametrize("mix", [0.0, 1.0])
def test_the_mixture_runs_from_priors_to_the_real_contrast(mix):
    fields = make_fields(1)
    fractions = torch.zeros(len(Tissue), *fields.grid.size)
    fractions[Tissue.WHITE] = 1.0
    real = torch.rand(4, *fields.grid.size, generator=torch.Generator().manual_seed(0))
    image = render_tissues(fields, draw_contrast(fields), fractions, real, mix)
    alike = np.corrcoef(image[T2].flatten(), real[T2].flatten())[0, 1]
    assert alike > 0.9 if mix else abs(alike) < 0.3
