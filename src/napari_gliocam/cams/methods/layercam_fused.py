"""LayerCAM of all stages as one map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.layercam import LayerCAM
from napari_gliocam.cams.methods.scorecam import unit
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.run.batch import Batch


class FusedLayerCAM(Method):
    """LayerCAM fused over the stages (Jiang et al. 2021, section III-C; paper 2, Table 1).

    The map of each stage explains the same logit, the last exit's by default.  Each is scaled to
    [0, 1] by slice and enlarged, and the result is their element-wise maximum: the authors' answer
    to what "equal weights", as paper 2 says, leaves open.
    """

    name = "layercam-fused"
    title = "LayerCAM, fused over stages"
    layered = False

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return raw maps, (T, B, h_1, w_1), in [0, 1], of the size of the first stage's."""
        network, method = batch.net.network_of(targets[0]), LayerCAM()
        score = explained.score or len(network.stages)
        last = min(network.exit_of(e) for e in ExplainedLayer(1, score).exits)
        fused: Tensor | None = None
        for layer in range(1, last + 1):
            made = unit(method.maps(batch, targets, ExplainedLayer(layer, score)))
            if fused is None:
                fused = made
            else:
                size = (fused.shape[-2], fused.shape[-1])
                enlarged = F.interpolate(made, size=size, mode="bilinear", align_corners=False)
                fused = torch.maximum(fused, enlarged)
        assert fused is not None
        return fused
