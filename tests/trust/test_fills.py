"""Content that takes the place of pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.trust.fills import FILLS, fill_of, impute, mirror_columns
from napari_gliocam.trust.scoring import MappedSlice


@pytest.mark.parametrize("fill", FILLS)
def test_air_stays_air_and_a_constant_slice_stays_as_it_is(mapped, fill):
    filled = fill_of(mapped, fill)
    assert torch.isfinite(filled).all()
    assert not (filled * (1 - mapped.brain)).any()
    even = replace(mapped, image=2 * mapped.brain.expand(3, -1, -1))
    torch.testing.assert_close(fill_of(even, fill), even.image, atol=1e-4, rtol=0)


def test_the_mean_is_that_of_the_brain(mapped):
    inside = torch.from_numpy(mapped.inside)
    for channel, filled in zip(mapped.image, fill_of(mapped, "mean"), strict=True):
        torch.testing.assert_close(filled[inside], channel[inside].mean().expand(inside.sum()))


def test_the_mirror_image_lies_on_the_other_side_unless_the_map_marks_it():
    brain = torch.zeros(1, 6, 20)
    brain[:, :, 2:13] = 1  # its middle is column 7
    image = torch.arange(20.0).expand(3, 6, 20) * brain
    marked = np.zeros((6, 20), np.float32)
    marked[0, 4] = 1
    filled = fill_of(MappedSlice(image, brain, marked), "mirror")
    assert torch.equal(filled[0, 1, 2:13], torch.arange(12.0, 1.0, -1.0))
    assert filled[0, 0, 10] == pytest.approx(7)  # the mean of the brain, for 4 is marked
    assert list(mirror_columns(brain[0].numpy() > 0)[:3]) == [14, 13, 12]


def test_imputed_pixels_are_the_weighted_mean_of_their_neighbours(mapped):
    removed = np.zeros_like(mapped.inside)
    removed[8:14, 10:20] = True
    filled = impute(mapped, removed, noise=0)
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    for y, x in zip(*np.nonzero(removed), strict=True):
        around = filled[0, y - 1 : y + 2, x - 1 : x + 2].numpy()
        assert filled[0, y, x] == pytest.approx((around * weights).sum(), abs=1e-5)
    assert torch.equal(
        filled[:, ~torch.from_numpy(removed)], mapped.image[:, ~torch.from_numpy(removed)]
    )
    noisy = impute(mapped, removed, noise=0.1, seed=1)
    assert torch.equal(noisy, impute(mapped, removed, noise=0.1, seed=1))
    assert 0.05 < (noisy - filled)[:, torch.from_numpy(removed)].std() < 0.15


def test_a_part_of_the_brain_that_is_gone_altogether_becomes_the_mean(mapped):
    brain = mapped.brain.clone()
    brain[:, :, 14:17] = 0  # two halves
    halves = MappedSlice(mapped.image * brain, brain, mapped.map_)
    removed = halves.inside.copy()
    removed[:, :16] = False
    filled = impute(halves, removed, noise=0)
    mean = halves.image[:, torch.from_numpy(halves.inside)].mean(dim=1)
    where = torch.from_numpy(removed)
    torch.testing.assert_close(
        filled[:, where], mean[:, None].expand(-1, int(where.sum())), atol=1e-3, rtol=0
    )
    everything = impute(halves, halves.inside, noise=0)
    assert torch.isfinite(everything).all()
    assert torch.equal(impute(halves, np.zeros_like(removed)), halves.image)
