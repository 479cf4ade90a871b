"""A report as files: the page, csv and json, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.tables import csv_of
from napari_gliocam.report.page import make_page
from napari_gliocam.report.reading import Reading
from napari_gliocam.report.tables import rows_of, to_json

#: The table of all cases of a run.
TABLE_NAME = "measures.csv"


def report_files(folder: Path, case_name: str) -> tuple[Path, Path, Path]:
    """Return the page, the csv and the json of a case in a folder."""
    stem = safe_name(case_name)
    page, table, document = (folder / f"{stem}_report.{end}" for end in ("html", "csv", "json"))
    return page, table, document


def save_reading(reading: Reading, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write ``CASE_report.html``, ``.csv`` and ``.json``.

    Parameters
    ----------
    reading : Reading
        The figures of the case.
    folder : Path
        Made where it is missing.
    overwrite : bool
        Whether an earlier report may be replaced.

    Raises
    ------
    SaveError
        A file exists, or cannot be written; earlier files are kept.
    """
    page, table, document = report_files(folder, reading.case.name)
    contents = {
        page: make_page(reading),
        table: csv_of(rows_of(reading)),
        document: to_json(reading),
    }
    write_files(contents, overwrite=overwrite)
    return list(contents)


def save_table(rows: Iterable[dict[str, object]], folder: Path, *, overwrite: bool = False) -> Path:
    """Write the rows of several cases as one csv, `TABLE_NAME`.

    Parameters
    ----------
    rows : iterable of dict
        From `napari_gliocam.report.tables.rows_of`.
    folder : Path
        The folder to look in or write to.
    overwrite : bool
        Whether an earlier file may be replaced.

    Raises
    ------
    SaveError
        The file exists, or cannot be written.
    """
    path = folder / TABLE_NAME
    write_files({path: csv_of(rows)}, overwrite=overwrite)
    return path
