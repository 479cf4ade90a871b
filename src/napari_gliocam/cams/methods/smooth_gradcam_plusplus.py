"""SmoothGradCAM++."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_gliocam.cams.methods.base import Convention, Method, Step, Steps, finish_steps
from napari_gliocam.cams.methods.gradcam import weigh_channels
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer


class SmoothGradCAMPlusPlus(Method):
    """SmoothGradCAM++ (Omeiza et al. 2019; paper 5, section 2.2 and appendix B).

    GradCAM++ with the powers of the gradient averaged over noisy copies of the slice:
    ``a = D2 / (2 D2 + S D3)``, ``w_k = sum_ij a_ij ReLU(D1_ij)``, ``Dp`` the mean of ``g^p``;
    the activations are those of the slice without noise.  (The paper prints D1 in the numerator
    of ``a``; D2 is what GradCAM++ has, and torch-cam.  A negative D3 counts as 0, so that ``a``
    stays between 0 and 1/2.)

    Parameters
    ----------
    samples : int
        Noisy copies.
    sigma : float
        Standard deviation of the noise; the network's input has one of 1 over the brain.
    seed : int
        Every slice gets the same noise, so that it does not matter which slices are asked for.
    convention : {"paper", "torch-cam"}
        torch-cam takes ``sum_ij A_k D3`` in place of ``S D3``, the gradient of the last sample
        for D1, and weighs the activations of the last sample.
    """

    name = "smoothgradcam++"
    title = "SmoothGradCAM++"

    def __init__(
        self,
        samples: int = 4,
        sigma: float = 0.3,
        seed: int = 0,
        convention: Convention = "paper",
    ) -> None:
        self.samples = samples
        self.sigma = sigma
        self.seed = seed
        self.convention = convention

    def noise(self, images: Tensor) -> Tensor:
        """Return the noise of every sample, (samples, C, H, W), on the device of the images."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.samples, *images.shape[1:])
        return (torch.randn(shape, generator=generator) * self.sigma).to(images.device)

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return raw maps, (T, B, h, w), 0 or more."""
        return finish_steps(self.steps(batch, targets, explained))

    def steps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Steps:
        """Make the maps as `maps` does, a sample at a time."""
        weighed = clean = [batch.activation(t, explained.layer) for t in targets]
        first, second, third = ([torch.zeros_like(a) for a in clean] for _ in range(3))

        def so_far() -> Tensor:
            parts = zip(clean, weighed, first, second, third, strict=True)
            with torch.no_grad():
                return torch.stack(
                    [
                        weigh_channels(self._weights(a, d1, d2, d3, done), shown).relu()
                        for a, shown, d1, d2, d3 in parts
                    ]
                )

        for done, noise in enumerate(self.noise(batch.images), start=1):
            noisy = Batch(batch.net, batch.images + noise, batch.brain)
            for index, gradient in enumerate(noisy.gradients(targets, explained)):
                if self.convention == "torch-cam":
                    first[index] = gradient * done  # divided by their number in the end
                else:
                    first[index] += gradient
                second[index] += gradient**2
                third[index] += gradient**3
            if self.convention == "torch-cam":
                weighed = [noisy.activation(t, explained.layer) for t in targets]
            yield Step(done, self.samples, so_far)
        return so_far()

    def _weights(
        self, activation: Tensor, first: Tensor, second: Tensor, third: Tensor, samples: int
    ) -> Tensor:
        if self.convention == "torch-cam":
            below = 2 * second + (activation * third).sum(dim=(2, 3), keepdim=True)
            share = second / (below + 1e-8 * samples)
        else:
            total = activation.sum(dim=(2, 3), keepdim=True)
            below = 2 * second + total * third.clamp_min(0)
            share = second / below.clamp_min(torch.finfo(below.dtype).tiny)
        return (share * (first / samples).relu()).sum(dim=(2, 3))
