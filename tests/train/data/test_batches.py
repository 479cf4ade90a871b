from itertools import islice

import numpy as np
import pytest
import torch

from napari_gliocam.train.data.batches import BatchLoader, HeldImages, SliceBatch, SliceDataset
from napari_gliocam.train.recipe.augment import Augment


class Places:
    """A data set whose batch is its keys."""

    draws = None
    held = None

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitems__(self, keys):
        return keys


def places(batches):
    return [[place for _, place in batch] for batch in batches]


def test_a_batch_has_no_room_for_a_mask():
    assert SliceBatch._fields == ("images", "labels", "case")


def test_an_epoch_shows_every_slice_once_in_an_order_of_its_own():
    loader = BatchLoader(Places(11), 4, seed=1)
    assert len(loader) == 2
    first, second = list(loader), list(loader)
    assert all(epoch == 0 for batch in first for epoch, _ in batch)
    assert all(epoch == 1 for batch in second for epoch, _ in batch)
    assert len({p for batch in places(first) for p in batch}) == 8
    assert places(first) != places(second)
    again = BatchLoader(Places(11), 4, seed=1)
    assert [list(again), list(again)] == [first, second]
    assert places(BatchLoader(Places(11), 4, seed=2)) != places(first)


@pytest.mark.parametrize("stop", range(7))
def test_it_goes_on_from_any_batch(stop):
    whole = BatchLoader(Places(9), 3, seed=0)
    expected = [*whole, *whole]
    begun, loader = [], BatchLoader(Places(9), 3, seed=0)
    while len(begun) < stop:
        begun += islice(loader, stop - len(begun))
    rest, resumed = [], BatchLoader(Places(9), 3, seed=0)
    resumed.load_state_dict(loader.state_dict())
    while len(begun) + len(rest) < 6:
        rest += resumed
    assert begun + rest == expected


def test_validation_shows_all_in_order_every_time():
    loader = BatchLoader(Places(7), 3, training=False)
    assert places(loader) == places(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert places(BatchLoader(Places(2), 8, training=False)) == [[0, 1]]


def test_ranks_share_the_batches_of_one():
    alone = places(BatchLoader(Places(12), 4, seed=5))
    parts = [places(BatchLoader(Places(12), 4, seed=5, rank=r, world=2)) for r in range(2)]
    for whole, a, b in zip(alone, *parts, strict=True):
        assert sorted(a + b) == whole
        assert len(a) == len(b)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12, of torch's loader
def test_workers_change_nothing(slices):
    data = SliceDataset(slices, np.arange(12), Augment(), seed=4)
    here = list(BatchLoader(data, 4, seed=0))
    there = list(BatchLoader(data, 4, seed=0, workers=1))
    for a, b in zip(here, there, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_slice_is_augmented_by_seed_epoch_and_row_alone(slices):
    data = SliceDataset(slices, np.arange(8), Augment(), seed=4)
    together = data.__getitems__([(1, 3), (1, 5)])
    alone = data.__getitems__([(1, 5)])
    torch.testing.assert_close(together.images[1:], alone.images, rtol=0, atol=0)
    later = data.__getitems__([(2, 5)])
    assert not torch.equal(alone.images, later.images)
    views = SliceDataset(slices, np.arange(8), Augment(), views=2, seed=4).__getitems__([(1, 5)])
    assert views.images.shape == (2, 3, 32, 32)
    assert views.labels.shape == (1, 3)
    assert not torch.equal(views.images[0], views.images[1])
    plain = SliceDataset(slices, np.array([6, 7])).__getitems__([(9, 1)])
    np.testing.assert_array_equal(plain.images[0].numpy(), slices.images[7].astype(np.float32))


def test_slices_held_on_a_device_are_the_same_slices_with_other_random_numbers(slices):
    held = HeldImages(slices.images, torch.device("cpu"))
    keys = [(1, 3), (1, 5)]
    plain, kept = (
        SliceDataset(slices, np.arange(8), held=place).__getitems__(keys) for place in (None, held)
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, kept, strict=True))
    data = SliceDataset(slices, np.arange(8), Augment(), seed=4, held=held)
    changed = data.__getitems__(keys)
    assert torch.equal(changed.images, data.__getitems__(keys).images)
    assert not torch.equal(changed.images, plain.images)
    assert not torch.equal(changed.images, data.__getitems__([(2, 3), (2, 5)]).images)
    loaded = BatchLoader(data, 4, seed=0, workers=2)  # which could not share a device
    assert len(list(loaded)) == 2
