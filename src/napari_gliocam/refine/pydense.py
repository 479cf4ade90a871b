"""The dense CRF by the package ``pydensecrf``, the extra ``crf``: the yardstick as a backend.

It needs a compiler to install, works on the processor alone, and cannot be stopped within a slice.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import CrfParameters


def pydensecrf_marginals(
    unary: NDArray[np.float32],
    where: Sequence[NDArray[np.intp]],
    image: NDArray[Any] | None,
    parameters: CrfParameters,
    spacing: Sequence[float],
    *,
    slicewise: bool = False,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Mean field over N voxels, as `napari_gliocam.refine.crf.mean_field`.

    Parameters
    ----------
    unary : ndarray of float32, shape (K, N)
        Minus the logarithm of the probabilities.
    where : sequence of ndarray of int, each (N,)
        Place of each voxel along each axis of the grid.
    image : ndarray, shape (C, N), or None
        Intensities of 0 to 255; None: no bilateral kernel.
    parameters : CrfParameters
        Kernels and iterations.
    spacing : sequence of float
        mm along each axis.
    slicewise : bool
        True: voxels with another place on the first axis are not seen.

    Yields
    ------
    Progress
        After each slice.

    Returns
    -------
    ndarray of float32, shape (K, N)

    Raises
    ------
    GliocamError
        The package is not installed.
    """
    try:
        from pydensecrf.densecrf import DenseCRF
    except ImportError as error:
        raise GliocamError(
            'The package pydensecrf is not installed; install "napari-gliocam[crf]" or choose the '
            "backend torch."
        ) from error

    groups = np.unique(where[0]) if slicewise else [None]
    first = 1 if slicewise else 0
    marginals = np.empty_like(unary)
    for done, group in enumerate(groups, start=1):
        part = slice(None) if group is None else where[0] == group
        mm = np.stack([where[a][part] * spacing[a] for a in range(first, len(where))])
        crf = DenseCRF(mm.shape[1], len(unary))
        crf.setUnaryEnergy(np.ascontiguousarray(unary[:, part]))
        if parameters.gaussian_weight > 0:
            positions = (mm / parameters.gaussian_width).astype(np.float32)
            crf.addPairwiseEnergy(positions, compat=parameters.gaussian_weight)
        if parameters.bilateral_weight > 0 and image is not None:
            intensities = image[:, part] / parameters.intensity_width
            both = np.concatenate([mm / parameters.bilateral_width, intensities])
            crf.addPairwiseEnergy(both.astype(np.float32), compat=parameters.bilateral_weight)
        marginals[:, part] = np.array(crf.inference(parameters.iterations))
        yield Progress(done, len(groups), "dense CRF")
    return marginals
