"""Targets of the networks, the values of labels, and the voxels that belong to each target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Target = Literal["tumour", "core", "edema"]
#: In the order of the networks' outputs and of every array with an axis for them.
TARGETS: tuple[Target, ...] = ("tumour", "core", "edema")

#: Targets of networks that know the tumour alone, without core and edema.
TUMOUR_ALONE: tuple[Target, ...] = ("tumour",)

#: Values of a label volume.  A voxel that both classes claim is kept only where they may overlap;
#: `TUMOUR` is tumour that the networks do not divide into classes.
BACKGROUND, CORE, EDEMA, BOTH, TUMOUR = 0, 1, 2, 3, 4
CLASS_NAMES = {CORE: "core", EDEMA: "edema", BOTH: "core and edema", TUMOUR: "tumour"}
LABELS = (BACKGROUND, *CLASS_NAMES)


def masks_of(labels: NDArray[Any]) -> dict[Target, NDArray[np.bool_]]:
    """Return the voxels of tumour, core and edema; a voxel of both counts in each class.

    Parameters
    ----------
    labels : ndarray of any integer type, any shape
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.

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


def parts_of(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return the classes among targets, core and edema, or the tumour where there are none."""
    return tuple(targets[1:] or targets)


def labels_of(targets: Sequence[Target], *, exclusive: bool = True) -> tuple[int, ...]:
    """Return the values, without background, that labels of these targets may have.

    Parameters
    ----------
    targets : sequence of Target
        Targets of the maps that the labels are cut from.
    exclusive : bool
        Whether no voxel may be both classes.
    """
    if targets == TUMOUR_ALONE:
        return (TUMOUR,)
    return (CORE, EDEMA) if exclusive else (CORE, EDEMA, BOTH)


def targets_of(*volumes: NDArray[Any]) -> tuple[Target, ...]:
    """Return the targets that every volume tells of: tumour alone where one is not divided."""
    return TUMOUR_ALONE if any(bool((labels == TUMOUR).any()) for labels in volumes) else TARGETS
