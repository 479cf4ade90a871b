"""An `Evaluation` as tables for a person; they fit into 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from napari_gliocam.cli.console import printable
from napari_gliocam.measure.evaluation.record import (
    CLASS_OVERLAP,
    IMAGE_LEVEL,
    METHOD,
    CaseRecord,
    Key,
)
from napari_gliocam.measure.evaluation.report import Against, Evaluation
from napari_gliocam.measure.evaluation.summary import IMAGE_LEVEL_POOLED, Figure, patients_with
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.wording import NOTHING, figure, spread

#: Rows of cases in the short table.
MOST_ROWS = 10
METRICS = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_mm": "HD95 (mm)",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
}
#: Digits of the metrics that are no share.
_DIGITS = {"hd95_mm": 1, "ml": 1}


def short_tables(evaluation: Evaluation) -> Iterator[RenderableType]:
    """Make one table of the whole volumes, cases then baselines, and the comparison."""
    own = [record for record in evaluation.records if record.method == METHOD]
    table = _cases(own[:MOST_ROWS])
    table.add_section()
    found = {
        (f.method, f.target, f.metric): f.mean
        for f in evaluation.summary()
        if f.group == Convention.VOLUME
    }
    methods = _unique(record.method for record in evaluation.records)
    for method in methods if len(own) > 1 else methods[1:]:
        row = []
        for target in _targets(own):
            row.append(figure(found.get((method, target, "dice")), 3))
            row.append(figure(found.get((method, target, "hd95_mm")), 1))
        title = f"mean of {len(own)}" if method == METHOD else f"baseline: {method}"
        table.add_row(title, *row, style="bold" if method == METHOD else "")
    yield table
    if len(own) > MOST_ROWS:
        yield Text(f"{len(own) - MOST_ROWS} more cases are in cases.csv.")
    if evaluation.against is not None:
        yield from _against(evaluation.against)


def tables(evaluation: Evaluation) -> Iterator[RenderableType]:
    """Make all tables: cases, conventions, image level, overlap of the classes, comparison."""
    figures = evaluation.summary()
    records = evaluation.records
    yield _cases([record for record in records if record.method == METHOD])
    for convention in Convention:
        title = f"{convention.value}: {convention.description}"
        yield _figures(title, [f for f in figures if f.group == convention.value], records)
    title = "image-level: mean over patients of what is said of each slice with brain"
    yield _figures(title, [f for f in figures if f.group == IMAGE_LEVEL], records)
    title = "image-level-pooled: the same over the slices of all patients together"
    pooled = [f for f in figures if f.group == IMAGE_LEVEL_POOLED and f.method == METHOD]
    yield _figures(title, pooled, records)
    if overlap := [f for f in figures if f.group == CLASS_OVERLAP and f.method == METHOD]:
        yield _overlap(overlap)
    if evaluation.against is not None:
        yield from _against(evaluation.against)


def _cases(records: Sequence[CaseRecord]) -> Table:
    table = _table("each case as one volume; HD95 in mm")
    table.add_column("case", overflow="fold")
    targets = _targets(records)
    for target in targets:
        table.add_column(f"{target}\nDice", justify="right")
        table.add_column("\nHD95", justify="right")
    for record in records:
        row = []
        for target in targets:
            known = record.overlaps.get(target)
            overlap = None if known is None else known[Convention.VOLUME]
            row.append(figure(None if overlap is None else overlap.dice, 3))
            row.append(figure(None if overlap is None else overlap.hd95, 1))
        table.add_row(Text(printable(record.case)), *row)
    return table


def _figures(title: str, figures: Sequence[Figure], records: Sequence[CaseRecord]) -> Table:
    """Return a row for each metric and method that has it; n stands in the head."""
    found = {(f.metric, f.method, f.target): f for f in figures}
    metrics, methods = _unique(f.metric for f in figures), _unique(f.method for f in figures)
    table = _table(title)
    table.add_column("", min_width=11)
    table.add_column("", min_width=10)
    targets = _targets(records)
    for target in targets:
        n = max((f.n for f in figures if f.target == target), default=0)
        with_class = patients_with(records, target)
        head = f"{target}\nn = {n}" + (f", {with_class} with it" if with_class != n else "")
        table.add_column(head, justify="right", min_width=15)
    for metric in metrics:
        shown = METRICS[metric]
        for method in methods:
            row = [_cell(found.get((metric, method, target))) for target in targets]
            if set(row) == {NOTHING} and method != METHOD:
                continue
            table.add_row(shown, method, *row, style="bold" if method == METHOD else "")
            shown = ""
        table.add_section()
    return table


def _overlap(figures: Sequence[Figure]) -> Text:
    cells = {f.metric: _cell(f) for f in figures}
    return Text(
        f"Core and edema before exclusivity: both claim {cells['ml']} ml, "
        f"{cells['union_fraction']} of their union; Dice core with edema {cells['dice']} "
        f"(n = {figures[0].n}).\n"
    )


def _against(against: Against) -> Iterator[RenderableType]:
    table = _table(f"this run minus {against.name}, {len(against.common)} cases, volume")
    table.add_column("")
    table.add_column("")
    for head in ("difference", "n", "t-test p", "Wilcoxon p"):
        table.add_column(head, justify="right")
    notes: dict[str, list[str]] = {}
    for target in TARGETS:
        for metric in ("dice", "iou", "hd95_mm"):
            test = against.tests.get(Key(Convention.VOLUME.value, target, metric))
            if test is None:
                continue
            if test.note:
                notes.setdefault(test.note, []).append(f"{target} {METRICS[metric]}")
            table.add_row(
                target if metric == "dice" else "",
                METRICS[metric],
                spread(test.difference, test.sd, _DIGITS.get(metric, 3), sign="+"),
                str(test.n),
                _p(test.p),
                _p(test.wilcoxon_p),
            )
        table.add_section()
    yield table
    for note, without in notes.items():
        yield Text(f"{', '.join(without)}: {note}")
    for cases, where in ((against.only_here, "here"), (against.only_there, against.name)):
        if cases:
            yield Text(printable(f"Only {where}, not compared: {', '.join(cases)}."))


def _targets(records: Sequence[CaseRecord]) -> list[Target]:
    """Return the targets that any of the records scores."""
    return [target for target in TARGETS if any(target in r.counts for r in records)]


def _table(title: str) -> Table:
    return Table(
        title=Text(printable(title)),
        title_justify="left",
        title_style="",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )


def _cell(one: Figure | None) -> str:
    return NOTHING if one is None else spread(one.mean, one.sd, _DIGITS.get(one.metric, 3))


def _p(value: float | None) -> str:
    return "< 0.001" if value is not None and value < 0.001 else figure(value, 3)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
