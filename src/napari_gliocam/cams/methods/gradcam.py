"""GradCAM."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Method
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
    from napari_gliocam.cams.run.batch import Batch


class GradientMethod(Method):
    """Base of the methods that combine a layer's activations and the score's gradient by them."""

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return raw maps, (T, B, h, w), 0 or more."""
        gradients = batch.gradients(targets, explained)
        with torch.no_grad():
            return torch.stack(
                [
                    self.combine(batch.activation(target, explained.layer), gradient).relu()
                    for target, gradient in zip(targets, gradients, strict=True)
                ]
            )

    @abstractmethod
    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sum the channels into a map before the ReLU: 2 x (B, C, h, w) -> (B, h, w)."""


class GradCAM(GradientMethod):
    """GradCAM (Selvaraju et al. 2017; paper 5, appendix B).

    ``ReLU(sum_k a_k A_k)`` with ``a_k`` the sum of ``dy/dA_k`` over the layer, where the paper
    takes the mean.  The factor leaves a map in [0, 1] as it is, and at several scales every scale
    counts the same: right before an exit ``a_k`` is the classifier's weight (paper 3, Eq. 1), and
    the map is the exit's own without its bias, cut at 0.
    """

    name = "gradcam"
    title = "GradCAM"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weigh each channel by the sum of its gradient."""
        return weigh_channels(gradient.sum(dim=(2, 3)), activation)


def weigh_channels(weights: Tensor, activation: Tensor) -> Tensor:
    """Return ``sum_k w_k A_k``: (B, C) and (B, C, h, w) -> (B, h, w)."""
    return torch.einsum("bc,bchw->bhw", weights, activation)
