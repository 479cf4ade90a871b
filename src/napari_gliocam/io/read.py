"""From files to a `Case`: every file decoded at once, checked, and brought onto one grid."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.case import NEEDED, Case, ExpertLabels, Grid, Modality
from napari_gliocam.errors import CaseError, UnpreparedError
from napari_gliocam.io import msd, schemes
from napari_gliocam.io.find import CaseFiles, find_case, look_up
from napari_gliocam.io.foreign import is_readable
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.sidecar import changed_since, made_here, sidecar_path, written_here
from napari_gliocam.io.volume import Volume, difference, is_oblique, make_volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: In the warning about labels that were found and left out.
NO_EXPERT = "not read as expert labels"
#: Labels of less than this, and of less than a part of the grid, are a lesion.
LARGEST_LESION_ML = 300.0
_MUCH = 0.05
#: Labels of more than this part of the brain are a mask of it.
_MOST_OF_A_BRAIN = 0.6


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Expert labels read from a file.

    Parameters
    ----------
    expert : ExpertLabels
        The labels, read by a scheme.
    grid : Grid
        The grid of the file.
    warnings : tuple of str
        What a user should know: a label scheme in doubt.
    own : bool
        Whether they are a result of this program.
    """

    expert: ExpertLabels
    grid: Grid
    warnings: tuple[str, ...] = ()
    own: bool = False


def read_case(
    source: str | Path | CaseFiles,
    *,
    modalities: Mapping[Modality, Path] | None = None,
    label_scheme: str | None = None,
) -> Case:
    """Read a case.

    Parameters
    ----------
    source : str, Path or CaseFiles
        A folder, any file of the case, or what `find_case` found.
    modalities : mapping of Modality to Path, optional
        Which file is which, instead of what the names tell.
    label_scheme : str, optional
        A name in `schemes.SCHEMES`, instead of the one the labels tell.

    Returns
    -------
    Case
        With `Case.warnings`, one sentence each, for what was mended, missing or doubtful.

    Raises
    ------
    CaseError
        A file cannot be read as it is, or the files do not fit together (`UnpreparedError` where
        `napari_gliocam.prepare` can make a case of them).
    """
    if isinstance(source, CaseFiles):
        files = source
    else:
        files = find_case(source) if modalities is None else look_up(source)
    if modalities is None and files.problem:
        raise CaseError(files.problem)
    chosen = _chosen(files, modalities)
    paths = tuple(dict.fromkeys(chosen.values()))
    if foreign := [path.name for path in paths if is_readable(path)]:
        raise UnpreparedError(
            f"{foreign[0]} is not a NIfTI file; prepare the case, or convert it to .nii.gz."
        )

    with ThreadPoolExecutor(min(len(paths) + 1, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(_read_volumes, path, chosen, files) for path in paths]
        label_job = (
            pool.submit(_read_labels, files.labels, label_scheme, files) if files.labels else None
        )
        read = {modality: volume for job in jobs for modality, volume in job.result().items()}
        labels = label_job.result() if label_job else None

    volumes = {modality: read[modality] for modality in Modality if modality in read}
    first = volumes.get(Modality.FLAIR) or next(iter(volumes.values()))
    for volume in volumes.values():
        _same_grid(first.path, first.grid, volume.path, volume.grid)
    if labels and labels.expert.source:
        _labels_fit(labels.expert.source, first.grid, labels.grid)
    case = Case(
        name=files.name,
        volumes={modality: volume.data for modality, volume in volumes.items()},
        grid=first.grid,
        sources={modality: volume.path for modality, volume in volumes.items()},
        header=first.header.copy(),
        warnings=(*_warnings(volumes), *_unread(files, paths)),
    )
    return case if labels is None else _with_labels(case, labels)


def read_labels(
    path: str | Path, grid: Grid | None = None, *, scheme: str | None = None, case_name: str = ""
) -> LabelFile:
    """Read expert labels, or a result that was saved before.

    Parameters
    ----------
    path : str or Path
        The file.
    grid : Grid, optional
        The grid of the case they must lie on.
    scheme : str, optional
        A name in `schemes.SCHEMES`; detected where it is not given.
    case_name : str
        Helps to tell a BraTS case; the file's own name is used besides.

    Raises
    ------
    CaseError
        The file cannot be read, a value is not in the scheme, or the grid is another.
    """
    path = Path(path)
    chosen = schemes.get_scheme(scheme) if scheme else None
    file = load_nifti(path)
    if file.array.ndim != 3:
        raise CaseError(f"{path.name} is {file.array.ndim}-D; labels must be one 3-D volume.")
    x, y, z = file.array.shape
    own = Grid(file.affine, (x, y, z))
    if grid is not None:
        _labels_fit(path, grid, own)
    raw = schemes.whole_numbers(own.from_file(file.array))
    values = schemes.label_values(raw)
    result, edited = written_here(path, file.header), changed_since(path)
    hints = schemes.Hints(
        case_name=f"{case_name} {path.name}",
        msd=msd.is_msd_labels(path),
        own=result or made_here(file.header),
        edited=edited,
    )
    try:
        applied = chosen or schemes.detect_scheme(values, hints=hints)
        labels = schemes.apply_scheme(raw, applied)
    except CaseError as error:
        raise CaseError(f"{path.name}: {error}") from error
    doubt = None if chosen else schemes.doubt(applied, values, hints=hints)
    warnings = []
    if doubt:
        warnings.append(
            f"The labels of {path.name} were read as {applied.title}, but {doubt}; check it."
        )
    if edited:
        warnings.append(
            f"{path.name} was changed after {sidecar_path(path).name} was saved with it; what "
            "the json says is not true of it."
        )
    return LabelFile(ExpertLabels(labels, applied.name, path), own, tuple(warnings), result)


def _with_labels(case: Case, file: LabelFile) -> Case:
    """Add expert labels to a case; a result, or a mask of the brain, is none."""
    source, labels = file.expert.source, file.expert.labels
    assert source is not None
    if file.own:
        told = f"{source.name} is a result of this program, so it is {NO_EXPERT}."
        return replace(case, warnings=(*case.warnings, told))
    count = np.count_nonzero(labels)
    # The brain is looked at only where there is much: that takes longer than the labels.
    much = count > _MUCH * labels.size or count * case.grid.voxel_ml > LARGEST_LESION_ML
    if much and count > _MOST_OF_A_BRAIN * np.count_nonzero(case.brain):
        told = f"{source.name} covers the whole brain, so it is {NO_EXPERT}."
        return replace(case, warnings=(*case.warnings, told))
    return replace(case, expert=file.expert, warnings=(*case.warnings, *file.warnings))


def _chosen(files: CaseFiles, modalities: Mapping[Modality, Path] | None) -> dict[Modality, Path]:
    chosen = files.modalities if modalities is None else modalities
    chosen = {Modality(modality): Path(path) for modality, path in chosen.items()}
    if not chosen:
        if files.unknown:
            names = ", ".join(path.name for path in files.unknown[:4])
            raise CaseError(
                f"The modality of {names} cannot be told from the name; choose it in the panel, "
                "name the file with --flair, --t1ce, --t2 or --t1, or rename it to end in _flair, "
                "_t1, _t1ce or _t2."
            )
        raise CaseError(f"{files.name} has no image, only labels; add its FLAIR, T1ce and T2.")
    seen: dict[Path, Modality] = {}
    for modality, path in chosen.items():
        other = seen.setdefault(path, modality)
        if other is not modality and path != files.volume_4d:
            raise CaseError(
                f"{path.name} was chosen both as {other.title} and as {modality.title}; "
                "choose one file for each."
            )
    return chosen


def _read_volumes(
    path: Path, chosen: Mapping[Modality, Path], files: CaseFiles
) -> dict[Modality, Volume]:
    """Read one file's modalities: several where it is the 4-D file, else one."""
    wanted = [modality for modality, other in chosen.items() if other == path]
    file = load_nifti(path)
    shape = " × ".join(map(str, file.array.shape))
    if path != files.volume_4d:
        if file.array.ndim != 3:
            raise CaseError(
                f"{path.name} is {file.array.ndim}-D ({shape}) where one 3-D volume is meant; "
                "split it into one file for each modality."
            )
        return {modality: make_volume(file, file.array, path.name) for modality in wanted}
    order = msd.channel_order(path)
    if file.array.ndim != 4 or file.array.shape[3] != len(order):
        raise CaseError(
            f"{path.name} is {shape} where a 4-D file of {len(order)} modalities is meant; "
            "rename it to end in its modality, such as _flair, or correct dataset.json."
        )
    return {
        modality: make_volume(
            file, file.array[..., order.index(modality)], f"The {modality.title} of {path.name}"
        )
        for modality in wanted
        if modality in order
    }


def _read_labels(path: Path, scheme: str | None, files: CaseFiles) -> LabelFile:
    return read_labels(path, scheme=scheme, case_name=files.name)


def _same_grid(path: Path, grid: Grid, other_path: Path, other: Grid) -> None:
    gap = difference(grid, other)
    if gap:
        raise UnpreparedError(
            f"{path.name} and {other_path.name} lie on different grids ({gap}); "
            "prepare the case, or register and resample the files onto one grid."
        )


def _labels_fit(path: Path, grid: Grid, own: Grid) -> None:
    if gap := difference(grid, own):
        raise CaseError(
            f"{path.name} lies on another grid than the case ({gap}); "
            "resample the labels onto the case, or move that file out of its folder."
        )


def _warnings(volumes: Mapping[Modality, Volume]) -> list[str]:
    """Say what a user should know about the images, one sentence each."""
    every = list(volumes.values())
    found = [
        f"{volume.path.name} is NaN or infinite in {volume.cleaned:,} "
        f"voxel{'s' if volume.cleaned > 1 else ''}, which count as 0."
        for volume in every
        if volume.cleaned
    ]
    found += [note for volume in every for note in volume.notes]
    if skulls := [volume.path for volume in every if volume.has_skull]:
        found.append(
            f"May not be skull-stripped: {_listed(skulls)}; "
            "the networks expect a brain on a background of 0."
        )
    if missing := [modality.title for modality in NEEDED if modality not in volumes]:
        found.append(f"The case has no {' and no '.join(missing)}.")
    if unoriented := [volume.path for volume in every if not volume.oriented]:
        found.append(f"No orientation is stored in {_listed(unoriented)}; check that left is left.")
    if is_oblique(every[0].grid):
        found.append("The slices are oblique: shown straightened, saved as the files have them.")
    return found


def _unread(files: CaseFiles, paths: Sequence[Path]) -> list[str]:
    unread = [path for path in files.unknown if path not in paths]
    if not unread:
        return []
    return [f"Not read, because the name tells no modality: {_listed(unread)}."]


def _listed(paths: Sequence[Path]) -> str:
    names = list(dict.fromkeys(path.name for path in paths))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
