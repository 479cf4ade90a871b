"""The enhancing part of the core by a rule of intensity; no network was trained for it.

RANO measures enhancing disease (Wen et al. 2010), and image-level labels do not tell it from
necrosis.  The rule is simple and says so wherever its figures are shown: it also takes vessels,
blood products and bright artefacts inside the core for enhancement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.measure.lesion.diameters import Diameters, diameters
from napari_gliocam.targets import TUMOUR_ALONE, mask_of, targets_of

#: Robust standard deviations above the median of brain outside the tumour.
ENHANCING_Z = 2.0


@dataclass(frozen=True, eq=False)
class EnhancingCore:
    """The core, divided by the intensity of T1ce.

    Parameters
    ----------
    mask : ndarray of bool, shape (S, P, L)
        The enhancing part.
    ml, rest_ml : float
        Volume of the enhancing part, and of the rest of the core, in ml.
    diameters : Diameters
        Of the enhancing part of the lesion where their product is largest, on one axial slice.
    z : float
        The rule's threshold, in robust standard deviations.
    """

    mask: NDArray[np.bool_]
    ml: float
    rest_ml: float
    diameters: Diameters
    z: float

    @property
    def rule(self) -> str:
        """The rule in a sentence."""
        return (
            f"Enhancing: core that is brighter in T1ce than the median of brain outside the tumour "
            f"by more than {self.z:g} robust standard deviations. A rule of intensity, no network: "
            "vessels and blood in the core count as well."
        )


def enhancing_core(case: Case, labels: NDArray[Any], *, z: float = ENHANCING_Z) -> EnhancingCore:
    """Divide the core into what enhances and what does not.

    Parameters
    ----------
    case : Case
        With T1ce.
    labels : ndarray of an integer type, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both; 4, tumour that is not divided, is an error.
    z : float
        A voxel of the core enhances where T1ce exceeds the median of brain outside the tumour by
        more than this many robust standard deviations (1.4826 times the median absolute
        deviation).

    Raises
    ------
    CaseError
        The case has no T1ce, or no brain outside the tumour, or the tumour is not divided.
    """
    if targets_of(labels) == TUMOUR_ALONE:
        raise CaseError(
            f'The labels of "{case.name}" do not divide the tumour into core and edema; choose a '
            "bundle that knows both, or leave the enhancing part out."
        )
    if Modality.T1CE not in case.volumes:
        raise CaseError(
            f'Case "{case.name}" has no T1ce, which shows what enhances; add the file or leave '
            "the enhancing part out."
        )
    volume = case.volumes[Modality.T1CE]
    normal = volume[case.brain & (labels == 0)].astype(np.float64)
    if not normal.size:
        raise CaseError(
            f'Case "{case.name}" has no brain outside the tumour to compare with; leave the '
            "enhancing part out."
        )
    median = float(np.median(normal))
    spread = 1.4826 * float(np.median(np.abs(normal - median)))
    core = mask_of(labels, "core")
    mask: NDArray[np.bool_] = core & (volume > median + z * spread)
    ml = case.grid.voxel_ml
    found = int(mask.sum())
    size = diameters(mask, case.grid.spacing, labels > 0)
    return EnhancingCore(mask, found * ml, (int(core.sum()) - found) * ml, size, z)
