"""LayerCAM, of one stage or fused over all as one map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.gradcam import GradientMethod
from napari_gliocam.cams.methods.scorecam import unit
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.run.batch import Batch


class LayerCAM(GradientMethod):
    """LayerCAM (Jiang et al. 2021, Eq. 7).

    ``ReLU(sum_k ReLU(dy/dA_k) A_k)``: every pixel has a weight of its own, so that the maps of
    shallow layers keep their detail.  The map is multiplied by the layer's number of pixels, over
    which pooling spreads the gradient, so that every scale counts the same at several scales.
    """

    name = "layercam"
    title = "LayerCAM"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weigh the channels by their positive gradient, pixel by pixel."""
        pixels = activation.shape[-2] * activation.shape[-1]
        return torch.einsum("bchw,bchw->bhw", gradient.relu(), activation) * pixels


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
