"""Tags as a table: ``case,slice,core,edema``, one row a slice.

``slice`` counts from 0 in the file's own axial order; ``core`` and ``edema`` are 1 or 0, both empty
for a slice that was skipped.  What a spreadsheet makes of it is read as well: other separators,
a byte order mark, UTF-16, more columns.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.train.labels.tags import SKIPPED, Tag, Tags

COLUMNS = ("case", "slice", "core", "edema")
#: What the file is called where a user names none.
FILE_NAME = "gliocam-labels.csv"
_WORDS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "x"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n"), False),
}
#: So many complaints are listed, the rest counted.
_LISTED = 8


@dataclass(frozen=True)
class TagRow:
    """A row as it stands in the file.

    Parameters
    ----------
    line : int
        Counted from 1, as editors do; the header is line 1.
    case : str
    number : int
        Of the slice.
    tag : Tag
    """

    line: int
    case: str
    number: int
    tag: Tag


def save_tags(tags: Tags, file: Path) -> None:
    """Write the table, whole or not at all.

    Raises
    ------
    SaveError
        If it cannot be written; the earlier file is as it was.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case, number, tag in tags:
        shown = ("", "") if tag.skipped else (int(tag.core), int(tag.edema))
        writer.writerow((case, number, *shown))
    write_files({file: out.getvalue().encode()}, overwrite=True)


def load_tags(file: Path, depths: Mapping[str, int] | None = None) -> tuple[Tags, tuple[str, ...]]:
    """Read the table and check it.

    Parameters
    ----------
    file : Path
    depths : mapping of str to int, optional
        Slices of each case there is; without it nobody asks whether a slice exists.

    Returns
    -------
    tags : Tags
    warnings : tuple of str
        One sentence each: rows that say the same twice, cases that are not there.

    Raises
    ------
    TrainingError
        If the file is no such table, rows contradict each other, or a slice does not exist.
    """
    rows = read_rows(file)
    wrong, warnings = [], []
    first: dict[tuple[str, int], TagRow] = {}
    twice: list[str] = []
    for row in rows:
        before = first.setdefault((row.case, row.number), row)
        if before is not row and before.tag == row.tag:
            twice.append(f"{before.line} and {row.line}")
        elif before is not row:
            wrong.append(
                f"lines {before.line} and {row.line} contradict each other about slice "
                f"{row.number} of {row.case}"
            )
    strangers: set[str] = set()
    if depths is not None:
        strangers = {row.case for row in rows} - depths.keys()
        wrong += [
            f"line {row.line}: {row.case} has slices 0 to {depths[row.case] - 1}, not {row.number}"
            for row in rows
            if row.case in depths and row.number >= depths[row.case]
        ]
    if wrong:
        raise TrainingError(f'"{file}": {_listed(wrong)}; correct these lines and read it again.')
    if twice:
        warnings.append(f'"{file}" says the same twice in lines {_listed(twice)}.')
    if strangers:
        warnings.append(
            f'"{file}" speaks of cases that are not in the folder: {_listed(sorted(strangers))}.'
        )
    tags = Tags()
    for row in first.values():
        if row.case not in strangers:
            tags.put(row.case, row.number, row.tag)
    return tags, tuple(warnings)


def read_rows(file: Path) -> list[TagRow]:
    """Read every row of a table.

    Raises
    ------
    TrainingError
        If there is no file, a column is missing, or a value is none of 0, 1 and empty.
    """
    lines = _text(file).splitlines()
    if not lines:
        raise TrainingError(f'"{file}" is empty; it needs the columns {", ".join(COLUMNS)}.')
    separator = max(",;\t|", key=lines[0].count)
    table = csv.reader(lines, delimiter=separator)
    names = [name.strip().casefold() for name in next(table)]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise TrainingError(
            f'"{file}" has no column {_listed(missing)} in its first line; it needs '
            f"{', '.join(COLUMNS)}, more columns do no harm."
        )
    places = [names.index(name) for name in COLUMNS]
    rows, wrong = [], []
    for cells in table:
        line = table.line_num
        if not any(cell.strip() for cell in cells):
            continue
        values = [cells[p].strip() if p < len(cells) else "" for p in places]
        try:
            rows.append(TagRow(line, values[0], _number(values[1]), _tag(values[2], values[3])))
            if not values[0]:
                wrong.append(f"line {line} names no case")
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    if wrong:
        raise TrainingError(f'"{file}": {_listed(wrong)}; correct these lines and read it again.')
    return rows


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise TrainingError(
            f'"{file}" cannot be read ({error.strerror or error}); check the path.'
        ) from error
    try:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return raw.decode("utf-16")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingError(f'"{file}" is not text in UTF-8; save it as "CSV UTF-8".') from error


def _number(text: str) -> int:
    try:
        value = float(text)  # spreadsheets write 12.0
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
    return Tag(_WORDS[core.casefold()], _WORDS[edema.casefold()])


def _listed(complaints: Iterable[str]) -> str:
    every = list(complaints)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return "; ".join(every[:_LISTED]) + more
