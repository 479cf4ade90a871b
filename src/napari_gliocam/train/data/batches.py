"""Batches of slices in an order that depends on the seed and the step alone.

So a training that goes on from a checkpoint sees what an unbroken one would have seen, however
many workers or devices there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_gliocam.train.data.augment import augment
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.fields import Augment

#: Epoch and place in the data set: what a slice's augmentation is drawn from.
Key = tuple[int, int]


class SliceBatch(NamedTuple):
    """All that a stage is given of slices.  There is no mask in it, and none may be added.

    Parameters
    ----------
    images : Tensor, (V * B, 3, H, W)
        V views one after the other: the first of every slice, then the second.
    labels : Tensor, (B, 3)
        Tumour, core, edema: 1 where the slice shows it.
    case : Tensor, (B,)
        Which patient.
    """

    images: Tensor
    labels: Tensor
    case: Tensor


class Batched(Protocol):
    """A data set that hands out a whole batch."""

    def __len__(self) -> int: ...

    def __getitems__(self, keys: list[Key]) -> Any:
        """The batch of some keys."""


class SliceDataset(Dataset[SliceBatch]):
    """Some rows of a slice set, augmented.

    Parameters
    ----------
    slices : SliceSet
    rows : ndarray of int
    how : Augment, optional
        None leaves the slices as they are.
    views : int
        Of each slice, with an augmentation each.
    seed : int
    """

    def __init__(
        self,
        slices: SliceSet,
        rows: NDArray[np.int64],
        how: Augment | None = None,
        *,
        views: int = 1,
        seed: int = 0,
    ) -> None:
        self.slices, self.rows, self.how, self.views, self.seed = slices, rows, how, views, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: list[Key]) -> SliceBatch:
        """The batch of some keys."""
        rows = self.rows[[place for _, place in keys]]
        images = self.slices.images[rows].astype(np.float32)
        views = [self._view(images, rows, keys, view) for view in range(self.views)]
        return SliceBatch(
            torch.from_numpy(np.concatenate(views)),
            torch.from_numpy(self.slices.labels[rows].astype(np.float32)),
            torch.from_numpy(self.slices.case[rows].astype(np.int64)),
        )

    def _view(
        self, images: NDArray[np.float32], rows: NDArray[np.int64], keys: list[Key], view: int
    ) -> NDArray[np.float32]:
        if self.how is None:
            return images
        changed = [
            augment(image, self.how, np.random.default_rng([self.seed, epoch, int(row), view]))
            for image, row, (epoch, _) in zip(images, rows, keys, strict=True)
        ]
        return np.stack(changed)


class BatchLoader:
    """The batches of one epoch, from wherever training stands.

    Lightning takes it in place of a ``DataLoader`` (which it wraps): it can say how many batches
    it has handed out and go on from there, in the middle of an epoch too.

    Parameters
    ----------
    data : Batched
    batch : int
        Slices a batch, over all ranks; at most the data set, and as many for each rank.
    seed : int
    training : bool
        True: a new order every epoch, and the remainder that fills no batch is left out.
        False: in order, all of it.
    rank, world : int
        This process among how many; each takes its part of every batch.
    workers : int
        Processes that load; 0 loads in this one.
    position : int
        Batches handed out before.
    """

    def __init__(
        self,
        data: Batched,
        batch: int,
        seed: int = 0,
        *,
        training: bool = True,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        position: int = 0,
    ) -> None:
        self.data, self.seed = data, seed
        whole = min(batch, len(data)) // world * world  # as many slices for each rank
        self.batch = max(world, whole)
        self.training, self.rank, self.world, self.workers = training, rank, world, workers
        self.position = position

    def __len__(self) -> int:
        whole, rest = divmod(len(self.data), self.batch)
        return whole if self.training or rest < self.world else whole + 1

    def __iter__(self) -> Iterator[Any]:
        epoch, first = divmod(self.position, len(self)) if self.training else (0, 0)
        loader: DataLoader[Any] = DataLoader(
            self.data,  # type: ignore[arg-type]
            batch_sampler=self._keys(epoch)[first:],
            num_workers=self.workers,
            collate_fn=_as_it_is,
        )
        for batch in loader:
            self.position += 1
            yield batch

    def _keys(self, epoch: int) -> list[list[Key]]:
        n = len(self.data)
        order = np.arange(n)
        if self.training:
            order = np.random.default_rng([self.seed, epoch]).permutation(n)
        stops = [(i + 1) * self.batch for i in range(len(self))]
        if not self.training and stops:  # a rest that would leave a rank without any joins the last
            stops[-1] = n
        starts = [i * self.batch for i in range(len(self))]
        batches = [
            np.sort(order[start:stop])[self.rank :: self.world]
            for start, stop in zip(starts, stops, strict=True)
        ]
        return [[(epoch, int(place)) for place in batch] for batch in batches]

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.position = state["position"]


def _as_it_is(batch: Any) -> Any:
    return batch
