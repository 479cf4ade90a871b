"""A saved result brought back to life: its maps, its settings, and what was painted over them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from napari_gliocam.case import Case
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_labels
from napari_gliocam.io.results import doubt_of_case
from napari_gliocam.io.saved_maps import read_maps_and_slices
from napari_gliocam.io.schemes import GLIOCAM, GLIOCAM_TUMOUR
from napari_gliocam.io.sidecar import read_choices, read_sidecar, sidecar_path
from napari_gliocam.progress import Progress
from napari_gliocam.settings import SegmentRequest
from napari_gliocam.targets import TUMOUR, labels_of
from napari_gliocam.trust.statement import outside_of_training
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

    Returns
    -------
    Result
        With the settings of then.  Where the saved labels differ from what maps and settings give,
        they lie over it as strokes, so that the labels are those that were saved.

    Raises
    ------
    CaseError
        The labels are not there, lie on another grid, are those of another case, or were not saved
        by this program.
    """
    if not path.exists():
        raise CaseError(f"{path} is not there; check its name, or choose another result.")
    content = read_sidecar(path)
    if not content:
        raise CaseError(
            f"{path.name} has no json of this program that belongs to it; open it as labels."
        )
    if doubt := doubt_of_case(path, case.name):
        raise CaseError(doubt)
    settings, refinement = read_choices(sidecar_path(path))
    scheme = GLIOCAM_TUMOUR if str(TUMOUR) in content.get("labels", {}) else GLIOCAM
    saved = read_labels(path, case.grid, scheme=scheme.name).expert.labels
    maps = read_maps_and_slices(path.parent, case, content.get("provenance") or {})
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
        result.painted.take_strokes(base, labels_of(maps.targets, exclusive=settings.exclusive))
        result.painted.saved = result.painted.strokes_copy()
    result.count(None if case.expert is None else case.expert.labels)
    result.warnings = outside_of_training(case, result.segmentation)
    return result
