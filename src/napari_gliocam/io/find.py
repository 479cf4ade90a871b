"""Search for the files of a case, by names and places, without opening them.

A case is never cut in two in silence.  Files of one folder that show different modalities are one
case, or the case has a ``problem`` that names them.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import translate
from pathlib import Path
from re import IGNORECASE, compile
from typing import TYPE_CHECKING

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import msd, nnunet
from napari_gliocam.io.foreign import is_foreign_image, is_readable, what_else
from napari_gliocam.io.naming import (
    FileName,
    Role,
    is_nifti,
    parse_name,
    parse_names,
    readable,
    stem,
)
from napari_gliocam.io.together import Group, owners, unite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Parameters
    ----------
    name : str
        What the case is called.
    modalities : mapping of Modality to Path
        What the names tell; each the 4-D file where there is one.  A file of another format
        (NRRD, MetaImage, MGZ, Analyze) is to be prepared by `napari_gliocam.prepare`.
    labels : Path or None
        Expert labels, or a result that was saved before.
    unknown : tuple of Path
        NIfTI files of the case whose names do not tell what they are: to be asked, not guessed.
    volume_4d : Path or None
        The one file that holds every modality (Medical Segmentation Decathlon).
    problem : str or None
        Why the case cannot be read as it is, in one sentence; choosing the files by hand
        (``read_case(..., modalities=...)``) settles it.
    choice : bool
        Whether the problem is a choice among ``unknown`` that the panel can offer.
    to_prepare : Path or None
        Set instead of all others where the files are no NIfTI: the folder of an examination that
        `napari_gliocam.prepare` makes a case of.
    """

    name: str
    modalities: Mapping[Modality, Path] = field(default_factory=dict)
    labels: Path | None = None
    unknown: tuple[Path, ...] = ()
    volume_4d: Path | None = None
    problem: str | None = None
    choice: bool = False
    to_prepare: Path | None = None

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

    Raises
    ------
    CaseError
        Nothing there, no NIfTI, two cases in the folder, two files for one modality, or a
        modality missing beside a file whose name is not understood.
    """
    files = look_up(path)
    if files.problem:
        raise CaseError(files.problem)
    return files


def look_up(path: str | Path) -> CaseFiles:
    """Find a case as `find_case` does, but return an ambiguity as its ``problem``."""
    path = Path(path).expanduser()
    if path.is_dir():
        return _case_of_folder(path, {})
    if not os.path.lexists(path):
        raise CaseError(f"{path} does not exist; check the path.")
    return _case_of_file(path)


def find_cases(
    path: str | Path, *, patterns: Mapping[Modality, str] | None = None
) -> list[CaseFiles]:
    """Find every case in a folder and the folders below it, in the order of their paths.

    Parameters
    ----------
    path : str or Path
        A folder of case folders, of files of several cases, or of one case; a file is its case.
    patterns : mapping of Modality to str, optional
        Which files show a modality, as a pattern of their names such as ``*_Gd.nii.gz``, where
        the names do not tell it.  In a folder of several cases the first ``*`` is the case.

    Returns
    -------
    list of CaseFiles
        At least one.  A case that cannot be read as it is comes with its ``problem``, and so does
        a folder that cannot be read, so that it does not stop the others.

    Raises
    ------
    CaseError
        Nothing there, or no case in it.
    """
    path = Path(path).expanduser()
    patterns = patterns or {}
    if not path.is_dir():
        return [look_up(path)]
    found: list[tuple[Path, CaseFiles]] = []
    without: list[tuple[Path, CaseFiles]] = []
    _children(path)  # an unreadable folder that was asked for is an error
    for folder, niftis, problem in _folders(path, seen=set()):
        if problem:
            name = readable(folder.name)
            found.append((folder, CaseFiles(name, problem=problem)))
            continue
        if folder.name.lower() == "labelstr":  # no images, whatever their names are
            continue
        with_images = [f for f in _group(niftis, patterns) if f.modalities or f.problem]
        found += [(folder, files) for files in with_images]
        if niftis and not with_images:
            without.append((folder, _case_of_folder(folder, patterns)))
    cases = found if any(not files.problem for _, files in found) else [*found, *without]
    if not cases:
        raise CaseError(f"{path} holds no .nii or .nii.gz file{what_else(path)}.")
    return _distinct(cases, path)


def case_of_files(modalities: Mapping[Modality, Path]) -> CaseFiles:
    """Make a case of files that were named one by one, one for each modality that is there.

    It is called by what the files' names have in common, else by their folder's name.

    Raises
    ------
    CaseError
        No file, or one that does not exist.
    """
    if not modalities:
        raise CaseError("A case needs at least one file; name its FLAIR with --flair.")
    paths = [path.expanduser() for path in modalities.values()]
    for path in paths:
        if not os.path.lexists(path) or path.is_dir():
            raise CaseError(f"{path} is not a file; check the path.")
    told = parse_names(path.name for path in paths)
    names = {one.case for one in told if one.role in (Role.MODALITY, Role.LABELS)}
    common = names.pop() if len(names) == 1 else ""
    name = readable(common or paths[0].resolve().parent.name or "case")
    return CaseFiles(name, {m: modalities[m].expanduser() for m in Modality if m in modalities})


def _case_of_folder(folder: Path, patterns: Mapping[Modality, str]) -> CaseFiles:
    niftis = _niftis(_children(folder))
    niftis += _files_of_modality_folders(folder, 1 if niftis else 2)
    if not niftis:
        inside = any(niftis for _, niftis, _ in _folders(folder, seen=set()))
        remedy = "; choose one of the case folders in it" if inside else what_else(folder)
        raise CaseError(f"{folder} holds no .nii or .nii.gz file{remedy}.")
    groups = _group(niftis, patterns)
    cases = [files for files in groups if files.modalities or files.problem]
    if len(cases) > 1:
        halves = [files.problem for files in cases if files.problem and not files.choice]
        names = f"{cases[0].name} and {cases[1].name}"
        more = f" and {len(cases) - 2} more" if len(cases) > 2 else ""
        problem = (
            f"{readable(folder.name)} holds two or more cases, {names}{more}; "
            "open a file of the one you mean."
        )
        return replace(cases[0], problem=halves[0] if halves else problem, choice=False)
    if cases:
        return cases[0]
    labels = [files.labels for files in groups if files.labels]
    only = labels[0] if len(labels) == 1 else None
    name = groups[0].name if len(groups) == 1 and only else readable(folder.resolve().name)
    return CaseFiles(name, labels=only, unknown=tuple(p for p in niftis if p != only))


def _case_of_file(path: Path) -> CaseFiles:
    name = readable(stem(path.name))
    if not is_nifti(path.name):
        raise CaseError(f"{path.name} is not a NIfTI file; choose a .nii or .nii.gz file.")
    if msd.is_msd_labels(path):
        volume = msd.volume_of(path)
        if volume:
            return _msd_case(volume)
        channels = nnunet.channels_of(path)
        return _case_of_file(channels[0]) if channels else CaseFiles(name, labels=path)
    told = parse_name(path.name)
    if told.role is Role.RESULT:
        return CaseFiles(readable(told.case) or name, labels=path)
    try:
        niftis = _niftis(_children(path.parent))
    except CaseError:  # a folder that may be entered, but not listed
        niftis = [path]
    if _is_modality_folder(path.parent) and _files_of_modality_folders(path.parent.parent, 1):
        above = _niftis(_children(path.parent.parent))
        niftis = above + _files_of_modality_folders(path.parent.parent, 1)
    else:
        niftis += _files_of_modality_folders(path.parent, 1)
    for files in _group(niftis, {}):
        if any(_same(path, other) for other in files.paths):
            return files
    return CaseFiles(name, unknown=(path,))


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and one.absolute().parent == other.absolute().parent


def _group(niftis: Sequence[Path], patterns: Mapping[Modality, str]) -> list[CaseFiles]:
    """Sort the files of one folder into cases."""
    numbered = nnunet.cases_in(niftis)
    taken = {path for case in numbered for path in case.channels}
    rest = [path for path in niftis if path not in taken]
    told = dict(zip(rest, _tell(rest, patterns), strict=True))
    found = unite({path: name for path, name in told.items() if name.modality is not None})
    alone = len(found) == 1 and not numbered
    others = {path: name for path, name in told.items() if name.modality is None}
    mine: dict[int, dict[Path, FileName]] = {id(group): {} for group in found}
    for path, group in owners(found, others).items():
        if alone or len(found) > 1 or group.has_id(others[path]):
            mine[id(group)][path] = others[path]
    cases = [_case(group, mine[id(group)], alone=alone) for group in found]
    cases = [_with_other_formats(files, alone=alone) for files in _asked(cases, told)]
    named = {path for files in cases for path in files.paths}
    without = []
    for path, name in told.items():
        if path in named:
            continue
        if msd.is_msd_volume(path, name.role):
            without.append(_msd_case(path))
        elif name.role is Role.LABELS or (name.role is Role.RESULT and not found):
            parent = path.resolve().parent.name
            without.append(CaseFiles(readable(name.case or parent), labels=path))
        elif name.role not in (Role.MAP, Role.RESULT):
            without.append(CaseFiles(readable(stem(path.name)), unknown=(path,)))
    channels = [_nnunet_case(case) for case in numbered]
    return sorted([*cases, *without, *channels], key=lambda files: files.name)


def _tell(niftis: Sequence[Path], patterns: Mapping[Modality, str]) -> list[FileName]:
    """Read the names; a pattern that names a file counts more."""
    told = parse_names(path.name for path in niftis)
    by_folder: dict[Path, list[int]] = {}
    for index, path in enumerate(niftis):
        by_folder.setdefault(path.parent, []).append(index)
    for folder, indices in by_folder.items():
        named = parse_name(folder.name)
        unknown = all(told[index].role is Role.UNKNOWN for index in indices)
        if unknown and named.modality is not None and not named.case:
            for index in indices:  # "flair/P01.nii"
                word = f"{stem(niftis[index].name)}_{named.modality}"
                told[index] = parse_name(word)
    for modality, pattern in patterns.items():
        # The first "*" is the case; names are compared without .nii.gz, however it is spelled.
        expression = translate(stem(pattern)).replace(".*", "(?P<case>.*)", 1)
        fitting = compile(expression, IGNORECASE)
        chosen: dict[int, FileName] = {}
        for index, path in enumerate(niftis):
            if fits := fitting.match(stem(path.name)):
                named = parse_name(f"{fits.groupdict().get('case') or ''}_flair")
                chosen[index] = FileName(named.case, Role.MODALITY, modality, named.before)
        others = {n.id: n for i, n in enumerate(told) if n.modality and i not in chosen}
        if len(chosen) == len(others) == 1 and all(n.modality is not modality for n in told):
            (only,), (case,) = chosen, others.values()  # the file that the one case there lacks
            chosen[only] = replace(chosen[only], case=case.case, before=case.id)
        ids = {name.id for name in chosen.values()}
        for index, path in enumerate(niftis):
            if told[index].modality is modality and index not in chosen:
                # Another file was chosen instead; where none was, this one is asked for.
                instead = told[index].id in ids or () in ids
                role = Role.OTHER if instead else Role.UNKNOWN
                told[index] = FileName(stem(path.name), role)
        for index, name in chosen.items():
            told[index] = name
    return told


def _case(group: Group, others: Mapping[Path, FileName], *, alone: bool) -> CaseFiles:
    """Make a case of a group of images, with its labels and the files that tell nothing.

    Parameters
    ----------
    group : Group
        Files that belong together.
    others : mapping of Path to FileName
        Its files that are no images by their name.
    alone : bool
        Whether it is the only case of its folder.
    """
    modalities: dict[Modality, Path] = {}
    twice: dict[Modality, list[Path]] = {}
    for path, name in group.files.items():
        assert name.modality is not None
        first = modalities.setdefault(name.modality, path)
        if first != path:
            twice.setdefault(name.modality, [first]).append(path)
    named = [path for path, name in others.items() if name.role is Role.LABELS]
    labels = [path for path in named if group.has_id(others[path])]
    if alone and not labels:
        labels = named
    unknown = [
        path
        for path, name in others.items()
        if name.role in (Role.UNKNOWN, Role.OTHER, Role.LABELS) and path not in labels[:1]
    ]
    if len(labels) > 1:
        unknown, labels = [*unknown, labels[0]], []
    problem = group.problem
    if twice and not problem:
        modality, (one, other, *_) = next(iter(twice.items()))
        problem = (
            f"{group.name} has two {modality.title} files, {one.name} and {other.name}; choose one "
            f"in the panel or with --{modality.value}, or move the other out of the folder."
        )
    for modality, paths in twice.items():
        del modalities[modality]
        unknown += paths
    return CaseFiles(
        group.name,
        {modality: modalities[modality] for modality in Modality if modality in modalities},
        labels[0] if labels else None,
        tuple(sorted(unknown)),
        problem=problem,
        choice=bool(twice) and not group.problem,
    )


def _asked(cases: list[CaseFiles], told: Mapping[Path, FileName]) -> list[CaseFiles]:
    """Ask about a file that may be the modality which a case lacks."""
    owned = {path for files in cases for path in files.paths}
    unowned = [p for p, n in told.items() if n.role is Role.UNKNOWN and p not in owned]
    unowned = [path for path in unowned if not msd.is_msd_volume(path, Role.UNKNOWN)]
    asked = []
    for files in cases:
        missing = [modality for modality in Modality if modality not in files.modalities]
        mine = [path for path in files.unknown if told[path].role is Role.UNKNOWN]
        doubtful = mine or unowned
        if missing and doubtful and not files.problem:
            titles = " and no ".join(modality.title for modality in missing)
            listed = ", ".join(path.name for path in doubtful[:3])
            files = replace(
                files,
                unknown=tuple(dict.fromkeys([*files.unknown, *doubtful])),
                choice=True,
                problem=f"{files.name} has no {titles}, and the name of {listed} does not tell "
                f"what it is; choose it in the panel, name it with --{missing[-1].value}, rename "
                f"it to end in _{missing[-1].value}, or move it out of the folder.",
            )
        asked.append(files)
    return asked


def _with_other_formats(files: CaseFiles, *, alone: bool) -> CaseFiles:
    """Add images of other formats that lie beside the NIfTI and show what the case lacks."""
    missing = [modality for modality in Modality if modality not in files.modalities]
    if files.problem or not missing or not files.modalities:
        return files
    folder = next(iter(files.modalities.values())).parent
    try:
        others = [path for path in _children(folder) if is_foreign_image(path)]
    except CaseError:
        return files
    told = zip(others, parse_names(path.stem for path in others), strict=True)
    mine = {
        path: name.modality
        for path, name in told
        if name.modality in missing and (alone or readable(name.case) == files.name)
    }
    for path, modality in mine.items():
        if list(mine.values()).count(modality) > 1 or not is_readable(path):
            assert modality is not None
            return replace(
                files,
                problem=f"{files.name} has no {modality.title} that can be read, and {path.name} "
                'lies beside its files; make a case of both with "napari-gliocam prepare", or '
                "move it out of the folder.",
            )
    every = {**files.modalities, **{m: path for path, m in mine.items() if m is not None}}
    return replace(files, modalities={m: every[m] for m in Modality if m in every})


def _nnunet_case(case: nnunet.NumberedCase) -> CaseFiles:
    modalities, problem = case.modalities()
    unknown = () if modalities else case.channels
    return CaseFiles(
        readable(case.name),
        modalities,
        case.labels,
        unknown,
        problem=problem,
        choice=bool(problem) and not modalities,
    )


def _msd_case(volume: Path) -> CaseFiles:
    name = readable(stem(volume.name))
    labels = msd.labels_of(volume)
    try:
        order = msd.channel_order(volume)
    except CaseError as error:
        return CaseFiles(
            name, dict.fromkeys(msd.KNOWN_ORDER, volume), labels, (), volume, str(error)
        )
    return CaseFiles(name, dict.fromkeys(order, volume), labels, (), volume)


def _distinct(cases: list[tuple[Path, CaseFiles]], root: Path) -> list[CaseFiles]:
    """Give cases of the same name the names of their folders too: results must not collide."""
    counts = Counter(files.name.casefold() for _, files in cases)
    named = []
    for folder, files in cases:
        if counts[files.name.casefold()] > 1:
            parts = [*map(readable, folder.relative_to(root).parts), files.name]
            files = replace(files, name="_".join(dict.fromkeys(parts)))
        named.append(files)
    return named


def _files_of_modality_folders(folder: Path, least: int = 2) -> list[Path]:
    """Return the files in folders that are named by a modality or labels, such as ``T2/``.

    Parameters
    ----------
    folder : Path
        The folder above them.
    least : int
        Fewer files than this are left to their own folders.

    Returns
    -------
    list of Path
        Empty where such a folder holds another modality, too: then its name means something else,
        such as a time point.
    """
    found = []
    for child in _children(folder):
        if not _is_modality_folder(child):
            continue
        inside = _niftis(_children(child))
        shown = {name.modality for name in parse_names(path.name for path in inside)} - {None}
        if not shown <= {parse_name(child.name).modality}:
            return []
        found += inside
    return found if len(found) >= least else []


def _is_modality_folder(folder: Path) -> bool:
    """Return True if a folder's name states a modality or labels."""
    if not folder.is_dir() or folder.name.startswith(".") or folder.name.lower() == "labelstr":
        return False
    return parse_name(folder.name).role in (Role.MODALITY, Role.LABELS)


def _niftis(children: Sequence[Path]) -> list[Path]:
    """Keep the NIfTI files; what only has such a name is one, so that it is missed when read.

    That is a link that leads nowhere, or a folder without a file of that kind in it.
    """
    return [path for path in children if is_nifti(path.name) and not _holds_nifti(path)]


def _holds_nifti(path: Path) -> bool:
    """Return True for a folder with a NIfTI file in it, such as ``P01_t2.nii/P01_t2.nii``."""
    try:
        return path.is_dir() and any(is_nifti(child.name) for child in path.iterdir())
    except OSError:
        return False


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise CaseError(_unreadable(folder, error)) from error


def _unreadable(folder: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{folder} cannot be read ({reason}); check the rights to this folder."


def _folders(folder: Path, *, seen: set[Path]) -> Iterator[tuple[Path, list[Path], str | None]]:
    """Walk the folder and all below it, in order; follow links, but never in a circle.

    Yields
    ------
    folder : Path
        The folder to look in or write to.
    niftis : list of Path
        The NIfTI files in it, or in its folders where each holds one modality.
    problem : str or None
        Why the folder cannot be read.
    """
    try:
        real = folder.resolve()
        if real in seen:
            return
        seen.add(real)
        children = _children(folder)
        niftis = _niftis(children)
        parts = _files_of_modality_folders(folder, 1 if niftis else 2)
    except CaseError as error:
        yield folder, [], str(error)
        return
    except OSError as error:
        yield folder, [], _unreadable(folder, error)
        return
    yield folder, [*niftis, *parts], None
    done = {path.parent for path in parts}
    for child in children:
        if child.is_dir() and not child.name.startswith(".") and child not in done:
            yield from _folders(child, seen=seen)
