"""What the frozen networks say of the training slices, kept on disk for the aggregators."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from napari_gliocam.nets.aggregator import (
    exit_maps,
    seen_by_attention,
    shrink,
    stretch,
)
from napari_gliocam.nets.design import ATTENTION_STRIDE
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import Key
from napari_gliocam.train.data.slice_set import SliceSet


class MapBatch(NamedTuple):
    """All that the aggregators are given of slices, on the attention's grid.

    Made from images by the frozen networks; ``brain`` is where the image is not 0, and there is
    no other mask.

    Parameters
    ----------
    images : Tensor, (B, 3, h, w)
    brain : Tensor, (B, 1, h, w)
        1 in the brain.
    maps : Tensor, (B, 4, 3, h, w)
        Tumour, core, edema of each exit, in positive polarity.
    tumour : Tensor, (B, 1, h, w)
        The tumour aggregate in [0, 1]; 0 before there is one.
    features : Tensor, (B, D, h', w')
        Stage 2 of the class network, standardised over brains; D = 0 where nobody asks for it.
    labels : Tensor, (B, 3)
        Image-level labels.
    """

    images: Tensor
    brain: Tensor
    maps: Tensor
    tumour: Tensor
    features: Tensor
    labels: Tensor


#: Fields that lie in a file each.
STORED = ("images", "brain", "maps", "features")


class FrozenMaps(Dataset[MapBatch]):
    """Some rows of what `freeze` wrote.

    Parameters
    ----------
    folder : Path
    rows : ndarray of int
        Places in the files.
    """

    def __init__(self, folder: Path, rows: NDArray[np.int64]) -> None:
        self.folder, self.rows = folder, rows
        self._stored = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in STORED}
        self._labels = np.load(folder / "labels.npy")
        scale = np.load(folder / "scale.npy")
        self._mean, self._std = (torch.from_numpy(s)[:, None, None] for s in scale)
        tumour = folder / "tumour.npy"
        self._tumour = np.load(tumour, mmap_mode="r") if tumour.exists() else None

    def __reduce__(self) -> tuple[type[FrozenMaps], tuple[Path, NDArray[np.int64]]]:
        return FrozenMaps, (self.folder, self.rows)  # a worker opens the files itself

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: list[Key]) -> MapBatch:
        """The batch of some keys."""
        rows = self.rows[[place for _, place in keys]]
        images, brain, maps, features = (
            torch.from_numpy(self._stored[n][rows]).float() for n in STORED
        )
        tumour = torch.zeros_like(brain)
        if self._tumour is not None:
            tumour = torch.from_numpy(self._tumour[rows]).float()
        features = (features - self._mean) / self._std
        return MapBatch(images, brain, maps, tumour, features, torch.from_numpy(self._labels[rows]))


@torch.inference_mode()
def freeze(
    net: GliocamNet,
    slices: SliceSet,
    rows: NDArray[np.int64],
    folder: Path,
    *,
    features: bool = True,
    batch: int = 64,
) -> None:
    """Run the frozen classifiers once over slices and write their maps, whole or not at all.

    Parameters
    ----------
    net : GliocamNet
        In evaluation mode, polarity settled.
    slices : SliceSet
    rows : ndarray of int
    folder : Path
        Made; memory does not grow with the number of slices.
    features : bool
        Whether anything compares deep features.
    batch : int
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    files: dict[str, NDArray[np.float16]] = {}
    sums = torch.zeros(3, 1)  # count, sum, sum of squares of the features in brains
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        values = _frozen(net, torch.from_numpy(slices.images[part]).float(), features)
        height, width = values["features"].shape[-2:]
        inside = F.adaptive_avg_pool2d(values["brain"].float(), (height, width)) > 0.5
        seen = values["features"].permute(0, 2, 3, 1)[inside[:, 0]].double().cpu()
        sums = sums + torch.stack([torch.ones_like(seen), seen, seen**2]).sum(dim=1)
        for name, value in values.items():
            if name not in files:
                shape = (len(rows), *value.shape[1:])
                files[name] = open_memmap(temporary / f"{name}.npy", "w+", np.float16, shape)
            files[name][start : start + len(part)] = value.cpu().numpy()
    count, total, squares = (s.clamp_min(1) if i == 0 else s for i, s in enumerate(sums))
    mean = total / count
    std = (squares / count - mean**2).clamp_min(0).sqrt() + 1e-3
    for file in files.values():
        file.flush()  # type: ignore[attr-defined]
    np.save(temporary / "scale.npy", torch.stack([mean, std]).float().numpy())
    np.save(temporary / "labels.npy", slices.labels[rows].astype(np.float32))
    temporary.replace(folder)


@torch.inference_mode()
def add_tumour(net: GliocamNet, folder: Path, batch: int = 64) -> None:
    """Write the tumour aggregate beside the maps, once its attention is trained."""
    count = len(np.load(folder / "labels.npy", mmap_mode="r"))
    maps = FrozenMaps(folder, np.arange(count))
    parts = []
    device = net.signs.device
    for start in range(0, count, batch):
        given = maps.__getitems__([(0, i) for i in range(start, min(start + batch, count))])
        brain, exits = given.brain.to(device), given.maps[:, :, :1].to(device)
        seen = seen_by_attention(exits, brain, net.design.map_range)
        weights = net.tumour_attention(given.images.to(device), seen)
        tumour = (weights * exits).sum(dim=1)
        if net.design.map_range == "raw":
            tumour = stretch(tumour, brain)
        parts.append(tumour.half().cpu().numpy())
    temporary = folder / ".tumour.tmp.npy"
    np.save(temporary, np.concatenate(parts))
    temporary.replace(folder / "tumour.npy")


def _frozen(net: GliocamNet, images: Tensor, features: bool) -> dict[str, Tensor]:
    images = images.to(net.signs.device)
    brain = (images != 0).any(dim=1, keepdim=True).float()
    stages = net.classes.features(images.contiguous(memory_format=torch.channels_last))
    class_logits = [e(f) for e, f in zip(net.classes.exits, stages, strict=True)]
    logits = [torch.cat(p, dim=1) for p in zip(net.tumour(images), class_logits, strict=True)]
    maps = exit_maps([m.float() for m in net.turned(logits)], brain, net.design.map_range)
    deep = stages[1] if features else stages[1][:, :0]
    return {
        "images": F.avg_pool2d(images, ATTENTION_STRIDE).half(),
        "brain": (F.avg_pool2d(brain, ATTENTION_STRIDE) > 0.5).half(),
        "maps": shrink(maps).half(),
        "features": deep.contiguous().half(),
    }
