"""Labels of a prepared case, brought back to the series that it was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.case import Case, Modality, OriginalSeries
from napari_gliocam.errors import SaveError
from napari_gliocam.io.volume import difference
from napari_gliocam.io.write import pack_volume
from napari_gliocam.prepare.resample import resample
from napari_gliocam.targets import BOTH, CORE, EDEMA, mask_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def original_of(case: Case, modality: Modality) -> OriginalSeries:
    """Return the series that a modality of a case was prepared from.

    Raises
    ------
    SaveError
        The case was not prepared, or has no such modality.
    """
    if case.preparation is None:
        raise SaveError(
            f'"{case.name}" was not prepared, so its results lie on its own grid already; save '
            "them as NIfTI."
        )
    if modality not in case.preparation.originals:
        raise SaveError(f'"{case.name}" has no {modality.title}; choose another series.')
    return case.preparation.originals[modality]


def labels_on_original(
    labels: NDArray[np.uint8], case: Case, modality: Modality
) -> NDArray[np.uint8]:
    """Bring labels to the grid of one of the series.

    The share of each class is interpolated and the largest wins, so borders stay smooth; labels
    themselves are never interpolated.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        On the case's grid: 1 core, 2 edema, 3 both.
    case : Case
        A prepared case.
    modality : Modality
        Which of its series.

    Returns
    -------
    ndarray of uint8, shape (S, P, L) of the series

    Raises
    ------
    SaveError
        The case was not prepared, or has no such modality.
    """
    original = original_of(case, modality)
    if np.allclose(original.from_case, np.eye(4)) and not difference(case.grid, original.grid):
        return labels
    to_case = np.linalg.inv(original.from_case).astype(np.float64)

    def share(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        return resample(mask.astype(np.float32), case.grid, original.grid, to_case)

    core, edema = share(mask_of(labels, "core")), share(mask_of(labels, "edema"))
    if (labels == BOTH).any():  # overlapping classes: each has a border of its own
        return ((core > 0.5) * CORE + (edema > 0.5) * EDEMA).astype(np.uint8)
    found = np.where(core >= edema, CORE, EDEMA)
    return np.where(core + edema > 0.5, found, 0).astype(np.uint8)


def case_on_original(case: Case, modality: Modality) -> Case:
    """Return a case without images on the grid of one of the series, to write labels with."""
    original = original_of(case, modality)
    return replace(case, volumes={}, grid=original.grid, header=None, preparation=None)


def pack_on_original(
    labels: NDArray[np.uint8], case: Case, modality: Modality, path: Path
) -> bytes:
    """Return labels of a prepared case as a NIfTI file on the grid of one of its series.

    Parameters
    ----------
    labels, case, modality
        As in `labels_on_original`.
    path : Path
        Where they will be written; tells whether they are compressed.

    Raises
    ------
    SaveError
        The case was not prepared, has no such modality, or the path is one of its own files.
    """
    there = case_on_original(case, modality)
    return pack_volume(labels_on_original(labels, case, modality), there, path)
