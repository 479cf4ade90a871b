"""Exit maps of the trained classifiers on the training slices, kept on disk for the aggregators."""

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

from napari_gliocam.io.atomic import replacing
from napari_gliocam.nets.aggregator import (
    exit_maps,
    seen_by_attention,
    shrink,
    stretch,
)
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import HeldImages, Key
from napari_gliocam.train.data.draws import Draws
from napari_gliocam.train.data.slice_set import SliceSet


class MapBatch(NamedTuple):
    """A batch of slices for the aggregators, on the attention's grid.

    Made from images by the trained classifiers; ``brain`` is where the image is not 0, and there
    is no other mask.

    Parameters
    ----------
    images : Tensor, (B, 3, h, w)
        The slices.
    brain : Tensor, (B, 1, h, w)
        1 in the brain.
    maps : Tensor, (B, 4, 3, h, w)
        Tumour, core and edema of each exit, in positive polarity.
    tumour : Tensor, (B, 1, h, w)
        The tumour aggregate in [0, 1]; 0 before there is one.
    features : Tensor, (B, D, h', w')
        Stage 2 of the class network, standardised over brains; D = 0 where no loss compares it.
    labels : Tensor, (B, 3)
        Image-level labels.
    """

    images: Tensor
    brain: Tensor
    maps: Tensor
    tumour: Tensor
    features: Tensor
    labels: Tensor


#: Fields that have a file each.
STORED = ("images", "brain", "maps", "features")


class ExitMaps(Dataset[MapBatch]):
    """Some rows of the maps that `cache_exit_maps` wrote.

    Parameters
    ----------
    folder : Path
        The folder of the maps.
    rows : ndarray of int
        Places in the files.

    Raises
    ------
    OSError, ValueError
        If a file is missing or damaged.
    """

    draws: Draws | None = None
    held: HeldImages | None = None

    def __init__(self, folder: Path, rows: NDArray[np.int64]) -> None:
        self.folder, self.rows = folder, rows
        self._stored = {n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in STORED}
        self._labels = np.load(folder / "labels.npy")
        scale = np.load(folder / "scale.npy")
        self._mean, self._std = (torch.from_numpy(s)[:, None, None] for s in scale)
        tumour = folder / "tumour.npy"
        self._tumour = np.load(tumour, mmap_mode="r") if tumour.exists() else None

    def __reduce__(self) -> tuple[type[ExitMaps], tuple[Path, NDArray[np.int64]]]:
        return ExitMaps, (self.folder, self.rows)  # a worker opens the files itself

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: list[Key]) -> MapBatch:
        """Return the batch of the given keys."""
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
def cache_exit_maps(
    net: GliocamNet,
    slices: SliceSet,
    rows: NDArray[np.int64],
    folder: Path,
    *,
    features: bool = True,
    batch: int = 64,
) -> None:
    """Run the trained classifiers once over slices and write their maps, whole or not at all.

    Memory does not grow with the number of slices.

    Parameters
    ----------
    net : GliocamNet
        The networks, in evaluation mode and with their final polarity.
    slices : SliceSet
        All slices.
    rows : ndarray of int
        The rows of ``slices`` to run over.
    folder : Path
        The folder to make.
    features : bool
        Whether deep features are kept, too.
    batch : int
        Slices a batch.
    """
    with replacing(folder) as part:
        part.mkdir()
        _write_maps(net, slices, rows, part, features, batch)


def _write_maps(
    net: GliocamNet,
    slices: SliceSet,
    rows: NDArray[np.int64],
    folder: Path,
    features: bool,
    batch: int,
) -> None:
    files: dict[str, NDArray[np.float16]] = {}
    sums = torch.zeros(3, 1)  # count, sum, sum of squares of the features in brains
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        values = _exit_maps(net, torch.from_numpy(slices.images[part]).float(), features)
        height, width = values["features"].shape[-2:]
        inside = F.adaptive_avg_pool2d(values["brain"].float(), (height, width)) > 0.5
        seen = values["features"].permute(0, 2, 3, 1)[inside[:, 0]].double().cpu()
        sums = sums + torch.stack([torch.ones_like(seen), seen, seen**2]).sum(dim=1)
        for name, value in values.items():
            if name not in files:
                shape = (len(rows), *value.shape[1:])
                files[name] = open_memmap(folder / f"{name}.npy", "w+", np.float16, shape)
            files[name][start : start + len(part)] = value.cpu().numpy()
    count, total, squares = (s.clamp_min(1) if i == 0 else s for i, s in enumerate(sums))
    mean = total / count
    std = (squares / count - mean**2).clamp_min(0).sqrt() + 1e-3
    for file in files.values():
        file.flush()  # type: ignore[attr-defined]
    np.save(folder / "scale.npy", torch.stack([mean, std]).float().numpy())
    np.save(folder / "labels.npy", slices.labels[rows].astype(np.float32))


@torch.inference_mode()
def add_tumour(net: GliocamNet, folder: Path, batch: int = 64) -> None:
    """Write the tumour aggregate beside the maps, once its attention is trained.

    Parameters
    ----------
    net : GliocamNet
        The networks, in evaluation mode.
    folder : Path
        The folder of the maps.
    batch : int
        Slices a batch.
    """
    count = len(np.load(folder / "labels.npy", mmap_mode="r"))
    maps = ExitMaps(folder, np.arange(count))
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
    with replacing(folder / "tumour.npy") as part:
        np.save(part, np.concatenate(parts))


def _exit_maps(net: GliocamNet, images: Tensor, features: bool) -> dict[str, Tensor]:
    images = images.to(net.signs.device)
    brain = (images != 0).any(dim=1, keepdim=True).float()
    images = images.contiguous(memory_format=torch.channels_last)
    features_of = [network.features(images) for network in net.networks]
    every = [n.exits_of(stages) for n, stages in zip(net.networks, features_of, strict=True)]
    logits = [torch.cat(maps, dim=1) for maps in zip(*every, strict=True)]
    stages = features_of[-1]  # of the class network where there is one
    maps = exit_maps([m.float() for m in net.turned(logits)], brain, net.design.map_range)
    deep = stages[1] if features else stages[1][:, :0]
    stride = net.design.attention_stride
    return {
        "images": F.avg_pool2d(images, stride).half(),
        "brain": (F.avg_pool2d(brain, stride) > 0.5).half(),
        "maps": shrink(maps, stride).half(),
        "features": deep.contiguous().half(),
    }
