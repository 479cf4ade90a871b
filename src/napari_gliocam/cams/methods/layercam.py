"""LayerCAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.gradcam import GradientMethod

if TYPE_CHECKING:
    from torch import Tensor


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
