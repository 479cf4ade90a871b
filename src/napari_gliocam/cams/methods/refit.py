"""GradCAM of the classifier on the cluster image of a slice (ReFit, paper 4, section 2.2)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_gliocam.cams.methods.gradcam import GradCAM
from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.refine.clusters import cluster_slice
from napari_gliocam.refine.parameters import ClusterParameters
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_gliocam.cams.methods.explained_layer import ExplainedLayer

#: Normalised intensities that become 0 and 255 for the clustering.
_DARK, _BRIGHT = -4.0, 6.0


class RefitGradCAM(GradCAM):
    """GradCAM of what the classifier sees of a slice in pieces.

    Each slice is cut into clusters without any label, each cluster takes the mean of its pixels in
    every modality, and the network is asked about that image.  With the threshold 0.7 and
    BoundaryFit (`napari_gliocam.refine.boundary_fit`) it is the whole of paper 4 before its
    segmentation network.

    Parameters
    ----------
    pixel_mm : float
        Pixel of the slices, for the size of the superpixels.
    clusters : ClusterParameters, optional
        The defaults of `ClusterParameters` if not given.
    """

    name = "refit"
    title = "GradCAM of clusters (ReFit)"

    def __init__(self, pixel_mm: float = 1.5, clusters: ClusterParameters | None = None) -> None:
        self.pixel_mm = pixel_mm
        self.clusters = clusters or ClusterParameters()

    def describe(self) -> dict[str, Any]:
        """Return name and settings as plain values."""
        return {"name": self.name, "pixel_mm": self.pixel_mm, "clusters": asdict(self.clusters)}

    def maps(self, batch: Batch, targets: tuple[Target, ...], explained: ExplainedLayer) -> Tensor:
        """Return raw maps, (T, B, h, w), 0 or more."""
        return super().maps(self._in_pieces(batch), targets, explained)

    def _in_pieces(self, batch: Batch) -> Batch:
        images, brain = batch.images.cpu().numpy(), batch.brain[:, 0].cpu().numpy() > 0.5
        pieces = np.stack([self._cluster_image(*one) for one in zip(images, brain, strict=True)])
        return Batch(batch.net, torch.from_numpy(pieces).to(batch.images), batch.brain)

    def _cluster_image(
        self, image: NDArray[np.float32], brain: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return a slice (C, H, W) whose clusters have one value in each modality."""
        scaled = np.clip((image - _DARK) / (_BRIGHT - _DARK), 0, 1) * np.float32(255)
        spacing = (self.pixel_mm, self.pixel_mm)
        numbers = cluster_slice(scaled, brain, self.clusters, spacing=spacing).ravel()
        sizes = np.maximum(np.bincount(numbers), 1)
        means = [np.bincount(numbers, weights=c.ravel()) / sizes for c in image]
        painted = np.stack([mean[numbers].reshape(brain.shape) for mean in means])
        return (painted * brain).astype(np.float32)
