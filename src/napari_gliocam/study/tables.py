"""The result of a study as cells of a table, as csv and as json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from napari_gliocam.io.sidecar import signature
from napari_gliocam.measure.evaluation.paired_test import PairedTest
from napari_gliocam.measure.evaluation.summary import mean_and_sd
from napari_gliocam.study.figures import StudyFigure, StudyResult
from napari_gliocam.wording import NOTHING, counted, spread

TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_mm": "HD95 (mm)",
    "dsc": "DSC",
    "miou": "mIoU",
    "pa": "PA",
}
#: Words for what is averaged and how it is counted.
OVER = {
    "slices": "mean ± sd over the slices of all patients",
    "patients": "mean ± sd over patients",
    "pooled": "voxels of all patients together",
}
SCORING = {
    "present-slices": "slices that show the class by the expert",
    "all-slices": "all slices, those without the class too; both empty: Dice 1, IoU 1, HD95 0",
    "volume": "the volume in 3-D",
    "foreground": "the lesion alone",
    "two-class": "mean of lesion and background; DSC = 2 mIoU / (1 + mIoU)",
}


@dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Parameters
    ----------
    ours : str
        Our figure.
    paper : str
        The published one; empty where there is none.
    stars : str
        Where the paired test finds a difference, see `stars`.
    """

    ours: str
    paper: str = ""
    stars: str = ""


def columns_of(result: StudyResult) -> list[tuple[str, str]]:
    """Return target and metric of each column."""
    study = result.study
    return [(target, metric) for metric in study.table.metrics for target in study.targets]


@dataclass(frozen=True)
class TableLine:
    """A line of the table.

    Parameters
    ----------
    group, name : str
        Heading that the line belongs under, and its own.
    cells : list of Cell
        In the order of `columns_of`.
    minutes : float
        Time of the line over all cases.
    """

    group: str
    name: str
    cells: list[Cell]
    minutes: float


def table_of(result: StudyResult) -> list[TableLine]:
    """Return the table: a line for each row, and one for the mean of a row's seeds after them."""
    shown, tests = result.shown(), result.tests()
    lines = []
    for number, row in enumerate(result.study.rows):
        cells, means = [], []
        seeds = result.seeds_of(number)
        several = len(seeds) > 1
        for target, metric in columns_of(result):
            place = number, target, metric
            paper = _pair(row.published.get(target, {}).get(metric, ()), metric)
            ours = _words(shown.get(place), metric)
            cells.append(Cell(ours, "" if several else paper, stars(tests.get(place))))
            found = [shown.get((n, target, metric)) for n in seeds]
            known = [f.mean for f in found if f is not None and f.mean is not None]
            mean, sd, _ = mean_and_sd(known)
            means.append(Cell(spread(mean, sd, _digits(metric)), paper))
        name = f"{row.name}, {row.seed}" if row.seed else row.name
        lines.append(TableLine(row.group, name, cells, result.seconds(number) / 60))
        if several and number == seeds[-1]:
            minutes = sum(result.seconds(n) for n in seeds) / 60
            lines.append(TableLine(row.group, f"{row.name}, mean ± sd of seeds", means, minutes))
    return lines


def how(result: StudyResult) -> str:
    """Return a sentence about what the figures of the table are."""
    table = result.study.table
    words = f"{OVER[table.over]}; {SCORING[table.scoring]}"
    n = max((len(result.scores(row, t)) for row, t in _rows_and_targets(result)), default=0)
    words = f"{words[0].upper()}{words[1:]}; {counted(n, 'patient')}."
    if result.study.tests:
        other = "the row above" if result.study.tests == "previous" else result.study.tests
        words += (
            f" * p < 0.05, ** p < 0.01 in a paired two-sided t-test over patients against {other}."
        )
    return words


def _rows_and_targets(result: StudyResult) -> Iterator[tuple[int, Any]]:
    for row in range(len(result.study.rows)):
        for target in result.study.targets:
            yield row, target


def stars(test: PairedTest | None) -> str:
    """Return ** for p < 0.01, * for p < 0.05 (paper 1, Table 2)."""
    if test is None or test.p is None or test.p >= 0.05:
        return ""
    return "**" if test.p < 0.01 else "*"


def _words(one: StudyFigure | None, metric: str) -> str:
    return NOTHING if one is None else spread(one.mean, one.sd, _digits(metric))


def _pair(values: tuple[float, ...], metric: str) -> str:
    mean, sd = (*values, None, None)[:2]
    return spread(mean, sd, _digits(metric)) if values else ""


def _digits(metric: str) -> int:
    return 1 if metric == "hd95_mm" else 3


def figure_rows(result: StudyResult) -> Iterator[dict[str, Any]]:
    """Return a row of the csv for every figure of the study, with the published ones beside."""
    table, tests = result.study.table, result.tests()
    for one in result.figures():
        row = result.study.rows[one.row]
        in_table = one.over == table.over and one.scoring == table.scoring
        published: dict[str, float] = {}
        test: PairedTest | None = None
        if in_table:
            values = row.published.get(one.target, {}).get(one.metric, ())
            published = dict(zip(("published_mean", "published_sd"), values, strict=False))
            test = tests.get((one.row, one.target, one.metric))
        yield {
            "group": row.group,
            "row": row.name,
            "seed": row.seed,
            **{k: v for k, v in asdict(one).items() if k != "row"},
            "published_mean": published.get("published_mean"),
            "published_sd": published.get("published_sd"),
            "difference": test and test.difference,
            "t_test_p": test and test.p,
            "wilcoxon_p": test and test.wilcoxon_p,
        }


def case_rows(result: StudyResult) -> Iterator[dict[str, Any]]:
    """Return a row of the csv for every case, row of the study and class."""
    for case, rows in result.cases.items():
        for row, known in zip(result.study.rows, rows, strict=True):
            for target, scores in known.targets.items() if known is not None else ():
                yield {
                    "case": case,
                    "group": row.group,
                    "row": row.name,
                    "seed": row.seed,
                    "target": target,
                    "voxels_both": scores.counts.both,
                    "voxels_labels": scores.counts.labels,
                    "voxels_expert": scores.counts.expert,
                    **{f"volume_{k}": v for k, v in scores.volume.items()},
                    **{f"present_slices_{k}": m.mean for k, m in scores.present.items()},
                    "slices_showing_it": scores.present["dice"].n,
                    **{f"all_slices_{k}": m.mean for k, m in scores.every.items()},
                }


def to_json(result: StudyResult) -> str:
    """Return the study and every figure as json; finite numbers or null."""
    content = {
        **signature(),
        "study": asdict(result.study),
        "cases": list(result.cases),
        "failed": dict(result.failed),
        "seconds": {
            row.title: round(result.seconds(number), 1)
            for number, row in enumerate(result.study.rows)
        },
        "figures": list(figure_rows(result)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
