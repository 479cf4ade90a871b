"""A saved result brought back to life: its maps, its settings, and what was painted over them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Grid
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_labels
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.sidecar import read_choices, read_sidecar, sidecar_path
from napari_gliocam.io.volume import difference
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.model.result import Result


def continuing(
    path: Path, case: Case, request: SegmentRequest, kept: work.Ingredients
) -> Generator[Progress, None, Result]:
    """Make the result again that was saved, live.

    Parameters
    ----------
    path : Path
        Labels that were saved with their json.
    case : Case
        The case that they belong to.
    request : SegmentRequest
        Bundle and device for the maps, where they were not saved beside the labels.
    kept : Ingredients
        Of the refinement.

    Yields
    ------
    Progress

    Returns
    -------
    Result
        With the settings of then.  Where the saved labels differ from what maps and settings give,
        they lie over it as strokes, so that the labels are those that were saved.

    Raises
    ------
    CaseError
        The labels are not there, lie on another grid, or were not saved by this program.
    """
    if not path.exists():
        raise CaseError(f"{path} is not there; check its name, or choose another result.")
    content = read_sidecar(path)
    if not content:
        raise CaseError(
            f"{path.name} has no json of this program that belongs to it; open it as labels."
        )
    settings, refinement = read_choices(sidecar_path(path))
    saved = read_labels(path, case.grid, scheme="gliocam").expert.labels
    maps = _saved_maps(path, case, content)
    if maps is None:
        outcome = yield from work.segment(
            case, replace(request, thresholds=settings, refinement=refinement.nothing()), kept
        )
        maps = outcome.maps
    result = Result.of(case, maps, settings, refinement)
    if refinement.changes_something:
        cut = result.thresholded.segmentation()
        refined = yield from work.refine(cut, case, refinement, request.device, ingredients=kept)
        result.take(refined)
    if content.get("painted_voxels"):
        base = result.unpainted_labels
        result.painted.follow(base)
        result.painted.labels[:] = saved
        result.painted.take_strokes(base, exclusive=settings.exclusive)
        result.painted.saved = result.painted.strokes_copy()
    result.count(None if case.expert is None else case.expert.labels)
    return result


def slice_table(labels: Path, case: Case) -> Path:
    """Return where the image-level probabilities lie that were saved with maps."""
    return labels.with_name(f"{safe_name(case.name)}_slices.csv")


def _saved_maps(path: Path, case: Case, content: Mapping[str, Any]) -> ClassMaps | None:
    """Return the maps that were saved beside labels; None where they are not all there."""
    files = [path.with_name(f"{safe_name(case.name)}_{target}_map.nii.gz") for target in TARGETS]
    table = slice_table(path, case)
    if not all(file.exists() for file in (*files, table)):
        return None
    volumes: dict[Target, NDArray[np.float32]] = {}
    for target, file in zip(TARGETS, files, strict=True):
        loaded = load_nifti(file)
        grid = Grid(loaded.affine, loaded.array.shape)
        if difference(case.grid, grid):
            return None
        volumes[target] = grid.from_file(loaded.array).astype(np.float32)
    try:
        probabilities = np.loadtxt(table, np.float32, delimiter=",", skiprows=1, ndmin=2)[:, 1:]
    except (ValueError, IndexError) as error:
        raise CaseError(f"{table.name} is damaged; save the result and its maps anew.") from error
    if probabilities.shape != (case.grid.shape[0], len(TARGETS)):
        return None
    provenance = content.get("provenance") or {}
    return ClassMaps.of_targets(
        case.grid, volumes, probabilities=probabilities, provenance=provenance
    )
