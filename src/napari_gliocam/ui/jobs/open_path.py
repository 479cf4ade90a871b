"""From a path to what a viewer can show: a case, or labels alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gliocam.case import Case, ExpertLabels, Grid
from napari_gliocam.errors import CaseError, UnpreparedError
from napari_gliocam.io import CaseFiles, LabelFile, read_case, read_labels
from napari_gliocam.io.find import look_up
from napari_gliocam.io.foreign import holds_other_images
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.sidecar import written_here
from napari_gliocam.io.volume import Volume, difference, make_volume
from napari_gliocam.prepare import Examination, find_examination
from napari_gliocam.prepare.opening import has_skull
from napari_gliocam.ui.model.assign import Source, sources_of
from napari_gliocam.ui.model.state import OpenCase

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header


@dataclass(frozen=True, eq=False)
class LabelsAlone:
    """A label file without its case.

    Parameters
    ----------
    name : str
        Name that a reader sees.
    file : LabelFile
        The labels as read.
    header : nibabel header
        For saving with the same codes.
    """

    name: str
    file: LabelFile
    header: Nifti1Header


def read_path(path: str | Path) -> OpenCase | LabelsAlone | Examination:
    """Read a folder or a file.

    A result of this program opens alone; any other file opens the case it belongs to.  Series that
    make no case as they are come as an examination, to be prepared.

    Parameters
    ----------
    path : str or Path
        A case, one of its files, labels, or a study in DICOM or another format.

    Raises
    ------
    CaseError
        In one sentence with the file and the remedy.
    """
    path = Path(path).expanduser()
    if holds_other_images(path):
        return find_examination(path)
    files = look_up(path)
    try:
        return _read(files, path)
    except UnpreparedError:
        return find_examination(files)


def _read(files: CaseFiles, path: Path) -> OpenCase | LabelsAlone:
    if files.problem and not files.choice:
        raise CaseError(files.problem)
    own = files.labels is not None and path.name == files.labels.name and written_here(path)
    if own or (files.labels and not files.modalities and not files.unknown):
        assert files.labels is not None
        return LabelsAlone(files.name, read_labels(files.labels), load_nifti(files.labels).header)
    if not files.modalities:
        return _record_of_unknown(files)
    # A choice is offered in the panel, and its sentence shown, so that nothing is left out unseen.
    case = read_case(files, modalities=files.modalities if files.choice else None)
    if files.problem:
        case = replace(case, warnings=(files.problem, *case.warnings))
    later = tuple(Source(p.name, None, p) for p in files.unknown)
    examination = find_examination(replace(files, problem=None)) if has_skull(case) else None
    return OpenCase(case, files=files, pool=(*sources_of(case), *later), to_prepare=examination)


def _record_of_unknown(files: CaseFiles) -> OpenCase:
    """Read a case whose modalities are to be asked for; none is assigned."""
    if not files.unknown:
        read_case(files)  # says what is missing
    first, *rest = (_volume(path) for path in files.unknown)
    for volume in rest:
        _same_grid(volume, first.grid, first.path.name)
    labels = read_labels(files.labels, first.grid) if files.labels else None
    case = Case(
        name=files.name,
        volumes={},
        grid=first.grid,
        expert=labels.expert if labels else None,
        header=first.header.copy(),
        warnings=("The file names do not tell which modality is which; choose them below.",),
    )
    pool = tuple(Source(v.path.name, v.data, v.path) for v in (first, *rest))
    return OpenCase(case, files=files, pool=pool)


def load_source(source: Source, case: Case) -> Source:
    """Read a volume that was only named so far.

    Raises
    ------
    CaseError
        It cannot be read, or lies on another grid.
    """
    if source.volume is not None:
        return source
    assert source.path is not None
    volume = _volume(source.path)
    _same_grid(volume, case.grid, f'case "{case.name}"')
    return Source(source.title, volume.data, source.path)


def _volume(path: Path) -> Volume:
    file = load_nifti(path)
    if file.array.ndim != 3:
        shape = " × ".join(map(str, file.array.shape))
        raise CaseError(
            f"{path.name} is {file.array.ndim}-D ({shape}) where one 3-D volume is meant; "
            "split it into one file for each modality."
        )
    return make_volume(file, file.array, path.name)


def _same_grid(volume: Volume, grid: Grid, other: str) -> None:
    gap = difference(grid, volume.grid)
    if gap:
        raise UnpreparedError(
            f"{other} and {volume.path.name} lie on different grids ({gap}); "
            "register and resample them onto one grid."
        )


def read_expert(case: Case, scheme: str) -> ExpertLabels:
    """Read the expert labels of a case with another label scheme.

    Raises
    ------
    CaseError
        The file is gone, or holds values that are not in the scheme.
    """
    assert case.expert is not None
    if case.expert.source is None:
        raise CaseError(f'The labels of case "{case.name}" came from no file; they stay.')
    return read_labels(case.expert.source, case.grid, scheme=scheme, case_name=case.name).expert
