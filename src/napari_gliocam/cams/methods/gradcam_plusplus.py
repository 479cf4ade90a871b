"""GradCAM++."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gliocam.cams.methods.base import Convention
from napari_gliocam.cams.methods.gradcam import GradientMethod, weigh_channels

if TYPE_CHECKING:
    from torch import Tensor


class GradCAMPlusPlus(GradientMethod):
    """GradCAM++ (Chattopadhay et al. 2018, Eq. 19; paper 5, appendix B).

    ``ReLU(sum_k w_k A_k)`` with ``w_k = sum_ij a_ij ReLU(g_ij)``, ``g = dy/dA_k`` and
    ``a = g^2 / (2 g^2 + S g^3)``, ``S = sum_ij A_k``, where powers of the gradient stand for
    the higher derivatives (the score goes through an exponential).  The paper's weight needs no
    small number against division by zero: ``a = 1 / (2 + S g)``, and S is 0 or more.

    Parameters
    ----------
    convention : {"paper", "torch-cam", "pytorch-grad-cam"}
        pytorch-grad-cam adds 1e-6 to the denominator, more than the denominator itself where
        gradients are small.  torch-cam 0.5 divides a copy, so its ``a`` is ``g^2``.
    """

    name = "gradcam++"
    title = "GradCAM++"

    def __init__(self, convention: Convention = "paper") -> None:
        self.convention = convention

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weigh the channels by their positive gradients, each by its share."""
        positive = gradient.relu()
        if self.convention == "torch-cam":
            share = gradient**2
        else:
            total = activation.sum(dim=(2, 3), keepdim=True)
            share = 1 / (2 + total * positive)
            if self.convention == "pytorch-grad-cam":
                square = positive**2
                share = square / (2 * square + total * positive**3 + 1e-6)
        return weigh_channels((share * positive).sum(dim=(2, 3)), activation)
