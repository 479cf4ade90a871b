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
    shallow layers keep their detail.
    """

    name = "layercam"
    title = "LayerCAM"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Channels weighted by their positive gradient, pixel by pixel."""
        return torch.einsum("bchw,bchw->bhw", gradient.relu(), activation)
