"""Which files make a case: told from their names and places, without opening them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import msd
from napari_gliocam.io.naming import Role, is_nifti, parse_name, stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Parameters
    ----------
    name : str
        What the case is called.
    modalities : mapping of Modality to Path
        What the names tell; each the 4-D file where there is one.
    labels : Path or None
        Expert labels, or a result that was saved before.
    unknown : tuple of Path
        NIfTI files of the case whose names do not tell what they are: to be asked, not guessed.
    volume_4d : Path or None
        The one file that holds every modality (Medical Segmentation Decathlon).
    problem : str or None
        Why the case cannot be read as it is, in one sentence; choosing the files by hand
        (``read_case(..., modalities=...)``) settles it.
    """

    name: str
    modalities: Mapping[Modality, Path] = field(default_factory=dict)
    labels: Path | None = None
    unknown: tuple[Path, ...] = ()
    volume_4d: Path | None = None
    problem: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file of the case, each once."""
        every = [*self.modalities.values(), *self.unknown, *filter(None, [self.labels])]
        return tuple(dict.fromkeys(every))


def find_case(path: str | Path) -> CaseFiles:
    """Find the case of a folder, or of any one of its files.

    Parameters
    ----------
    path : str or Path
        A folder with the files of one case, or a file: its siblings of the same case are found.

    Returns
    -------
    CaseFiles

    Raises
    ------
    CaseError
        Nothing there, no NIfTI, two cases in the folder, or two files for one modality.
    """
    files = look_up(path)
    if files.problem:
        raise CaseError(files.problem)
    return files


def look_up(path: str | Path) -> CaseFiles:
    """Find a case as `find_case` does, but tell what is ambiguous in ``problem``."""
    path = Path(path).expanduser()
    if path.is_dir():
        return _case_of_folder(path)
    if not path.exists():
        raise CaseError(f"{path} does not exist; check the path.")
    return _case_of_file(path)


def find_cases(path: str | Path) -> list[CaseFiles]:
    """Find every case in a folder and the folders below it, in the order of their paths.

    Parameters
    ----------
    path : str or Path
        A folder of case folders, of files of several cases, or of one case; a file is its case.

    Returns
    -------
    list of CaseFiles
        At least one.  A case that cannot be read as it is comes with its ``problem``, so that
        it does not stop the others.

    Raises
    ------
    CaseError
        Nothing there, or no case in it.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return [look_up(path)]
    found: list[tuple[Path, CaseFiles]] = []
    untold: list[tuple[Path, CaseFiles]] = []
    for folder in _folders(path, seen=set()):
        niftis = _niftis(folder)
        with_images = [files for files in _group(niftis) if files.modalities]
        found += [(folder, files) for files in _adopt(with_images, niftis)]
        if niftis and not with_images and folder.name.lower() != "labelstr":
            untold.append((folder, _case_of_folder(folder)))
    cases = found or untold
    if not cases:
        raise CaseError(f"{path} holds no .nii or .nii.gz file; choose a folder of cases.")
    return _distinct(cases, path)


def _case_of_folder(folder: Path) -> CaseFiles:
    niftis = _niftis(folder)
    if not niftis:
        inside = any(_niftis(child) for child in _folders(folder, seen=set()))
        remedy = (
            "choose one of the case folders in it"
            if inside
            else "choose the folder that holds the files of a case"
        )
        raise CaseError(f"{folder} holds no .nii or .nii.gz file; {remedy}.")
    groups = _group(niftis)
    cases = [files for files in groups if files.modalities]
    if len(cases) > 1:
        names = f"{cases[0].name} and {cases[1].name}"
        more = f" and {len(cases) - 2} more" if len(cases) > 2 else ""
        problem = (
            f"{folder.name} holds two or more cases, {names}{more}; "
            "open a file of the one you mean."
        )
        return replace(cases[0], problem=problem)
    if cases:
        return _adopt(cases, niftis)[0]
    labels = [files.labels for files in groups if files.labels]
    only = labels[0] if len(labels) == 1 else None
    name = groups[0].name if len(groups) == 1 and only else folder.resolve().name
    return CaseFiles(name, labels=only, unknown=tuple(p for p in niftis if p != only))


def _case_of_file(path: Path) -> CaseFiles:
    if not is_nifti(path.name):
        raise CaseError(f"{path.name} is not a NIfTI file; choose a .nii or .nii.gz file.")
    if msd.is_msd_labels(path):
        volume = msd.volume_of(path)
        return _msd_case(volume) if volume else CaseFiles(stem(path.name), labels=path)
    for files in _group(_niftis(path.parent)):
        if any(path.name == other.name for other in files.paths):
            return files
    return CaseFiles(stem(path.name), unknown=(path,))


def _group(niftis: Iterable[Path]) -> list[CaseFiles]:
    """Sort the files of one folder into cases by their names."""
    named = [(path, parse_name(path.name)) for path in niftis]
    images: dict[str, list[tuple[Path, Modality]]] = {}
    titles: dict[str, str] = {}
    for path, told in named:
        if told.modality is not None:
            images.setdefault(told.case.casefold(), []).append((path, told.modality))
            titles.setdefault(told.case.casefold(), told.case or path.resolve().parent.name)
    if "" in images and len(images) == 2:
        # A file called by its modality alone belongs to the only case there is.
        (other,) = images.keys() - {""}
        images[other] += images.pop("")

    labels: dict[str, list[Path]] = {key: [] for key in images}
    unknown: dict[str, list[Path]] = {key: [] for key in images}
    alone: list[CaseFiles] = []
    for path, told in named:
        if told.role is Role.LABELS:
            key = told.case.casefold()
            if not key and len(images) == 1:
                (key,) = images
            if key in images:
                labels[key].append(path)
            else:
                name = told.case or path.resolve().parent.name
                alone.append(CaseFiles(name, labels=path))
        elif msd.is_msd_volume(path):
            alone.append(_msd_case(path))
        elif told.role is Role.UNKNOWN:
            owner = _owner(stem(path.name).casefold(), images)
            if owner is None:
                alone.append(CaseFiles(stem(path.name), unknown=(path,)))
            else:
                unknown[owner].append(path)
    cases = [_case(titles[key], images[key], labels[key], unknown[key]) for key in images]
    return sorted([*cases, *alone], key=lambda files: files.name)


def _case(
    name: str, images: list[tuple[Path, Modality]], labels: list[Path], unknown: list[Path]
) -> CaseFiles:
    modalities: dict[Modality, Path] = {}
    problem = None
    for path, modality in images:
        first = modalities.setdefault(modality, path)
        if first != path:
            problem = problem or (
                f"{name} has two {modality.title} files, {first.name} and {path.name}; "
                "choose one of them, or move the other out of the folder."
            )
    if len(labels) > 1:
        unknown, labels = unknown + labels, []
    return CaseFiles(
        name,
        {modality: modalities[modality] for modality in Modality if modality in modalities},
        labels[0] if labels else None,
        tuple(sorted(unknown)),
        problem=problem,
    )


def _msd_case(volume: Path) -> CaseFiles:
    name = stem(volume.name)
    labels = msd.labels_of(volume)
    try:
        order = msd.channel_order(volume)
    except CaseError as error:
        return CaseFiles(
            name, dict.fromkeys(msd.KNOWN_ORDER, volume), labels, (), volume, str(error)
        )
    return CaseFiles(name, dict.fromkeys(order, volume), labels, (), volume)


def _owner(name: str, cases: Iterable[str]) -> str | None:
    """Pick the case whose name a file's name begins with; the longest, where several do."""
    fitting = [
        key for key in cases if key and name.startswith(key) and not name[len(key) :][:1].isalnum()
    ]
    return max(fitting, key=len, default=None)


def _adopt(cases: list[CaseFiles], niftis: list[Path]) -> list[CaseFiles]:
    """Where a folder holds one case, the files that tell nothing are shown as parts of it."""
    if len(cases) != 1:
        return cases
    (case,) = cases
    rest = [
        path
        for path in niftis
        if path not in case.paths and parse_name(path.name).role is not Role.MAP
    ]
    return [replace(case, unknown=(*case.unknown, *rest))]


def _distinct(cases: list[tuple[Path, CaseFiles]], root: Path) -> list[CaseFiles]:
    """Give cases of the same name the names of their folders too: results must not collide."""
    counts = Counter(files.name.casefold() for _, files in cases)
    named = []
    for folder, files in cases:
        if counts[files.name.casefold()] > 1:
            parts = [*folder.relative_to(root).parts, files.name]
            files = replace(files, name="_".join(dict.fromkeys(parts)))
        named.append(files)
    return named


def _niftis(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if is_nifti(path.name) and path.is_file()]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        reason = error.strerror or str(error)
        raise CaseError(f"{folder} cannot be read ({reason}); check the folder.") from error


def _folders(folder: Path, *, seen: set[Path]) -> Iterator[Path]:
    """Walk the folder and all below it, in order; follow links, but never in a circle."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    yield folder
    for child in _children(folder):
        if child.is_dir() and not child.name.startswith("."):
            yield from _folders(child, seen=seen)
