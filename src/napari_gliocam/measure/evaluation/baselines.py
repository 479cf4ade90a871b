"""Three baselines without a network, which a segmentation has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.slices import normalise
from napari_gliocam.targets import BOTH, CORE, EDEMA


def baselines(case: Case) -> dict[str, NDArray[np.uint8]]:
    """Return labels of every baseline that the case's modalities allow.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.

    Returns
    -------
    dict of str to ndarray of uint8, shape (S, P, L)
        ``"nothing"``; ``"all brain"``, which calls every voxel of it core and edema (3); and,
        where there is a FLAIR, ``"intensity"`` (`intensity_threshold`).
    """
    everything = {
        "nothing": np.zeros(case.grid.shape, dtype=np.uint8),
        "all brain": case.brain.astype(np.uint8) * np.uint8(BOTH),
    }
    if Modality.FLAIR in case.volumes and case.brain.any():
        everything["intensity"] = intensity_threshold(case)
    return everything


def intensity_threshold(
    case: Case, *, tumour: float = 1.25, core: float = 1.5
) -> NDArray[np.uint8]:
    """Call bright FLAIR tumour, bright T1ce inside it core, and the rest of it edema.

    The defaults were once tuned on the cases of BraTS 2021 that this project validates on, so
    the baseline has an advantage.

    Parameters
    ----------
    case : Case
        Without T1ce all tumour is edema.
    tumour, core : float
        Standard deviations above the brain's mean, in FLAIR and in T1ce.

    Returns
    -------
    ndarray of uint8, shape (S, P, L)

    Raises
    ------
    CaseError
        The case has no FLAIR.
    """
    if Modality.FLAIR not in case.volumes:
        raise CaseError(f'Case "{case.name}" has no FLAIR to threshold; add the file.')
    labels = np.where(normalise(case.volumes[Modality.FLAIR], case.brain) > tumour, EDEMA, 0)
    if Modality.T1CE in case.volumes:
        bright = normalise(case.volumes[Modality.T1CE], case.brain) > core
        labels[bright & (labels > 0)] = CORE
    return labels.astype(np.uint8)
