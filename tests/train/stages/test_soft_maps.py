from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.train.data.batches import SliceDataset, SoftBatch
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.augment import Augment
from napari_gliocam.train.stages.losses import soft_map_loss
from napari_gliocam.train.stages.soft_maps import SoftMaps, mean_maps, patient_maps, write_soft_maps

ABOUT = BundleInfo("tiny", "balls", "CC0-1.0", pixel_mm=3.0, across_slices_mm=2.0)
COUNT, SIDE = 12, 48


class Vague(torch.nn.Module):
    """Knows roughly where the lesion is: a wide disc in the middle of every slice."""

    def __init__(self):
        super().__init__()
        self.register_buffer("signs", torch.ones(1))

    def forward(self, images, brain):
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        far = ((y - 24) ** 2 + (x - 24) ** 2).float().sqrt()
        tumour = torch.sigmoid((11 - far) / 3)
        core = torch.sigmoid((6 - far) / 3)
        maps = torch.stack([tumour, core, 1 - core])[None] * brain
        return SimpleNamespace(aggregates=maps)


def made(net, slices, rows):
    return patient_maps(slices, rows, mean_maps([net], slices, rows), ABOUT)


@pytest.fixture(scope="module")
def patient():
    """A ball of edema with core, and the labels of its slices; the truth only judges."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[:COUNT, :SIDE, :SIDE]
    brain = np.broadcast_to((y - 24) ** 2 + (x - 24) ** 2 < 20**2, (COUNT, SIDE, SIDE))
    far = np.sqrt(((z - 5) * 1.5) ** 2 + (y - 22) ** 2 + (x - 26) ** 2)
    truth = np.where(far < 4, 1, np.where(far < 8, 2, 0)) * brain
    images = rng.normal(0, 0.3, (COUNT, 3, SIDE, SIDE))
    images[:, 0] += 3 * (truth == 1)
    images[:, 1:] += 2 * (truth > 0)[:, None]
    core, edema = ((truth == k).any(axis=(1, 2)) for k in (1, 2))
    labels = np.stack([core | edema, core, edema], axis=1).astype(np.float32)
    images = (images * brain[:, None]).astype(np.float16)
    position = np.arange(COUNT, dtype=np.float32) * 5
    return SliceSet(images, labels, np.zeros(COUNT, int), ("one",), position), truth


def test_the_intensities_of_the_patient_mend_the_maps(patient):
    slices, truth = patient
    maps = made(Vague(), slices, np.arange(COUNT))
    prior = Vague()(None, torch.ones(COUNT, 1, SIDE, SIDE)).aggregates[:, 0].numpy()

    def dice(found):
        return 2 * (found & (truth > 0)).sum() / (found.sum() + (truth > 0).sum())

    found = np.nan_to_num(maps[:, 0]) > 0.5
    assert dice(found) > dice(prior > 0.4) + 0.1
    assert dice(found) > 0.69
    known = maps[np.isfinite(maps)]
    assert 0 <= known.min() <= known.max() <= 1


def test_slice_labels_bind(patient):
    slices, _ = patient
    maps = made(Vague(), slices, np.arange(COUNT))
    for column in range(3):
        denied = slices.labels[:, column] == 0
        assert denied.any()
        assert not np.nan_to_num(maps[denied, column]).any()
    only_core = replace(slices, labels=slices.labels.copy())
    only_core.labels[5] = (1, 1, 0)
    maps = made(Vague(), only_core, np.arange(COUNT))
    np.testing.assert_allclose(maps[5, 0], maps[5, 1], atol=1e-3)


def test_a_tumour_that_is_not_found_is_unknown_not_healthy(patient):
    slices, _ = patient
    labels = np.ones_like(slices.labels)
    flat = SliceSet((slices.images != 0).astype(np.float16), labels, slices.case)
    flat.labels[0] = 0
    nothing = Vague()
    nothing.forward = lambda images, brain: SimpleNamespace(
        aggregates=0.01 * brain.tile(1, 3, 1, 1)
    )
    maps = made(nothing, flat, np.arange(COUNT))
    assert np.isnan(maps[1:]).all()
    assert (maps[0] == 0).all()


def test_the_order_of_the_rows_plays_no_part(patient):
    slices, _ = patient
    rows = np.arange(COUNT)
    mixed = np.random.default_rng(1).permutation(COUNT)
    straight = made(Vague(), slices, rows)
    np.testing.assert_array_equal(made(Vague(), slices, mixed), straight[mixed])


def test_maps_move_with_their_slice_and_synthetic_slices_have_none(patient, tmp_path):
    slices, _ = patient
    case = slices.case.copy()
    case[-1] = -1
    slices = replace(slices, case=case)
    write_soft_maps([Vague()], slices, np.arange(COUNT), tmp_path / "maps", ABOUT, -0.5)
    maps = SoftMaps(tmp_path / "maps")
    held = SoftMaps(tmp_path / "maps", torch.device("cpu"))[np.arange(COUNT)]
    torch.testing.assert_close(held, maps[np.arange(COUNT)], equal_nan=True)
    how = Augment(mirror=1, shift_px=3, rotate_deg=20, scale=0.1, gain=0, offset=0, noise=0)
    still = SliceDataset(slices, np.arange(COUNT), maps=maps).__getitems__([(0, 4), (0, 11)])
    moved = SliceDataset(slices, np.arange(COUNT), how, maps=maps).__getitems__([(0, 4), (0, 11)])
    assert isinstance(moved, SoftBatch)
    assert moved.maps[1][:, moved.images[1].any(dim=0)].isnan().all()
    bright, soft = moved.images[0, 1] > 1, moved.maps[0, 0] > 0.5
    assert not torch.equal(soft, still.maps[0, 0] > 0.5)
    assert (bright & soft).sum() > 0.7 * soft.sum() > 0


def test_unknown_pixels_take_no_part_in_the_loss():
    torch.manual_seed(0)
    exits = [torch.randn(2, 1, s, s, requires_grad=True) for s in (16, 8, 4, 4)]
    maps, brain = torch.rand(2, 1, 32, 32), torch.ones(2, 1, 32, 32)
    maps[1] = torch.nan
    loss = soft_map_loss(exits, maps, brain)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(not e.grad[1].any() and e.grad[0].any() for e in exits)
    sure = [
        20 * (torch.nn.functional.adaptive_avg_pool2d(maps[:1].round(), e.shape[-1]) - 0.5)
        for e in exits
    ]
    assert soft_map_loss(sure, maps[:1].round(), brain[:1]) < loss
