"""Open a case whatever its files are: as they are where that works, else prepared."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from napari_gliocam.case import Case
from napari_gliocam.errors import UnpreparedError
from napari_gliocam.io.read import read_case
from napari_gliocam.io.volume import LARGEST_BRAIN_ML, filled_ml_of
from napari_gliocam.prepare.examination import find_examination
from napari_gliocam.prepare.run import preparing
from napari_gliocam.prepare.series import SeriesVolume
from napari_gliocam.prepare.strip import brain_logits, may_show_skull, shows_skull
from napari_gliocam.progress import Progress

if TYPE_CHECKING:
    from napari_gliocam.io.find import CaseFiles


def opening(files: CaseFiles) -> Generator[Progress, None, Case]:
    """Read a case, and prepare it where its files do not fit together as they are.

    Parameters
    ----------
    files : CaseFiles
        NIfTI files, or the folder of an examination.

    Returns
    -------
    Case
        With ``preparation`` where it was prepared.

    Raises
    ------
    GliocamError
        As in `read_case` and `preparing`.
    """
    yield Progress(0, 1, "reading")
    if files.to_prepare is None:
        try:
            case = read_case(files)
        except UnpreparedError:
            pass
        else:
            if not has_skull(case):
                return case
    prepared = yield from preparing(find_examination(files.to_prepare or files))
    return prepared


def has_skull(case: Case) -> bool:
    """Return True if a volume of a case fills more than a brain can, or than its own brain.

    Parameters
    ----------
    case : Case
        As it was read.
    """
    voxel = case.grid.voxel_ml
    if any(filled_ml_of(v, voxel) > LARGEST_BRAIN_ML for v in case.volumes.values()):
        return True
    for modality, data in case.volumes.items():
        filled = data != 0
        if may_show_skull(filled, case.grid):
            logits, own = brain_logits(SeriesVolume(modality.title, data, case.grid))
            if shows_skull(filled, case.grid, logits, own):
                return True
    return False
