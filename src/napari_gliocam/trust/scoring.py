"""Image-level probabilities of altered slices, and the slices that a test takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.cams.methods.explained_layer import COLUMN
from napari_gliocam.device import enough_memory
from napari_gliocam.maps.raw_maps import GATE
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.nets.gliocam import GliocamNet

#: Takes slices (B, C, H, W) and their brain (B, 1, H, W), and returns a score for each, (B,).
Score = Callable[[Tensor, Tensor], Tensor]

#: Slices that are scored at once; few enough on the CPU that Cancel answers within 0.5 s.
CHUNK = {"cpu": 16, "mps": 64, "cuda": 128}

#: Slices of a case that a test looks at by default.
MOST_SLICES = 12


@dataclass(frozen=True, eq=False)
class ImageScore:
    """The networks' image-level answer for a target: a `Score`.

    Parameters
    ----------
    net : GliocamNet
        In evaluation mode.
    target : Target
        Tumour, core or edema.
    logit : bool
        Return the logit instead of the probability.
    """

    net: GliocamNet
    target: Target
    logit: bool = False

    def __call__(self, images: Tensor, brain: Tensor) -> Tensor:
        """Return the probability (or logit) that each slice shows the target, (B,)."""
        column = COLUMN[self.target]
        with torch.inference_mode():
            images = images.contiguous(memory_format=torch.channels_last)
            maps = self.net.network_of(self.target).exits_after(
                0, images, self.net.design.image_exits
            )
            logits = self.net.image_logits([m[:, column : column + 1] for m in maps], brain)[:, 0]
            return logits if self.logit else logits.sigmoid()


@dataclass(frozen=True, eq=False)
class MappedSlice:
    """A slice on the network's grid, with the map that is put to the test.

    Parameters
    ----------
    image : Tensor, (C, H, W)
        Normalised sequences, on the device.
    brain : Tensor, (1, H, W)
        1 in the brain, 0 in air.
    map_ : ndarray of float32, (H, W)
        In [0, 1].
    index : int
        Number of the slice in the case.
    """

    image: Tensor
    brain: Tensor
    map_: NDArray[np.float32]
    index: int = 0

    @property
    def inside(self) -> NDArray[np.bool_]:
        """The pixels of the brain, (H, W)."""
        inside: NDArray[np.bool_] = self.brain[0].cpu().numpy() > 0
        return inside

    @property
    def is_flat(self) -> bool:
        """Whether the map is the same all over the brain, so that it ranks no pixel."""
        values = self.map_[self.inside]
        return not values.size or bool(values.max() <= values.min())


def scored(score: Score, images: Sequence[Tensor], brain: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Score altered versions of one slice, a chunk at a time.

    Parameters
    ----------
    score : Score
        Of slices and their brain.
    images : sequence of Tensor, each (C, H, W)
        Versions of the slice; they may be made when they are asked for.
    brain : Tensor, (1, H, W)
        Of the slice.

    Yields
    ------
    start : int
        Number of the first version in the chunk.
    scores : Tensor, (b,)
    """
    size = CHUNK[brain.device.type]
    for start in range(0, len(images), size):
        some = torch.stack([images[i] for i in range(start, min(start + size, len(images)))])
        with enough_memory(brain.device):
            scores = score(some, brain.expand(len(some), -1, -1, -1))
        yield start, scores


def mapped_slices(
    prepared: Prepared, maps: ClassMaps, target: Target, slices: Sequence[int]
) -> Iterator[MappedSlice]:
    """Return slices of a case with their map, on the network's grid.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    maps : ClassMaps
        Of the case.
    target : Target
        One that has a map.
    slices : sequence of int
        Slices of the case that show brain, see `choose_slices`.
    """
    frame = prepared.stack.frame
    for index in slices:
        row = frame.indices.index(index)
        batch = prepared.batch([row])
        (plane,) = replace(frame, indices=(index,)).take(maps.of(target))
        yield MappedSlice(batch.images[0], batch.brain[0], plane, index)


def choose_slices(
    prepared: Prepared,
    maps: ClassMaps,
    target: Target,
    *,
    scope: str | int = "lesion",
    most: int | None = MOST_SLICES,
) -> list[int]:
    """Return the slices of a case on which a map is put to the test.

    Parameters
    ----------
    prepared : Prepared
        With the image-level probabilities, see `napari_gliocam.cams.run.prepare.asking`, for the
        scope "lesion".
    maps : ClassMaps
        Maps of the case; slices that they make no statement about are left out.
    target : Target
        The target of the map.
    scope : "lesion", "case" or int
        Slices on which the networks see the target, all with brain, or one.
    most : int or None
        Take no more than this, at even distances; None for all.

    Returns
    -------
    list of int
        In order; empty where the networks see no such slice, or the one shows no brain.
    """
    indices = np.array(prepared.stack.frame.indices)
    wanted = maps.spoken_slices[indices]
    if scope == "lesion":
        known = prepared.probabilities
        seen = maps.probabilities[indices] if known is None else known
        wanted = wanted & (seen[:, TARGETS.index(target)] >= GATE)
    elif scope != "case":
        wanted = wanted & (indices == scope)
    found = indices[wanted]
    if most is not None and len(found) > most:
        found = found[np.linspace(0, len(found) - 1, most).round().astype(int)]
    return [int(index) for index in found]
