"""Parts of a split and folds of a cross-validation by case, as csv."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.tables import restored_cell, write_csv

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: In the folder of a cross-validation.
FOLDS_FILE = "folds.csv"


def read_folds(file: Path) -> dict[str, int]:
    """Return the fold of each case, from 1, of a file that `write_folds` wrote.

    Raises
    ------
    GliocamError
        It cannot be read.
    """
    rows = read_parts(file, "fold")
    try:
        return {name: int(value) for name, value in rows.items()}
    except ValueError as error:
        raise GliocamError(f'"{file}": a fold is no number ({error}); correct it.') from error


def write_folds(file: Path, folds: Mapping[str, int]) -> None:
    """Write the fold of each case, counted from 1, as csv.

    Raises
    ------
    SaveError
    """
    write_csv(file, ("case", "fold"), sorted(folds.items()))


def read_parts(file: Path, column: str) -> dict[str, str]:
    """Return a column of a csv by the column ``case``.

    Parameters
    ----------
    file : Path
        The csv, in UTF-8.
    column : str
        Name of the column, such as "split".

    Raises
    ------
    GliocamError
        It cannot be read or lacks a column.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return {
                restored_cell(row["case"].strip()): row[column].strip()
                for row in csv.DictReader(stream)
            }
    except OSError as error:
        raise GliocamError(
            f'"{file}" cannot be read ({error.strerror or error}); check the path.'
        ) from error
    except (KeyError, AttributeError, ValueError, csv.Error) as error:
        raise GliocamError(
            f'"{file}" is no split; give a csv with the columns case and {column}.'
        ) from error
