"""Batches of slices with pseudo-labels.  Nothing here reads a mask file: see `mask_set`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from napari_gliocam.train.data.augment import DrawsBySlice, augment
from napari_gliocam.train.data.batches import HeldImages, Key, slice_rngs
from napari_gliocam.train.data.draws import Draws
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.augment import Augment


class MaskBatch(NamedTuple):
    """A batch of slices with masks that were computed, never outlined.

    Parameters
    ----------
    images : Tensor, (B, K * C, H, W)
        Slices, their neighbours as further channels.
    masks, second : Tensor, (B, 2, H, W)
        Core and edema in [0, 1]: the first masks and the second ones, which are the first again
        where there are no others.
    labels : Tensor, (B, 3)
        Tumour, core and edema: 1 where the slice shows it.
    case : Tensor, (B,)
        Number of the patient.
    """

    images: Tensor
    masks: Tensor
    second: Tensor
    labels: Tensor
    case: Tensor


class MaskDataset(Dataset[MaskBatch]):
    """Some rows of a set of slices with masks, augmented.

    Parameters
    ----------
    slices : SliceSet
        All slices; their last ``masks`` channels are core and edema of the first masks, and of the
        second ones where there are four.
    rows : ndarray of int
        The rows of ``slices`` that belong to this data set.
    masks : {2, 4}
        Channels that are masks.
    modalities : int
        Channels of one slice without its neighbours.
    how : Augment, optional
        The augmentation; None leaves the slices as they are.
    seed : int
        Seed of the augmentation.
    """

    draws: Draws | None = None
    held: HeldImages | None = None

    def __init__(
        self,
        slices: SliceSet,
        rows: NDArray[np.int64],
        masks: int,
        modalities: int,
        how: Augment | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.slices, self.rows, self.masks, self.modalities = slices, rows, masks, modalities
        self.how, self.seed = how, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: list[Key]) -> MaskBatch:
        """Return the batch of the given keys."""
        rows = self.rows[[place for _, place in keys]]
        stored = torch.from_numpy(self.slices.images[rows].astype(np.float32))
        images, masks = stored[:, : -self.masks], stored[:, -self.masks :]
        if self.how is not None:
            draws = DrawsBySlice(slice_rngs(self.seed, rows, keys))
            images, moved = augment(
                images, self.how, draws, modalities=self.modalities, masks=masks
            )
            assert moved is not None
            masks = moved
        return MaskBatch(
            images,
            masks[:, :2],
            masks[:, -2:],
            torch.from_numpy(self.slices.labels[rows].astype(np.float32)),
            torch.from_numpy(self.slices.case[rows].astype(np.int64)),
        )
