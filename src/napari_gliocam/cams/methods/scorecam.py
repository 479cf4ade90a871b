"""ScoreCAM, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.base import Convention, SliceMethod, Step, Steps
from napari_gliocam.cams.methods.explained_layer import COLUMN
from napari_gliocam.cams.methods.gradcam import weigh_channels
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch

#: Masked copies of a slice that the device scores at once.
CHUNK = {"cpu": 16, "mps": 64, "cuda": 256}


class ScoreCAM(SliceMethod):
    """ScoreCAM (Wang et al. 2020, Eq. 5 to 7).

    ``ReLU(sum_k w_k A_k)`` with ``w = softmax over the channels of y(X * s(Up(A_k)))``: each
    channel of the layer, enlarged and brought into [0, 1], masks the slice, and its weight is the
    score of the masked slice.  The softmax does not depend on the paper's baseline ``y(X_b)``.
    The score is the image-level logit as the network learned it, whatever an exit's polarity.

    It needs no gradient, but a pass of the network for every channel.  Three things save time
    and leave the values as they are: classes of one network share the passes, and those end at
    the exit that is asked for; a channel that is constant over the slice masks all of it, so
    such channels share one score; masked slices are made when they are scored.

    Parameters
    ----------
    convention : {"paper", "torch-cam", "pytorch-grad-cam"}
        The mask.  torch-cam brings a channel into [0, 1] before it is enlarged;
        pytorch-grad-cam enlarges with the pixels' centres at the corners aligned, which moves
        it by up to half a pixel of the layer.
    """

    name = "scorecam"
    title = "ScoreCAM"
    unit = "channels"

    def __init__(self, convention: Convention = "paper") -> None:
        self.convention = convention

    def steps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Steps:
        """Make the maps of one slice as `maps` does, a chunk of channels at a time.

        Yields
        ------
        Step
            ``so_far()`` is the map of the channels that are scored.
        """
        if len(batch) != 1:
            raise ValueError(f"ScoreCAM takes one slice at a time, not {len(batch)}")
        networks = {batch.net.network_of(t): t for t in targets}
        masks = {
            n: self.channels(batch.activation(t, explained.layer)) for n, t in networks.items()
        }
        scores = {n: m.new_full((len(m), n.classes), -torch.inf) for n, m in masks.items()}

        def so_far() -> Tensor:
            maps = []
            for target in targets:
                activation = batch.activation(target, explained.layer)
                known = scores[batch.net.network_of(target)][:, COLUMN[target]]
                maps.append(self.weigh(activation, known))
            return torch.stack(maps)

        size = CHUNK[batch.images.device.type]
        done, total = 0, sum(len(m) for m in masks.values())
        for network, target in networks.items():
            varying, constant = self.split(masks[network])
            chunks = [(some, some) for some in torch.split(varying, size)]
            chunks.append((constant[:1], constant))
            for some, alike in chunks:
                if len(some):
                    with torch.inference_mode():
                        masked = batch.images * self.enlarge(masks[network][some], batch)
                        masked = masked.contiguous(memory_format=torch.channels_last)
                        scores[network][alike] = batch.scores(target, masked, 0, explained.exits)
                    done += len(alike)
                    yield Step(done, total, so_far)
        return so_far()

    def channels(self, activation: Tensor) -> Tensor:
        """Return the masks of a slice: (1, C, h, w) -> (C, h, w)."""
        return activation[0]

    def split(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of the channels to score one by one, and of the constant ones."""
        varies = channels.amax(dim=(1, 2)) > channels.amin(dim=(1, 2))
        return torch.nonzero(varies)[:, 0], torch.nonzero(~varies)[:, 0]

    def enlarge(self, channels: Tensor, batch: Batch) -> Tensor:
        """Return masks of the size of the slice: (K, h, w) -> (K, 1, H, W) in [0, 1]."""
        size, aligned = batch.images.shape[-2:], self.convention == "pytorch-grad-cam"
        masks = channels[:, None]
        if self.convention == "torch-cam":
            masks = unit(masks)
        masks = F.interpolate(masks, size=size, mode="bilinear", align_corners=aligned)
        return masks if self.convention == "torch-cam" else unit(masks)

    def weigh(self, activation: Tensor, scores: Tensor) -> Tensor:
        """Return the map (1, h, w) from the scores of the channels, -inf for those without."""
        if not torch.isfinite(scores).any():
            return torch.zeros_like(activation[:, 0])
        return weigh_channels(scores.softmax(dim=0)[None], activation).relu()


def unit(masks: Tensor) -> Tensor:
    """Scale each of (K, 1, H, W) to [0, 1] by its minimum and maximum; 0 where it is constant."""
    low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
    return (masks - low) / (high - low).clamp_min(torch.finfo(masks.dtype).tiny)
