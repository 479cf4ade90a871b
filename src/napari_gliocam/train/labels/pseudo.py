"""Pseudo-labels: masks that the maps make, and the slice labels correct; no outline takes part."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Grid
from napari_gliocam.errors import CaseError, GliocamError, SaveError, TrainingError
from napari_gliocam.io.find import find_cases
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.read import read_case
from napari_gliocam.io.results import find_result
from napari_gliocam.io.write import save_segmentation
from napari_gliocam.progress import Progress
from napari_gliocam.refine.ingredients import Ingredients
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.segmentation import bundle_thresholds, compute_maps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import BOTH, CORE, EDEMA, TARGETS
from napari_gliocam.threshold import Segmentation, apply_thresholds
from napari_gliocam.train.labels.tags import Tag, file_slices

if TYPE_CHECKING:
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.nets.bundle_info import BundleInfo

#: The second mask of paper 3: the cut maps after a dense CRF.
CRF_MASKS = Refinement(method="crf")


@dataclass(frozen=True)
class PseudoLabels:
    """The masks of one case that a segmentation network learns from.

    Parameters
    ----------
    first : Segmentation
        The masks.
    second : Segmentation or None
        Other masks of the same maps, where they were asked for.
    denied : int
        Voxels of the first that became background because their slice does not show the class.
    """

    first: Segmentation
    second: Segmentation | None
    denied: int


def check_teacher(info: BundleInfo) -> None:
    """Raise `TrainingError` if no segmentation network can learn from a bundle's masks."""
    if info.targets != TARGETS:
        raise TrainingError(
            f'The bundle "{info.name}" knows the tumour alone, and a segmentation network '
            "learns core and edema; choose a bundle that knows both."
        )


def pseudo_labelling(
    case: Case,
    tags: Mapping[int, Tag] | None = None,
    *,
    bundle: Bundle,
    device: str = "auto",
    maps: ClassMaps | None = None,
    thresholds: Thresholds | None = None,
    refinement: Refinement | None = None,
    second: Refinement | None = None,
) -> Generator[Progress, None, PseudoLabels]:
    """Make the masks of a case from its maps.

    Parameters
    ----------
    case : Case
        The case; expert labels that it may have are not looked at.
    tags : mapping of int to Tag, optional
        Slice labels by the number of the slice in the file: a class is background where they deny
        it.  Slices without a label, or with a skipped one, stay as the maps have them.
    bundle : Bundle
        The networks of the maps.
    device : {"auto", "cpu", "cuda", "mps"}
        Where they run.
    maps : ClassMaps, optional
        Maps to cut instead of the networks' own, such as those of an explanation method.
    thresholds : Thresholds, optional
        The bundle's own by default.
    refinement, second : Refinement, optional
        What is done to the first masks, ``Refinement()`` by default, and to the second ones: None
        makes none.

    Yields
    ------
    Progress
        Slices done; nothing stays open across a yield.

    Returns
    -------
    PseudoLabels

    Raises
    ------
    GliocamError
        If the case cannot be segmented, or refined, or the bundle knows the tumour alone.
    """
    check_teacher(bundle.info)
    if maps is None:
        maps = yield from compute_maps(case, bundle=bundle, device=device)
    cut = apply_thresholds(maps, thresholds or bundle_thresholds(bundle.info))
    kept = Ingredients()

    def masks(how: Refinement) -> Generator[Progress, None, tuple[Segmentation, int]]:
        made = cut
        if how.changes_something:
            made = yield from kept.refining(cut, case, how, device=device)
        labels, denied = without_denied(made.labels, case.grid, tags or {})
        return replace(made, labels=labels), denied

    first, denied = yield from masks(Refinement() if refinement is None else refinement)
    other = None
    if second is not None:
        other, _ = yield from masks(second)
    return PseudoLabels(first, other, denied)


def labelling_missing(
    cases: Path,
    masks: Path,
    tags: Mapping[str, Mapping[int, Tag]],
    *,
    bundle: Bundle,
    device: str = "auto",
    second: Path | None = None,
    only: str = "",
) -> Generator[Progress, None, dict[str, str]]:
    """Make the masks of all cases of a folder that have none yet.

    Parameters
    ----------
    cases : Path
        Folder of cases.
    masks : Path
        Folder that the masks go to; those that are there stay.
    tags : mapping of str to mapping of int to Tag
        Slice labels by case and number of the slice in the file.
    bundle, device
        As in `pseudo_labelling`.
    second : Path, optional
        Folder that second masks, by a dense CRF, go to.
    only : str
        Name of the only case; empty for all.

    Yields
    ------
    Progress
        Cases done.  Masks that are made are kept when it is closed.

    Returns
    -------
    dict of str to str
        A sentence for each case whose mask could not be made.

    Raises
    ------
    TrainingError
        If the bundle knows the tumour alone.
    """
    check_teacher(bundle.info)
    problems = {}
    found = [files for files in find_cases(cases) if only in ("", files.name)]
    folders = (masks,) if second is None else (masks, second)
    for done, files in enumerate(found):
        yield Progress(done, len(found), "making masks")
        missing = [folder for folder in folders if not _has_result(folder, files.name)]
        if not missing:
            continue
        try:
            case = read_case(replace(files, labels=None))
            made = yield from pseudo_labelling(
                case,
                tags.get(files.name),
                bundle=bundle,
                device=device,
                second=CRF_MASKS if second in missing else None,
            )
            for folder in missing:
                mask = made.second if folder == second else made.first
                assert mask is not None
                save_segmentation(mask, folder / f"{safe_name(case.name)}_seg.nii.gz", case=case)
        except SaveError:
            raise
        except GliocamError as error:
            problems[files.name] = str(error)
    return problems


def _has_result(folder: Path, name: str) -> bool:
    try:
        find_result(folder, name)
    except CaseError:
        return False
    return True


def without_denied(
    labels: NDArray[np.uint8], grid: Grid, tags: Mapping[int, Tag]
) -> tuple[NDArray[np.uint8], int]:
    """Return labels without the classes that the slice labels deny, and how many voxels that took.

    Parameters
    ----------
    labels : ndarray of uint8, (S, P, L)
        0 background, 1 core, 2 edema, 3 both; unchanged.
    grid : Grid
        Grid of the case.
    tags : mapping of int to Tag
        Slice labels by the number of the slice in the file.

    Returns
    -------
    labels : ndarray of uint8, (S, P, L)
        A voxel of both classes keeps the one that is not denied.
    denied : int
        Voxels that lost a class.
    """
    kept = labels.copy()
    for index, number in enumerate(file_slices(grid).tolist()):
        tag = tags.get(number)
        if tag is None or tag.skipped:
            continue
        plane = kept[index]
        if not tag.core:
            plane[plane == CORE] = 0
            plane[plane == BOTH] = EDEMA
        if not tag.edema:
            plane[plane == EDEMA] = 0
            plane[plane == BOTH] = CORE
    return kept, int(np.count_nonzero(kept != labels))
