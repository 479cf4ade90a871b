"""Targets of the networks, the values of labels, and the voxels that belong to each target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Target = Literal["tumour", "core", "edema"]
#: In the order of the networks' outputs and of every array with an axis for them.
TARGETS: tuple[Target, ...] = ("tumour", "core", "edema")

#: Values of a label volume; a voxel that both classes claim is kept only where they may overlap.
BACKGROUND, CORE, EDEMA, BOTH = 0, 1, 2, 3
CLASS_NAMES = {CORE: "core", EDEMA: "edema", BOTH: "core and edema"}


def masks_of(labels: NDArray[Any]) -> dict[Target, NDArray[np.bool_]]:
    """Return the voxels of tumour, core and edema; a voxel of both counts in each class.

    Parameters
    ----------
    labels : ndarray of any integer type, any shape
        0 background, 1 core, 2 edema, 3 both.

    Returns
    -------
    dict of target to ndarray of bool, the shape of ``labels``
    """
    return {target: mask_of(labels, target) for target in TARGETS}


def mask_of(labels: NDArray[Any], target: Target) -> NDArray[np.bool_]:
    """Return the voxels of one target; see `masks_of`."""
    mask: NDArray[np.bool_]
    if target == "tumour":
        mask = labels > BACKGROUND
    else:
        mask = (labels == (CORE if target == "core" else EDEMA)) | (labels == BOTH)
    return mask
