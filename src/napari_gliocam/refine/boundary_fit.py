"""BoundaryFit (paper 4, section 2.3): a mask gives up the clusters that reach out of it.

The paper fills from every pixel outside the mask over the cluster that it lies in.  That is the
same as counting, for each connected cluster, the pixels inside the mask: one pass, no filling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.refine.parameters import FitParameters
from napari_gliocam.targets import BACKGROUND, BOTH, CORE, EDEMA, TUMOUR


def fit_mask(
    mask: NDArray[np.bool_], clusters: NDArray[np.integer], min_inside: float = 1.0
) -> NDArray[np.bool_]:
    """Fit a mask to clusters.

    Parameters
    ----------
    mask : ndarray of bool
        The mask to fit, one slice.
    clusters : ndarray of int, same shape
        Numbers of connected clusters from 1 (`napari_gliocam.refine.clusters`); 0 is in none.
    min_inside : float
        A cluster becomes part of the result, as a whole, if at least this fraction of its
        pixels lies inside the mask, in (0, 1]; 1 is the paper.

    Returns
    -------
    ndarray of bool
        With ``min_inside`` 1 a part of the mask.
    """
    numbers = clusters.ravel()
    sizes = np.bincount(numbers)
    inside = np.bincount(numbers, weights=mask.ravel(), minlength=len(sizes))
    kept = (inside >= min_inside * sizes) & (inside > 0)
    kept[0] = False
    fitted: NDArray[np.bool_] = kept[clusters]
    return fitted


def fit_labels(
    labels: NDArray[np.uint8],
    clusters: NDArray[np.integer],
    parameters: FitParameters | None = None,
) -> NDArray[np.uint8]:
    """Fit the tumour, then each class inside it.

    Parameters
    ----------
    labels : ndarray of uint8
        0 background, 1 core, 2 edema, 3 both; 4 tumour, where it is not divided.
    clusters : ndarray of int, same shape
        As in `fit_mask`.
    parameters : FitParameters, optional
        The defaults of `FitParameters` if not given.

    Returns
    -------
    ndarray of uint8
        No cluster is cut: with classes ``"by cluster"`` a cluster of the tumour is one class
        as a whole, that of most of its pixels (core at a tie).  With ``"as they are"`` each
        pixel keeps its class, and those that the tumour gained take that of their cluster.
    """
    parameters = parameters or FitParameters()
    tumour = fit_mask(labels > 0, clusters, parameters.min_inside)
    if (labels == TUMOUR).any():
        return tumour * np.uint8(TUMOUR)
    numbers = clusters.ravel()
    counts = [
        np.bincount(numbers, weights=np.isin(labels, of).ravel())
        for of in ((CORE, BOTH), (EDEMA, BOTH))
    ]
    by_cluster = np.where(counts[0] >= counts[1], CORE, EDEMA).astype(np.uint8)[clusters]
    if parameters.classes == "as they are":
        by_cluster = np.where(labels > 0, labels, by_cluster)
    fitted: NDArray[np.uint8] = np.where(tumour, by_cluster, np.uint8(BACKGROUND))
    return fitted
