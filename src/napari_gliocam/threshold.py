"""Maps to labels: thresholds, classes, gate.  Paper 1, section 3: tumour 0.4, class 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import (
    BOTH,
    CORE,
    EDEMA,
    LABELS,
    TARGETS,
    TUMOUR,
    TUMOUR_ALONE,
    Target,
    targets_of,
)

if TYPE_CHECKING:
    from napari_gliocam.case import Grid
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.refine.parameters import Refinement


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels of a case with what they were made from.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 claimed by both (only where not exclusive); 4 tumour
        where the maps know no classes.
    maps : ClassMaps
        The maps the labels were cut from.
    settings : Thresholds
        The thresholds used.
    refinement : Refinement or None
        What was done to the labels after the thresholds.
    unrefined : Segmentation or None
        What they were before.
    painted : int
        Voxels that were changed by hand after all that.
    """

    labels: NDArray[np.uint8]
    maps: ClassMaps
    settings: Thresholds
    refinement: Refinement | None = None
    unrefined: Segmentation | None = None
    painted: int = 0

    @property
    def grid(self) -> Grid:
        """The case's grid."""
        return self.maps.grid

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volumes of the targets of its maps in ml; both-voxels count in each class."""
        counts = np.bincount(self.labels.ravel(), minlength=len(LABELS))
        return volumes_of(counts, self.grid.voxel_ml, self.maps.targets or targets_of(self.labels))


def volumes_of(
    counts: NDArray[np.integer], voxel_ml: float, targets: Sequence[Target] = TARGETS
) -> dict[str, float]:
    """Return volumes of targets in ml from the numbers of voxels with label 0 to 4."""
    voxels = {
        "core": counts[CORE] + counts[BOTH],
        "edema": counts[EDEMA] + counts[BOTH],
        "tumour": counts[1:].sum(),
    }
    return {name: float(n * voxel_ml) for name, n in voxels.items() if name in targets}


def apply_thresholds(
    maps: ClassMaps,
    settings: Thresholds | None = None,
    *,
    out: NDArray[np.uint8] | None = None,
    where: slice | tuple[slice, ...] = slice(None),
) -> Segmentation:
    """Cut the maps into labels.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema, or of the tumour alone.
    settings : Thresholds, optional
        Paper 1's by default.
    out : ndarray of uint8, shape (S, P, L), optional
        Written in place, so that a viewer's array follows a slider without a copy.
    where : slice or tuple of slice
        The part to compute, in (S, P, L); the rest of ``out`` is left as it is.
    """
    settings = settings or Thresholds()
    labels = np.zeros(maps.grid.shape, dtype=np.uint8) if out is None else out
    index = where if isinstance(where, tuple) else (where,)
    part = labels[index]
    tumour = maps.tumour[index] > settings.tumour_threshold
    if maps.targets == TUMOUR_ALONE:
        if settings.gate:
            seen = maps.probabilities[index[0], 0] >= settings.gate_probability
            tumour &= seen[:, None, None]
        np.multiply(tumour, TUMOUR, out=part, casting="unsafe")
        return Segmentation(labels=labels, maps=maps, settings=settings)
    core, edema = maps.core[index], maps.edema[index]
    is_core = (core > settings.class_threshold) & tumour
    is_edema = (edema > settings.class_threshold) & tumour
    if settings.gate:
        open_ = maps.probabilities[index[0]] >= settings.gate_probability
        gate_tumour, gate_core, gate_edema = (open_[:, column, None, None] for column in range(3))
        is_core &= gate_tumour & gate_core
        is_edema &= gate_tumour & gate_edema
    if settings.exclusive:
        clash = is_core & is_edema
        core_wins = core >= edema
        is_core &= ~clash | core_wins
        is_edema &= ~clash | ~core_wins
    np.multiply(is_edema, EDEMA, out=part, casting="unsafe")
    part += is_core.view(np.uint8)
    return Segmentation(labels=labels, maps=maps, settings=settings)
