import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.phantom.acquisition import (
    Faults,
    acquire,
    coarsen,
    field_of_view,
    move,
    skull_strip_residue,
    thick_slices,
)
from napari_gliocam.phantom.fields import Fields, SliceGrid

NONE = dict.fromkeys(Faults.__dataclass_fields__, 0.0)
SHAPE = (6, 48, 40)


def make_fields(seed=0, z=None):
    z = np.arange(SHAPE[0]) * 4.0 if z is None else z
    return Fields(SliceGrid(z, SHAPE[1:], (3.0, 3.0)), np.random.default_rng(seed))


def head():
    """A disc of two tissues and its depth in mm."""
    _, y, x = make_fields().grid.points
    depth = (54 - torch.sqrt(y**2 + x**2)).expand(SHAPE).contiguous()
    tissue = 0.5 + 0.3 * (torch.sin(x / 4) * torch.sin(y / 4) > 0)
    return (tissue * (depth > 0)).expand(4, *SHAPE).contiguous(), depth


def acquired(seed=0, **switched):
    image, depth = head()
    return acquire(make_fields(seed), image, depth, faults=Faults(**{**NONE, **switched}))


@pytest.mark.parametrize("fault", [name for name in NONE if name != "cropped"])
def test_each_fault_can_be_switched_on_alone(fault):
    plain, faulty = acquired(), acquired(**{fault: 1.0})
    assert torch.isfinite(faulty).all()
    assert not torch.allclose(plain, faulty, atol=0.05)


def test_coarse_values_are_256_at_most():
    image = acquired(coarse=1.0)
    for channel in image:
        assert 2 < len(torch.unique(channel)) <= 256
    assert len(torch.unique(acquired()[0])) > 2000
    assert float(coarsen(torch.tensor([0.5, 9.0]), 2.0)[1]) == 2.0


def test_noise_is_rician_it_never_falls_below_zero_and_lifts_the_air():
    image, depth = head()
    noisy = acquire(make_fields(), torch.zeros_like(image), depth, faults=Faults(**NONE))
    assert noisy.min() >= 0
    assert 0 < float(noisy.mean()) < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_thick_slices_lose_detail_along_one_axis_and_keep_the_mean(seed):
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    thick = thick_slices(make_fields(seed), image, 12.0)

    def roughness(a, axis):
        return float(torch.diff(a, dim=axis).square().mean() / a.var())

    lost = [roughness(thick, a) < 0.4 * roughness(image, a) for a in range(3)]
    assert sum(lost) == 1
    assert float(thick.mean()) == pytest.approx(float(image.mean()), abs=0.02)


def test_slices_that_lie_anywhere_are_never_mixed():
    image = torch.zeros(SHAPE)
    image[2] = 1.0
    for seed in range(8):
        fields = make_fields(seed, np.array([0.0, 1.0, 9.0, 9.1, 40.0, 41.0]))
        thick = thick_slices(fields, image, 12.0)
        assert not thick[[0, 1, 3, 4, 5]].any()


def test_slices_thinner_than_a_pixel_change_nothing():
    image = torch.rand(SHAPE)
    assert torch.equal(thick_slices(make_fields(), image, 2.0), image)


def test_motion_leaves_ghosts_and_no_motion_none():
    image, _ = head()
    still = move(make_fields(), image[0], 0.0)
    torch.testing.assert_close(still, image[0], atol=1e-5, rtol=0)
    moved = [move(make_fields(seed), image[0], 4.0) for seed in range(4)]
    air = image[0] == 0
    assert max(float(m[air].max()) for m in moved) > 0.05
    for m in moved:  # k-space is only turned, so no energy comes or goes
        energy = float(m.square().sum() / image[0].square().sum())
        assert energy == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_a_cropped_field_of_view_ends_at_top_or_bottom(seed):
    z = np.linspace(-70, 70, 29)
    fields = Fields(SliceGrid(z, (20, 16), (9.0, 9.0)), np.random.default_rng(seed))
    seen = field_of_view(fields, (-70.0, 70.0))
    assert seen[14].all()  # the middle is always there
    assert seen[0].all() != seen[-1].all()
    assert 0.7 < float(seen.float().mean()) < 1.0


def test_residues_lie_around_the_brain_and_change_nothing_in_it():
    image, depth = head()
    brain = depth > 0
    grown = 0
    for seed in range(6):
        out, larger = skull_strip_residue(make_fields(seed), image, brain, depth)
        assert torch.equal(out[:, brain], image[:, brain])
        assert (larger | ~brain).all()
        grown += int((larger & ~brain).sum())
    assert grown > 100


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), strong=st.floats(0, 2), often=st.floats(0, 1))
def test_any_setting_gives_a_finite_image_that_repeats_by_seed(seed, strong, often):
    image, depth = head()
    faults = Faults(**dict.fromkeys(NONE, often))
    a, b = (
        acquire(make_fields(seed), image, depth, strong=strong, faults=faults) for _ in range(2)
    )
    assert torch.equal(a, b)
    assert torch.isfinite(a).all()
    assert a.min() >= 0
