"""Occlusion sensitivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import SliceMethod, Step, Steps
from napari_gliocam.cams.methods.explained_layer import COLUMN
from napari_gliocam.cams.methods.scorecam import CHUNK
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


class Occlusion(SliceMethod):
    """Occlusion sensitivity (Zeiler and Fergus 2014, section 4.2).

    A box moves over the slice and replaces it by 0, the brain's mean.  The map is the drop of the
    class's image-level logit, as the network learned it, where the box was; a rise counts as 0.
    Boxes without brain are not tried.

    Parameters
    ----------
    box : int
        Side of the box, in pixels of the network's slice.
    stride : int
        Step of the box, in pixels.
    """

    name = "occlusion"
    title = "Occlusion sensitivity"
    unit = "positions"

    def __init__(self, box: int = 16, stride: int = 8) -> None:
        self.box = box
        self.stride = stride

    def steps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Steps:
        """Make the maps of one slice as `maps` does, a chunk of positions at a time.

        Yields
        ------
        Step
            ``so_far()`` is the map of the positions that were tried.
        """
        if len(batch) != 1:
            raise ValueError(f"occlusion takes one slice at a time, not {len(batch)}")
        height, width = batch.images.shape[-2:]
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        boxes = self._boxes(rows, columns, height, width).to(batch.images.device)
        seen = (boxes * batch.brain[0]).flatten(1).any(dim=1)
        tried = torch.nonzero(seen)[:, 0]
        drops = batch.images.new_zeros(len(targets), rows * columns)
        networks = {batch.net.network_of(t): t for t in targets}

        def so_far() -> Tensor:
            return drops.relu().view(len(targets), 1, rows, columns)

        done, total = 0, max(1, len(tried) * len(networks))
        for network, first in networks.items():
            own = [n for n, t in enumerate(targets) if batch.net.network_of(t) is network]
            with torch.inference_mode():
                whole = batch.scores(first, batch.images, 0, explained.exits)[0]
            for part in torch.split(tried, CHUNK[batch.images.device.type]):
                if not len(part):
                    continue
                with torch.inference_mode():
                    hidden = batch.images * (1 - boxes[part][:, None])
                    scores = batch.scores(first, hidden, 0, explained.exits)
                for n in own:
                    column = COLUMN[targets[n]]
                    drops[n, part] = (whole[column] - scores[:, column]).float()
                done += len(part)
                yield Step(done, total, so_far)
        return so_far()

    def _boxes(self, rows: int, columns: int, height: int, width: int) -> Tensor:
        """Return the box at each position, centred on its cell, (rows * columns, H, W) of 0, 1."""
        spans = []
        for count, length in ((rows, height), (columns, width)):
            centre = (torch.arange(count) + 0.5) * self.stride
            pixel = torch.arange(length) + 0.5
            spans.append((pixel[None] - centre[:, None]).abs() <= self.box / 2)
        boxes = spans[0][:, None, :, None] & spans[1][None, :, None, :]
        return boxes.flatten(0, 1).float()
