"""Batches of slices in an order that depends on the seed and the step alone.

So a training that goes on from a checkpoint sees what an unbroken one would have seen, however
many workers or devices there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_gliocam.train.data.augment import (
    DrawsBySlice,
    DrawsOnDevice,
    RandomNumbers,
    augment,
)
from napari_gliocam.train.data.draws import Draws
from napari_gliocam.train.data.slice_set import Images, SliceSet
from napari_gliocam.train.recipe.augment import Augment
from napari_gliocam.train.recipe.common import Fit

if TYPE_CHECKING:
    from napari_gliocam.train.stages.soft_maps import SoftMaps

#: Time (epoch, or step where batches are drawn) and place in the data set; both seed the
#: augmentation of a slice.
Key = tuple[int, int]


class SliceBatch(NamedTuple):
    """A batch of slices.  There is no mask in it, and none may be added.

    Parameters
    ----------
    images : Tensor, (V * B, 3, H, W)
        V views one after the other: the first of every slice, then the second.
    labels : Tensor, (B, 3)
        Tumour, core and edema: 1 where the slice shows it.
    case : Tensor, (B,)
        Number of the patient.
    """

    images: Tensor
    labels: Tensor
    case: Tensor


class SoftBatch(NamedTuple):
    """A batch of slices with soft maps, which are made of images and slice labels alone.

    Parameters
    ----------
    images, labels, case : Tensor
        As in `SliceBatch`, one view.
    maps : Tensor, (B, 3, H, W)
        Probability of tumour, core and edema from `napari_gliocam.train.stages.soft_maps`, the only
        source; NaN where it is not known, on all of a synthetic slice.
    """

    images: Tensor
    labels: Tensor
    case: Tensor
    maps: Tensor


class Batched(Protocol):
    """A data set that hands out whole batches."""

    #: Batches drawn by chance; None goes through all slices in turn.
    draws: Draws | None
    #: Slices in the memory of a device, where batches are made there.
    held: HeldImages | None

    def __len__(self) -> int: ...

    def __getitems__(self, keys: list[Key]) -> Any:
        """Return the batch of the given keys."""


class HeldImages:
    """All slices of a set in the memory of a device; their batches are made there.

    Reading and augmenting slices on the processor keeps a GPU waiting.

    Parameters
    ----------
    images : Images, (N, C, H, W)
        The slices.
    device : torch.device
        The device, which needs 2 N C H W bytes.
    """

    def __init__(self, images: Images, device: torch.device) -> None:
        self.device = device
        self._images = torch.empty(images.shape, dtype=torch.float16, device=device)
        parts = np.array_split(np.arange(len(images)), len(images) // 64 + 1)
        with ThreadPoolExecutor() as pool:
            for rows, part in zip(parts, pool.map(images.__getitem__, parts), strict=True):
                self._images[rows] = torch.from_numpy(part).to(device)

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        """Return some slices, float32."""
        return self._images[torch.from_numpy(rows).to(self.device)].float()


class SliceDataset(Dataset[SliceBatch | SoftBatch]):
    """Some rows of a slice set, augmented.

    Parameters
    ----------
    slices : SliceSet
        All slices.
    rows : ndarray of int
        The rows of ``slices`` that belong to this data set.
    how : Augment, optional
        The augmentation; None leaves the slices as they are.
    views : int
        Number of views of each slice, each with an augmentation of its own.
    seed : int
        Seed of the augmentation.
    draws : Draws, optional
        Batches drawn by chance.
    maps : SoftMaps, optional
        Soft maps of the real slices, which move with them; for one view.
    held : HeldImages, optional
        The slices on a device, with ``maps`` on the same one.
    """

    def __init__(
        self,
        slices: SliceSet,
        rows: NDArray[np.int64],
        how: Augment | None = None,
        *,
        views: int = 1,
        seed: int = 0,
        draws: Draws | None = None,
        maps: SoftMaps | None = None,
        held: HeldImages | None = None,
    ) -> None:
        self.slices, self.rows, self.how, self.views, self.seed = slices, rows, how, views, seed
        self.draws, self.maps, self.held = draws, maps, held

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: list[Key]) -> SliceBatch | SoftBatch:
        """Return the batch of the given keys."""
        rows = self.rows[[place for _, place in keys]]
        if self.held is None:
            images = torch.from_numpy(self.slices.images[rows].astype(np.float32))
        else:
            images = self.held[rows]
        maps = None if self.maps is None else self.maps[rows]
        views = [self._view(images, maps, rows, keys, view) for view in range(self.views)]
        seen = torch.cat([image for image, _ in views])
        labels = torch.from_numpy(self.slices.labels[rows].astype(np.float32)).to(seen.device)
        case = torch.from_numpy(self.slices.case[rows].astype(np.int64)).to(seen.device)
        moved = views[-1][1]
        if moved is None:
            return SliceBatch(seen, labels, case)
        return SoftBatch(seen, labels, case, moved)

    def _view(
        self,
        images: Tensor,
        maps: Tensor | None,
        rows: NDArray[np.int64],
        keys: list[Key],
        view: int,
    ) -> tuple[Tensor, Tensor | None]:
        if self.how is None:
            return images, maps
        weaker = self.how.scaled(self.draws.synthetic_augment) if self.draws else self.how
        drawn = self.slices.case[rows] < 0
        images, maps = images.clone(), None if maps is None else maps.clone()
        for how, places in ((self.how, np.flatnonzero(~drawn)), (weaker, np.flatnonzero(drawn))):
            if not len(places):
                continue
            draws = self._random(rows, keys, places, view)
            given = None if maps is None else maps[places]
            images[places], moved = augment(
                images[places], how, draws, modalities=images.shape[1], masks=given
            )
            if maps is not None and moved is not None:
                maps[places] = moved
        return images, maps

    def _random(
        self, rows: NDArray[np.int64], keys: list[Key], places: NDArray[np.int64], view: int
    ) -> RandomNumbers:
        """Return the random numbers of some places of a batch."""
        if self.held is None:
            chosen = [keys[place] for place in places]
            return DrawsBySlice(slice_rngs(self.seed, rows[places], chosen, view))
        seed = [self.seed, *keys[places[0]], view]
        return DrawsOnDevice(len(places), seed, self.held.device)


def slice_rngs(
    seed: int, rows: NDArray[np.int64], keys: list[Key], view: int = 0
) -> list[np.random.Generator]:
    """Return the source of random numbers of each slice; its batch plays no part.

    Parameters
    ----------
    seed : int
        Seed of the augmentation.
    rows : ndarray of int, (B,)
        Rows of the slices in their set.
    keys : list of B keys
        Time and place of each.
    view : int
        Number of the view of the same slices.
    """
    return [
        np.random.default_rng([seed, time, int(row), view])
        for row, (time, _) in zip(rows, keys, strict=True)
    ]


class BatchLoader:
    """The batches of one epoch, from any position.

    Lightning takes it in place of a ``DataLoader`` (which it wraps): it counts the batches handed
    out and can go on from any of them, in the middle of an epoch too.

    Parameters
    ----------
    data : Batched
        The data set; its ``draws``, if it has any, choose the training batches.
    batch : int
        Slices a batch, over all ranks; at most the data set, and as many for each rank.
    seed : int
        Seed of the order.
    training : bool
        True: a new order every epoch, and the remainder that fills no batch is left out.
        False: in order, all slices.
    rank, world : int
        Number of this process and count of all processes; each takes its part of every batch.
    workers : int
        Number of processes that load; 0 loads in this one, as where the slices are held.
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
        if self.training and self.data.draws is not None:
            return self.data.draws.steps
        whole, rest = divmod(len(self.data), self.batch)
        return whole if self.training or rest < self.world else whole + 1

    def __iter__(self) -> Iterator[Any]:
        epoch, first = divmod(self.position, len(self)) if self.training else (0, 0)
        loader: DataLoader[Any] = DataLoader(
            self.data,  # type: ignore[arg-type]
            batch_sampler=self._keys(epoch)[first:],
            num_workers=self.workers if self.data.held is None else 0,
            collate_fn=_as_it_is,
        )
        for batch in loader:
            self.position += 1
            yield batch

    def _keys(self, epoch: int) -> list[list[Key]]:
        n = len(self.data)
        if self.training and self.data.draws is not None:
            first = epoch * len(self)
            drawn = self.data.draws.batches(self.batch, [self.seed, epoch])
            return [
                [(first + step, int(place)) for place in batch[self.rank :: self.world]]
                for step, batch in enumerate(drawn)
            ]
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
        """Return the position, for a checkpoint."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from the position in a checkpoint."""
        self.position = state["position"]


def _as_it_is(batch: Any) -> Any:
    return batch


class StageData(LightningDataModule):
    """The training and validation batches of a stage, with the position of the training.

    Parameters
    ----------
    train, validation : Batched
        The two data sets, such as `SliceDataset`; the second may be empty.
    fit : Fit
        Settings of the stage, for the size of a batch.
    seed : int
        Seed of the order.
    workers : int
        Loading processes of each device.
    """

    def __init__(
        self, train: Batched, validation: Batched, fit: Fit, *, seed: int = 0, workers: int = 0
    ) -> None:
        super().__init__()
        self.train, self.validation, self.fit = train, validation, fit
        self.seed, self.workers = seed, workers
        self._loader: BatchLoader | None = None
        self._position = 0

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches, in a new order every epoch."""
        self._loader = self._make(self.train, training=True, position=self._position)
        return self._loader

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches, in order."""
        return self._make(self.validation, training=False)

    def state_dict(self) -> dict[str, int]:
        """Return the position, for a checkpoint."""
        return {"position": self._loader.position if self._loader else self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take the position from a checkpoint, before the loaders are made."""
        self._position = state_dict["position"]

    def _make(self, data: Batched, *, training: bool, position: int = 0) -> BatchLoader:
        trainer = self.trainer
        return BatchLoader(
            data,
            self.fit.batch,
            self.seed,
            training=training,
            rank=trainer.global_rank if trainer else 0,
            world=trainer.world_size if trainer else 1,
            workers=self.workers,
            position=position,
        )
