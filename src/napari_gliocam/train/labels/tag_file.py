"""Slice labels as a table: ``case,slice,core,edema``, one row a slice.

``slice`` counts from 0 in the file's own axial order; ``core`` and ``edema`` are 1 or 0, both empty
for a slice that was skipped.  Tables that a spreadsheet saved are read as well: other separators
and a line ``sep=;``, decimal commas, a byte order mark, UTF-16, Windows-1252, more columns, case
numbers that lost their leading zeros.  A table is read row by row, so that its length does not
matter.
"""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.tables import restored_cell, write_csv
from napari_gliocam.train.labels.tags import SKIPPED, Tag, Tags

COLUMNS = ("case", "slice", "core", "edema")
#: Name of the file unless another is given.
FILE_NAME = "gliocam-labels.csv"
_WORDS = {
    **dict.fromkeys(("1", "1.0", "1,0", "true", "yes", "y", "x"), True),
    **dict.fromkeys(("0", "0.0", "0,0", "false", "no", "n"), False),
}
#: The tags there are; sharing them keeps long tables small in memory.
_TAGS = {(core, edema): Tag(core, edema) for core in (False, True) for edema in (False, True)}
#: Most complaints that are listed; the rest is counted.
_LISTED = 8


@dataclass(frozen=True, slots=True)
class TagRow:
    """A row of the table.

    Parameters
    ----------
    line : int
        Number of the line, from 1 (the header) as in an editor.
    case : str
        Name of the case.
    number : int
        Number of the slice.
    tag : Tag
        The labels of the slice.
    """

    line: int
    case: str
    number: int
    tag: Tag


@dataclass
class _Listed:
    """The first complaints of a kind, and the count of all."""

    first: list[str] = field(default_factory=list)
    count: int = 0

    @classmethod
    def of(cls, complaints: Iterable[str]) -> _Listed:
        listed = cls()
        for complaint in complaints:
            listed.add(complaint)
        return listed

    def add(self, complaint: str) -> None:
        self.count += 1
        if len(self.first) < _LISTED:
            self.first.append(complaint)

    def __str__(self) -> str:
        more = f" and {self.count - _LISTED} more" if self.count > _LISTED else ""
        return "; ".join(self.first) + more

    def refuse(self, file: Path) -> None:
        """Raise `TrainingError` if there is a complaint."""
        if self.count:
            raise TrainingError(f'"{file}": {self}; correct these lines and read it again.')


def save_tags(tags: Tags, file: Path) -> None:
    """Write the table, whole or not at all.

    Parameters
    ----------
    tags : Tags
        The labels to write.
    file : Path
        The csv file.

    Raises
    ------
    SaveError
        If it cannot be written; the earlier file is as it was.
    """
    rows = (
        (case, number, *(("", "") if tag.skipped else (int(tag.core), int(tag.edema))))
        for case, number, tag in tags
    )
    write_csv(file, COLUMNS, rows)


def load_tags(file: Path, depths: Mapping[str, int] | None = None) -> tuple[Tags, tuple[str, ...]]:
    """Read the table and check it.

    Parameters
    ----------
    file : Path
        The csv file.
    depths : mapping of str to int, optional
        Number of slices of each case in the folder; without it slice numbers are not checked.

    Returns
    -------
    tags : Tags
        Labels of slices.
    warnings : tuple of str
        One sentence each about repeated rows and about cases that are not in the folder.

    Raises
    ------
    TrainingError
        If the file is no such table, rows contradict each other, or a slice does not exist.
    """
    tags, strangers, wrong = Tags(), dict[str, int](), _Listed()
    again: dict[bool, list[TagRow]] = {True: [], False: []}
    names = None if depths is None else _CaseNames.of(depths)
    for row in _rows_by_name(file, names):
        if depths is not None and row.case not in depths:
            strangers.setdefault(row.case, row.line)
            continue
        if depths is not None and row.number >= depths[row.case]:
            last = depths[row.case] - 1
            wrong.add(f"line {row.line}: {row.case} has slices 0 to {last}, not {row.number}")
        before = tags.of(row.case).get(row.number)
        if before is None:
            tags.put(row.case, row.number, row.tag)
        else:
            again[before == row.tag].append(row)
    lines = _first_lines(file, [*again[True], *again[False]], names)
    for row in again[False]:
        wrong.add(
            f"lines {lines[row.case, row.number]} and {row.line} contradict each other about slice "
            f"{row.number} of {row.case}"
        )
    wrong.refuse(file)
    warnings = []
    if again[True]:
        pairs = _Listed.of(f"{lines[row.case, row.number]} and {row.line}" for row in again[True])
        warnings.append(f'"{file}" has the same label twice in lines {pairs}.')
    if strangers:
        listed = _Listed.of(f"{case} (line {line})" for case, line in strangers.items())
        warnings.append(f'"{file}" has labels of cases that are not in the folder: {listed}.')
    return tags, tuple(warnings)


@dataclass(frozen=True)
class _CaseNames:
    """The names of a folder's cases, however a table spells them.

    Parameters
    ----------
    composed : dict of str to str
        Names by their composed Unicode form (NFC); some file systems decompose them.
    numbers : dict of int to str
        Names that are numbers, by their value; spreadsheets drop leading zeros.
    """

    composed: dict[str, str]
    numbers: dict[int, str]

    @classmethod
    def of(cls, names: Iterable[str]) -> _CaseNames:
        """Collect the names of a folder; a value that two names share stands for neither."""
        names = list(names)
        values = [int(name) for name in names if name.isdecimal()]
        return cls(
            {unicodedata.normalize("NFC", name): name for name in names},
            {int(n): n for n in names if n.isdecimal() and values.count(int(n)) == 1},
        )

    def name_of(self, written: str) -> str:
        """Return the folder's name for a written one, or the written one if there is none."""
        name = self.composed.get(unicodedata.normalize("NFC", written))
        if name is None and written.isdecimal():
            name = self.numbers.get(int(written))
        return written if name is None else name


def _rows_by_name(file: Path, names: _CaseNames | None) -> Iterator[TagRow]:
    """Read the rows of a table, their cases called as the folder calls them."""
    for row in read_rows(file):
        yield row if names is None else replace(row, case=names.name_of(row.case))


def read_rows(file: Path) -> Iterator[TagRow]:
    """Read the rows of a table, one after the other.

    Parameters
    ----------
    file : Path
        The csv file.

    Yields
    ------
    TagRow
        The rows that are as they should be.

    Raises
    ------
    TrainingError
        If the file cannot be read or a column is missing; after the last row if a value is none of
        0, 1 and empty.
    """
    wrong = _Listed()
    try:
        with file.open(encoding=_encoding(file), newline="") as stream:
            header, above = stream.readline(), 1
            told = re.fullmatch(r'"?sep=(.)"?\s*', header, re.IGNORECASE)
            if told:
                header, above = stream.readline(), 2
            separator, places = _columns(file, header, told and told[1])
            table = csv.reader(stream, delimiter=separator)
            for cells in table:
                line = table.line_num + above
                values = [cells[p].strip() if p < len(cells) else "" for p in places]
                if not any(cell.strip() for cell in cells):
                    continue
                try:
                    row = TagRow(
                        line, restored_cell(values[0]), _number(values[1]), _tag(*values[2:])
                    )
                except ValueError as error:
                    wrong.add(f"line {line}: {error}")
                    continue
                if row.case:
                    yield row
                else:
                    wrong.add(f"line {line} names no case")
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f'"{file}" cannot be read ({reason}); check the path.') from error
    except UnicodeError as error:
        raise TrainingError(f'"{file}" is not text in UTF-8; save it as "CSV UTF-8".') from error
    except csv.Error as error:
        raise TrainingError(
            f'"{file}" is not a table ({error}); save it from a spreadsheet as "CSV UTF-8".'
        ) from error
    wrong.refuse(file)


def _encoding(file: Path) -> str:
    """Return how a table's text is encoded: by its first bytes, else by trying UTF-8 on it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with file.open("rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        stream.seek(0)
        try:
            while part := stream.read(1 << 16):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return "cp1252"
    return "utf-8-sig"


def _columns(file: Path, header: str, told: str | None = None) -> tuple[str, list[int]]:
    """Return the separator of a table and the places of its columns."""
    if not header.strip():
        raise TrainingError(f'"{file}" is empty; it needs the columns {", ".join(COLUMNS)}.')
    separator = told or max(",;\t|", key=header.count)
    names = [name.strip().casefold() for name in next(csv.reader([header], delimiter=separator))]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise TrainingError(
            f'"{file}" has no column {", ".join(missing)} in its first line; it needs '
            f"{', '.join(COLUMNS)}, more columns do no harm."
        )
    return separator, [names.index(name) for name in COLUMNS]


def _first_lines(
    file: Path, rows: Iterable[TagRow], names: _CaseNames | None
) -> dict[tuple[str, int], int]:
    """Return the line that first labels the slice of each row; reads the table again."""
    wanted = {(row.case, row.number) for row in rows}
    lines: dict[tuple[str, int], int] = {}
    if wanted:
        for row in _rows_by_name(file, names):
            if (row.case, row.number) in wanted:
                lines.setdefault((row.case, row.number), row.line)
    return lines


def _number(text: str) -> int:
    try:
        value = float(text.replace(",", "."))  # spreadsheets write 12.0 or 12,0
    except ValueError:
        value = -1.0
    if not value.is_integer() or value < 0:
        raise ValueError(f"slice is {text!r}, not a whole number from 0 on")
    return int(value)


def _tag(core: str, edema: str) -> Tag:
    if not core and not edema:
        return SKIPPED
    for name, text in (("core", core), ("edema", edema)):
        if text.casefold() not in _WORDS:
            raise ValueError(f"{name} is {text!r}, not 0 or 1")
    return _TAGS[_WORDS[core.casefold()], _WORDS[edema.casefold()]]
