"""Grouping of the images of one folder by the IDs in their names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gliocam.io.naming import FileName, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_gliocam.case import Modality

#: Of a series, such as 3, s3 or series3: few digits, for many are an ID or a date.
_SERIES = re.compile(r"(s|se|ser|series|scan)?\d{1,4}")
#: Modalities that make it certain that numbers are those of series and not of patients.
_ENOUGH = 3
#: A date, or a date with the time.
_DATE = re.compile(r"((19|20)\d{6})(\d{6})?")


@dataclass(frozen=True)
class Group:
    """Images of one case.

    Parameters
    ----------
    name : str
        What the case is called.
    files : mapping of Path to FileName
        Files and how their names were read.
    ids : frozenset of tuple of str
        The IDs of its names; several where processing or a running number differs.
    before : tuple of str
        The words before the modality, where they are the ID.
    problem : str or None
        Why they may be a part of a case only.
    """

    name: str
    files: Mapping[Path, FileName]
    ids: frozenset[tuple[str, ...]]
    before: tuple[str, ...] = ()
    problem: str | None = field(default=None, compare=False)

    @property
    def modalities(self) -> frozenset[Modality]:
        """The modalities that the files show."""
        return frozenset(name.modality for name in self.files.values() if name.modality)

    def has_id(self, name: FileName) -> bool:
        """Return True if a file has an ID of this group, or none at all."""
        return not name.id or name.id in self.ids


def owners(groups: Sequence[Group], others: Mapping[Path, FileName]) -> dict[Path, Group]:
    """Tell to which images the other files of a folder belong.

    Parameters
    ----------
    groups : sequence of Group
        Groups of files of one folder.
    others : mapping of Path to FileName
        Files that are no images by their name.

    Returns
    -------
    dict of Path to Group
        With the same ID, or the longest with which the name begins; where there is one group
        alone, all of them belong to it.
    """
    if len(groups) == 1:
        return dict.fromkeys(others, groups[0])
    by_id = {one: group for group in groups for one in (*group.ids, group.before) if one}
    found = {}
    for path, name in others.items():
        words = name.id or tuple(re.findall(r"[^\W_]+", name.case.lower()))
        lengths = [len(words)] if name.id else range(len(words), 0, -1)
        owner = next((by_id[words[:n]] for n in lengths if words[:n] in by_id), None)
        if owner is not None:
            found[path] = owner
    return found


def unite(images: Mapping[Path, FileName]) -> list[Group]:
    """Sort images into cases.

    Files with the same ID are one case.  So are files whose words before the modality agree and
    that differ behind it by a running number or by words of processing, and files named by number
    and modality alone (``3_FLAIR``), where every modality is there once.  Groups that show
    different modalities and may be parts of one case all the same get a ``problem``.

    Parameters
    ----------
    images : mapping of Path to FileName
        The images of one folder.
    """
    by_id: dict[tuple[str, ...], dict[Path, FileName]] = {}
    for path, name in images.items():
        by_id.setdefault(name.id, {})[path] = name
    groups = _joined_by_series([_group(files) for files in by_id.values()])
    by_before: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        by_before.setdefault(group.before, []).append(group)
    united: list[Group] = []
    for before, parts in by_before.items():
        united += [_merged(parts)] if before and _is_one_case(parts) else parts
    plain = [group for group in united if group.ids == {()}]
    others = [group for group in united if group.ids != {()}]
    if len(plain) == 1 and len(others) == 1:
        # A file called by its modality alone belongs to the only case there is.
        united = [_merged([*others, *plain])]
    return _with_problems(united)


def _joined_by_series(groups: list[Group]) -> list[Group]:
    """Unite files that are named by the number of their series and the modality.

    Beside these two a name may hold that of the folder.  Numbers of patients are ruled out: every
    file shows another modality, and there are `_ENOUGH` of them.
    """
    series = [group for group in groups if len(group.files) == 1 and _is_series(group)]
    shown = frozenset().union(*(group.modalities for group in series))
    if len(shown) < max(_ENOUGH, len(series)):
        return groups
    one = replace(_merged(series), name=readable(_folder(series[0].files).name), before=())
    return [one, *(group for group in groups if group not in series)]


def _is_series(group: Group) -> bool:
    (words,) = group.ids
    folder = tuple(re.findall(r"[^\W_]+", _folder(group.files).name.lower()))
    numbers = words[len(folder) :] if folder == words[: len(folder)] else words
    return len(numbers) == 1 and is_series_number(numbers[0])


def is_series_number(word: str) -> bool:
    """Return True if a word of a name may be the number of a series, such as 3, s3 or series3."""
    return _SERIES.fullmatch(word) is not None


def _folder(files: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([path.resolve().parent for path in files]))


def _group(files: Mapping[Path, FileName]) -> Group:
    name = next(iter(files.values()))
    befores = {one.before for one in files.values()}
    # With some names "flair_P01" and some "P01_t1" the words before the modality tell nothing.
    before = befores.pop() if len(befores) == 1 else ()
    title = name.case or _folder(files).name
    return Group(readable(title), files, frozenset({name.id}), before)


def _merged(groups: Iterable[Group]) -> Group:
    every = list(groups)
    first = min(every, key=lambda group: min((len(one) for one in group.ids), default=0))
    first = every[0] if not first.before else first
    files = {path: name for group in every for path, name in group.files.items()}
    ids = frozenset().union(*(group.ids for group in every)) | {first.before}
    name = first.name
    if len(first.ids) == 1 and first.before and next(iter(first.ids)) != first.before:
        # The name without the running number.
        path, told = next(iter(first.files.items()))
        cut = len("_".join(told.after)) + 1 if told.after else 0
        name = readable(told.case)[:-cut] if cut and path else first.name
    return replace(first, name=name, files=files, ids=frozenset(ids))


def _is_one_case(groups: list[Group]) -> bool:
    """Return True if groups with the same words before the modality are one case."""
    if len(groups) == 1:
        return False
    behind = [one[len(group.before) :] for group in groups for one in group.ids]
    if any(not words for words in behind):
        return True  # the words before the modality are the ID; the others describe the image
    total = sum(len(group.modalities) for group in groups)
    if total != len(frozenset().union(*(group.modalities for group in groups))):
        return False
    dated = [_DATE.fullmatch(word) for words in behind for word in words]
    if len({date.group(1) for date in dated if date}) > 1:
        return False  # of several days
    if all(word.isdigit() for words in behind for word in words):
        return True  # a running number for each file
    has_number = any(any(c.isdigit() for c in word) for word in groups[0].before)
    return has_number and not any(c.isdigit() for words in behind for w in words for c in w)


def _with_problems(groups: list[Group]) -> list[Group]:
    """Refuse groups that show nothing in common: they may be parts of one case."""
    kinds: dict[frozenset[Modality], Group] = {}
    for group in groups:
        kinds.setdefault(group.modalities, group)
    checked = []
    for group in groups:
        other = next((one for kind, one in kinds.items() if not kind & group.modalities), None)
        if other is not None:
            pair = sorted([_shown(group), _shown(other)])
            group = replace(
                group,
                problem=f"{' and '.join(pair)} may be parts of one case under several names; give "
                "the files of a case one name, or name each with --flair, --t1ce, --t2 and --t1.",
            )
        checked.append(group)
    return checked


def _shown(group: Group) -> str:
    path, name = next(iter(group.files.items()))
    assert name.modality is not None
    return f"{path.name} ({name.modality.title})"
