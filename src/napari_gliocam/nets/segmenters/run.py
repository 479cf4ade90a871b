"""Run a segmentation network over the slices of a case."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gliocam.nets.segmenters.blend import share_of_core, shared_out
from napari_gliocam.nets.segmenters.design import SIDE_MULTIPLE, SegmenterDesign
from napari_gliocam.nets.segmenters.neighbours import with_neighbours
from napari_gliocam.progress import Progress
from napari_gliocam.slices import SliceStack
from napari_gliocam.targets import TARGETS

#: Pixels whose mean logit, after a 3 x 3 average, is the image-level logit of a slice.
SCORE_PIXELS = 8
#: Logit of a class in air.
_AIR = -10.0


@dataclass(frozen=True, eq=False)
class Segmented:
    """The answer of a segmentation network on N slices.

    Parameters
    ----------
    maps : ndarray of float32, (3, N, H, W)
        Tumour, core and edema in the form of a bundle's maps, in [0, 1], 0 in air: the tumour map
        is a probability, shifted in log-odds to the threshold of the bundle; the class maps share
        it out.
    scores : ndarray of float32, (N, 3)
        Image-level probabilities: how sure it is of its surest pixels.
    """

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]


def image_logits(logits: Tensor, brain: Tensor) -> Tensor:
    """Return the image-level logits (B, C) of maps of logits (B, C, H, W).

    Parameters
    ----------
    logits : Tensor, (B, C, H, W)
        Maps of a segmentation network.
    brain : Tensor of bool, (B, 1, H, W)
        Pixels of the brain.
    """
    inside = logits.masked_fill(~brain, _AIR)
    smooth = F.avg_pool2d(inside, 3, 1, 1, count_include_pad=False).flatten(2)
    return smooth.topk(min(SCORE_PIXELS, smooth.shape[2]), dim=2).values.mean(dim=2)


def running_segmenter(
    network: nn.Module,
    design: SegmenterDesign,
    stack: SliceStack,
    spacing_mm: float,
    device: torch.device,
    batch: int,
    even: float = 0.5,
) -> Generator[Progress, None, Segmented]:
    """Run a network over all slices of a case, a batch at a time.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    design : SegmenterDesign
        Its design.
    stack : SliceStack
        The slices, N.
    spacing_mm : float
        Distance between them.
    device : torch.device
        Where it runs.
    batch : int
        Slices at once.
    even : float
        Value of the tumour map at even odds, in (0, 1): the threshold that is to cut it there.

    Yields
    ------
    Progress
        Slices done; nothing stays open across a yield.

    Returns
    -------
    Segmented

    Raises
    ------
    torch.OutOfMemoryError
        If the memory of the device does not suffice.
    """
    network = network.to(device).to(memory_format=torch.channels_last)
    total, (height, width) = len(stack.frame), stack.frame.network_shape
    images = with_neighbours(stack.images, spacing_mm, design)
    found = Segmented(
        np.zeros((len(TARGETS), total, height, width), dtype=np.float32),
        np.zeros((total, len(TARGETS)), dtype=np.float32),
    )
    words = "running the segmentation network"
    yield Progress(0, total, words)
    for start in range(0, total, batch):
        part = slice(start, min(start + batch, total))
        made = segment_slices(network, design, images[part], stack.brain[part], device, even)
        found.maps[:, part], found.scores[part] = made.maps, made.scores
        yield Progress(part.stop, total, words)
    return found


def segment_slices(
    network: nn.Module,
    design: SegmenterDesign,
    images: NDArray[np.float32],
    brain: NDArray[np.bool_],
    device: torch.device,
    even: float = 0.5,
) -> Segmented:
    """Run a network over some slices at once.

    Parameters
    ----------
    network : Module
        In evaluation mode, on the device.
    design, device, even
        As in `running_segmenter`.
    images : ndarray of float32, (B, K * C, H, W)
        Slices with their neighbours as further channels.
    brain : ndarray of bool, (B, H, W)
        Pixels of the brain.
    """
    height, width = images.shape[-2:]
    even = min(max(even, 1e-3), 1 - 1e-3)
    with torch.inference_mode():
        room = (0, -width % SIDE_MULTIPLE, 0, -height % SIDE_MULTIPLE)
        given = F.pad(torch.from_numpy(images).to(device), room)
        inside = torch.from_numpy(brain).to(device)[:, None]
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            logits = _logits(network, given, design)[..., :height, :width].float()
        scores = image_logits(logits, inside).sigmoid().cpu().numpy()
        shift = torch.tensor([log(even / (1 - even)), 0.0, 0.0], device=device)[:, None, None]
        shifted = (logits + shift).sigmoid() * inside
        probabilities = shifted.transpose(0, 1).cpu().numpy()
    return Segmented(shared_out(probabilities[0], share_of_core(probabilities)), scores)


def _logits(network: nn.Module, images: Tensor, design: SegmenterDesign) -> Tensor:
    images = images.contiguous(memory_format=torch.channels_last)
    logits: Tensor = network(images)
    if design.mirror:
        logits = (logits + network(images.flip(3)).flip(3)) / 2
    return logits
