"""Clusters of a slice without any label: superpixels and the network of paper 4, section 2.1.

A small convolutional network is trained on the one slice (Kanezaki 2018; Kim et al. 2020): every
pixel is drawn towards the label that is its own strongest response (similarity), and towards that
of most pixels in its superpixel and of its neighbours (continuity).  Labels die out as it learns.
"""

# mypy: untyped-calls-exclude="skimage,torch"

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.progress import Progress, finish
from napari_gliocam.refine.parameters import ClusterParameters

if TYPE_CHECKING:
    from torch import Tensor

#: Of the network's gradient descent, as in the paper's released code.
MOMENTUM = 0.9


@dataclass(frozen=True, eq=False)
class Clustering:
    """A slice in pieces.

    Parameters
    ----------
    superpixels : ndarray of int32, shape (P, L)
        Numbered from 1; 0 outside the brain.
    clusters : ndarray of int32, shape (P, L)
        Likewise: superpixels that the network took for one, connected.
    """

    superpixels: NDArray[np.int32]
    clusters: NDArray[np.int32]


def cluster_slice(
    image: NDArray[np.floating],
    brain: NDArray[np.bool_],
    parameters: ClusterParameters | None = None,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.int32]:
    """Cut a slice into connected clusters of like pixels.

    Parameters
    ----------
    image : ndarray, shape (C, P, L)
        Modalities in intensities of 0 to 255 (`napari_gliocam.refine.crf.to_bytes`), finite.
    brain : ndarray of bool, shape (P, L)
        Pixels to cluster.
    parameters : ClusterParameters, optional
        The defaults of `ClusterParameters` if not given.
    spacing : (P, L)
        Pixel size in mm.

    Returns
    -------
    ndarray of int32, shape (P, L)
        4-connected clusters, numbered from 1; 0 outside the brain.  The same for the same seed.
    """
    return finish(clustering_slice(image, brain, parameters, spacing=spacing)).clusters


def clustering_slice(
    image: NDArray[np.floating],
    brain: NDArray[np.bool_],
    parameters: ClusterParameters | None = None,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> Generator[Progress, None, Clustering]:
    """Cluster as `cluster_slice` does; yield after each iteration, return the superpixels, too."""
    from napari_gliocam.case import bounding_box

    parameters = parameters or ClusterParameters()
    pieces = Clustering(*(np.zeros(brain.shape, dtype=np.int32) for _ in range(2)))
    box = bounding_box(brain)
    if box is None:
        return pieces
    inside, part = brain[box], image[(slice(None), *box)]
    yield Progress(0, 1, "superpixels")
    labels = superpixels(part, inside, parameters, spacing=spacing)
    pieces.superpixels[box] = labels
    if parameters.network:
        labels = yield from _learning(part, labels, parameters)
    pieces.clusters[box] = connected(labels, inside)
    return pieces


def superpixels(
    image: NDArray[np.floating],
    brain: NDArray[np.bool_],
    parameters: ClusterParameters,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.int32]:
    """SLIC or Quickshift, numbered from 1 inside the brain and 0 outside, shape (P, L)."""
    from skimage.segmentation import quickshift, slic

    percent = np.moveaxis(image, 0, -1) * np.float32(100.0 / 255.0)
    if parameters.superpixels == "slic":
        area_mm2 = brain.size * spacing[0] * spacing[1]
        # scikit-image stretches intensities to [0, 1], whatever their range was
        span = max(float(np.ptp(percent)), 1.0)
        labels = slic(
            percent,
            n_segments=max(1, round(area_mm2 / parameters.superpixel_mm2)),
            compactness=parameters.compactness / span,
            spacing=spacing,
            convert2lab=False,
            channel_axis=-1,
        )
    else:
        labels = quickshift(
            percent / 100.0,
            ratio=parameters.ratio,
            kernel_size=parameters.kernel_size,
            max_dist=parameters.max_dist,
            convert2lab=False,
            rng=parameters.seed,
            channel_axis=-1,
        )
    return np.where(brain, labels - labels.min() + 1, 0).astype(np.int32)


def connected(labels: NDArray[np.integer], brain: NDArray[np.bool_]) -> NDArray[np.int32]:
    """4-connected components of equal label, numbered from 1; 0 outside the brain."""
    from skimage.measure import label

    inside = np.where(brain, labels + 1, 0)
    components: NDArray[np.int32] = label(inside, background=0, connectivity=1).astype(np.int32)
    return components


def edge_map(clusters: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels with another cluster below or to the right (paper 4's boundaries)."""
    edges = np.zeros(clusters.shape, dtype=np.bool_)
    edges[:-1] |= clusters[:-1] != clusters[1:]
    edges[:, :-1] |= clusters[:, :-1] != clusters[:, 1:]
    return edges


def _learning(
    image: NDArray[np.floating], superpixel: NDArray[np.int32], parameters: ClusterParameters
) -> Generator[Progress, None, NDArray[np.int32]]:
    """Train the network on one slice; the label of every pixel, (P, L), is its superpixel's.

    It looks at every ``stride``-th pixel, averaged over its neighbours: the superpixels hold the
    borders, and a label for each of them is all that is asked for.
    """
    import torch
    from torch.nn import functional as F

    stride = parameters.stride
    coarse = torch.from_numpy(superpixel[::stride, ::stride].astype(np.int64))
    seen = coarse > 0
    if int(seen.sum()) < 2:  # nothing to learn from
        return superpixel
    with torch.no_grad():
        data = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None]
        data = F.avg_pool2d(data, stride, ceil_mode=True)
        values = data[:, :, seen]
        spread = values.std(2, keepdim=True, unbiased=False).clamp_(min=1e-6)
        data = (data - values.mean(2)[..., None, None]) / spread[..., None] * seen
    layers = _layers(data.shape[1], parameters)
    weights = [weight for layer in layers for weight in layer]
    speeds = [torch.zeros_like(weight) for weight in weights]
    count = int(superpixel.max()) + 1
    votes = torch.zeros(count, dtype=torch.int64)
    for done in range(1, parameters.iterations + 1):
        response = _respond(layers, data)[0, :, seen].T
        new = _vote(response.detach().argmax(1), coarse[seen], count, parameters.max_labels)
        labels = new[coarse[seen]]
        if len(labels.unique()) < parameters.min_labels and done > 1:
            break
        votes = new
        slopes = torch.autograd.grad(F.cross_entropy(response, labels), weights)
        with torch.no_grad():  # torch.optim would load the whole compiler for this
            for weight, speed, slope in zip(weights, speeds, slopes, strict=True):
                speed.mul_(MOMENTUM).add_(slope)
                weight.sub_(speed, alpha=parameters.learning_rate)
        yield Progress(done, parameters.iterations, "clustering")
    # A superpixel that fell between the pixels looked at stays a cluster of its own.
    unseen = torch.bincount(coarse[seen], minlength=count) == 0
    votes = torch.where(unseen, parameters.max_labels + torch.arange(count), votes)
    return votes.numpy().astype(np.int32)[superpixel]


def _layers(channels: int, parameters: ClusterParameters) -> list[list[Tensor]]:
    """Draw the weights of two 3 x 3 layers and a 1 x 1 layer: kernel, scale and shift of each."""
    import torch

    random = torch.Generator().manual_seed(parameters.seed)
    layers = []
    for outputs, inputs, size in (
        (parameters.width, channels, 3),
        (parameters.width, parameters.width, 3),
        (parameters.max_labels, parameters.width, 1),
    ):
        spread = (inputs * size * size) ** -0.5
        kernel = torch.randn(outputs, inputs, size, size, generator=random) * spread
        layers.append([kernel, torch.ones(outputs), torch.zeros(outputs)])
    return [[weight.requires_grad_() for weight in layer] for layer in layers]


def _respond(layers: list[list[Tensor]], data: Tensor) -> Tensor:
    """Return the responses of the network, (1, max_labels, P, L)."""
    import torch
    from torch.nn import functional as F

    with torch.enable_grad():
        for number, (kernel, scale, shift) in enumerate(layers):
            data = F.conv2d(data, kernel, padding="same")
            data = F.batch_norm(data, None, None, scale, shift, training=True)
            if number < len(layers) - 1:
                data = data.relu()
    return data


def _vote(labels: Tensor, superpixel: Tensor, count: int, label_count: int) -> Tensor:
    """Return the label of most pixels in each of ``count`` superpixels."""
    import torch

    votes = torch.bincount(superpixel * label_count + labels, minlength=count * label_count)
    return votes.view(count, label_count).argmax(1)
