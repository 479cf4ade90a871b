"""Labels and maps of a prepared case, brought back to the series that it was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.case import Case, Modality, OriginalSeries
from napari_gliocam.errors import SaveError
from napari_gliocam.io.naming import map_name, name_on
from napari_gliocam.io.volume import difference
from napari_gliocam.io.write import pack_volume
from napari_gliocam.prepare.resample import resample
from napari_gliocam.targets import BOTH, CORE, EDEMA, TUMOUR, TUMOUR_ALONE, mask_of, targets_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gliocam.maps.class_maps import ClassMaps


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

    The share of each class is interpolated once and the largest wins, so borders stay smooth.
    Maps would not do instead: labels that were refined or painted follow no threshold of them.

    Parameters
    ----------
    labels : ndarray of uint8, shape (S, P, L)
        On the case's grid: 1 core, 2 edema, 3 both, 4 tumour that is not divided.
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
    if _lies_there(case, original):
        return labels
    if targets_of(labels) == TUMOUR_ALONE:
        tumour = _brought((labels == TUMOUR).astype(np.float32), case, original)
        return ((tumour > 0.5) * TUMOUR).astype(np.uint8)
    core, edema = (
        _brought(mask_of(labels, target).astype(np.float32), case, original)
        for target in ("core", "edema")
    )
    if (labels == BOTH).any():  # overlapping classes: each has a border of its own
        return ((core > 0.5) * CORE + (edema > 0.5) * EDEMA).astype(np.uint8)
    found = np.where(core >= edema, CORE, EDEMA)
    return np.where(core + edema > 0.5, found, 0).astype(np.uint8)


def _lies_there(case: Case, original: OriginalSeries) -> bool:
    same = not difference(case.grid, original.grid)
    return same and np.allclose(original.from_case, np.eye(4))


def _brought(
    values: NDArray[np.float32], case: Case, original: OriginalSeries
) -> NDArray[np.float32]:
    """Interpolate values on the case's grid where the voxels of a series are."""
    if _lies_there(case, original):
        return values
    to_case = np.linalg.inv(original.from_case).astype(np.float64)
    return resample(values, case.grid, original.grid, to_case)


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


def pack_maps_on_original(
    maps: ClassMaps, case: Case, modality: Modality, folder: Path
) -> dict[Path, bytes]:
    """Return the maps of a prepared case as NIfTI files on the grid of one of its series.

    Parameters
    ----------
    maps : ClassMaps
        On the case's grid.
    case, modality
        As in `labels_on_original`.
    folder : Path
        Where they will be written.

    Raises
    ------
    SaveError
        The case was not prepared, or has no such modality.
    """
    original, there = original_of(case, modality), case_on_original(case, modality)
    contents = {}
    for target in maps.targets:
        path = folder / map_name(name_on(case.name, modality), target)
        contents[path] = pack_volume(_brought(maps.of(target), case, original), there, path)
    return contents
