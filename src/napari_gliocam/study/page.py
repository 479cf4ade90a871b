"""The page of a study, and all its files: table, box plots and pictures in one html, csv, json."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

import napari_gliocam
from napari_gliocam.colours import CONFUSION_COLOURS, TARGET_COLOURS
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.sidecar import NOTICE
from napari_gliocam.io.tables import csv_of
from napari_gliocam.measure.scores.confusion import CONFUSION_NAMES
from napari_gliocam.report.page import read_template
from napari_gliocam.study.chart import draw_boxes
from napari_gliocam.study.figures import StudyResult
from napari_gliocam.study.store import Setup
from napari_gliocam.study.tables import (
    TITLES,
    case_rows,
    columns_of,
    figure_rows,
    how,
    table_of,
    to_json,
)

PAGE_NAME, JSON_NAME, FIGURES_NAME, CASES_NAME = (
    "study.html",
    "study.json",
    "figures.csv",
    "cases.csv",
)


def save_study(result: StudyResult, setup: Setup, pictured: Iterable[str]) -> list[Path]:
    """Write the page, the json and both csv of a study; earlier ones are replaced.

    Raises
    ------
    SaveError
    """
    contents = {
        setup.out / PAGE_NAME: make_page(result, setup, pictured),
        setup.out / FIGURES_NAME: csv_of(figure_rows(result)),
        setup.out / CASES_NAME: csv_of(case_rows(result)),
        setup.out / JSON_NAME: to_json(result),
    }
    write_files(contents, overwrite=True)
    return list(contents)


def make_page(result: StudyResult, setup: Setup, pictured: Iterable[str]) -> str:
    """Make the page: one HTML file that needs no network and no script."""
    study = result.study
    style = files("napari_gliocam.report") / "templates" / "style.css"
    return read_template("napari_gliocam.study", "study.html").render(
        study=study,
        style=Markup(style.read_text(encoding="utf-8")),  # noqa: S704 - our own file
        version=napari_gliocam.__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        notice=NOTICE,
        how=how(result),
        published=any(row.published for row in study.rows),
        columns=[f"{TITLES[metric]}, {target}" for target, metric in columns_of(result)],
        lines=table_of(result),
        boxes=_boxes(result),
        legend=[(CONFUSION_COLOURS[value], name) for value, name in CONFUSION_NAMES.items()],
        pictures=[_pictures(case, setup) for case in pictured if case in result.cases],
        cases=len(result.cases),
        failed=list(result.failed.items()),
    )


def _boxes(result: StudyResult) -> list[tuple[str, Markup]]:
    study = result.study
    found = []
    for metric in study.table.metrics:
        for target in study.targets:
            title = f"{TITLES[metric]}, {target}, by patient"
            values = {
                row.title: list(result.by_patient(number, target, metric).values())
                for number, row in enumerate(study.rows)
            }
            top = None if metric == "hd95_mm" else 1.0
            chart = draw_boxes(values, TARGET_COLOURS[target], top=top, title=title)
            found.append((title, Markup(chart)))  # noqa: S704 - numbers and escaped names
    return found


def _pictures(case: str, setup: Setup) -> dict[str, Any]:
    rows = []
    for number, row in enumerate(setup.study.rows):
        shown = []
        for target in setup.study.targets:
            path = setup.picture_file(case, number, target)
            if path.is_file():
                shown.append((target, base64.b64encode(path.read_bytes()).decode("ascii")))
        if shown:
            rows.append((row.title, shown))
    return {"case": case, "rows": rows}
