"""Tables as csv that any spreadsheet opens, and no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from napari_gliocam.io.atomic import write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

#: Beginning of a cell that a spreadsheet takes for a formula, perhaps neutralised already.
_FORMULA = re.compile(r"'*[=+\-@\t]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as csv in UTF-8, whole or not at all; an earlier one is replaced.

    Parameters
    ----------
    path : Path
        The file to write.
    header : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Cells of each row; None is an empty cell, texts are made harmless by `neutral_cell`.

    Raises
    ------
    SaveError
        If it cannot be written; an earlier file is as it was.
    """
    write_files({path: csv_text(header, rows)}, overwrite=True)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as csv text; see `write_csv`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([neutral_cell(c) if isinstance(c, str) else c for c in row])
    return out.getvalue()


def csv_of(rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows that name their cells as csv text.

    Parameters
    ----------
    rows : iterable of mapping
        Cells by column; the header names every column that any row has, in order of appearance.
    """
    every = list(rows)
    columns = list(dict.fromkeys(column for row in every for column in row))
    return csv_text(columns, ([row.get(column) for column in columns] for row in every))


def neutral_cell(text: str) -> str:
    """Return a text that a spreadsheet shows as it is.

    Returns
    -------
    str
        The text without control characters, with an apostrophe in front where a spreadsheet
        would take it for a formula.
    """
    text = _CONTROL.sub(" ", text)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def restored_cell(text: str) -> str:
    """Return the text that `neutral_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
