"""The figures of a study: mean and standard deviation over slices and patients, pooled, tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from napari_gliocam.measure.evaluation.paired_test import PairedTest, paired_test
from napari_gliocam.measure.evaluation.summary import mean_and_sd
from napari_gliocam.measure.scores.conventions import Counts
from napari_gliocam.study.fields import Study
from napari_gliocam.study.scores import Moments, RowScores, TargetScores, TwoClass
from napari_gliocam.targets import Target

_BY_SLICE = {"present-slices": "present", "all-slices": "every"}
_TWO_CLASS = ("miou", "dsc", "pa")
_OVERLAP = ("dice", "iou", "hd95_mm")


@dataclass(frozen=True)
class StudyFigure:
    """One figure of a row over the cohort.

    Parameters
    ----------
    row : int
        The row, counted from 0.
    over, scoring, target, metric : str
        See `napari_gliocam.study.fields`.
    mean, sd : float or None
        HD95 in mm, all others in [0, 1]; no sd for pooled figures and for one value.
    n : int
        Values that were averaged; cases that were pooled.
    """

    row: int
    over: str
    scoring: str
    target: str
    metric: str
    mean: float | None
    sd: float | None
    n: int


@dataclass(frozen=True, eq=False)
class StudyResult:
    """The scores of all cases of a study.

    Parameters
    ----------
    study : Study
        The study.
    cases : mapping of str to sequence of RowScores or None
        Scores of each row on each case, None where it was not computed.
    failed : mapping of str to str
        Sentence for each case that could not be measured.
    """

    study: Study
    cases: Mapping[str, Sequence[RowScores | None]]
    failed: Mapping[str, str] = field(default_factory=dict)

    def scores(self, row: int, target: Target) -> dict[str, TargetScores]:
        """Return the scores of a row, counted from 0, and class by the name of the case."""
        return {
            case: known.targets[target]
            for case, rows in self.cases.items()
            if (known := rows[row]) is not None
        }

    def figures(self) -> list[StudyFigure]:
        """Return every figure, row by row."""
        return [
            StudyFigure(row, over, scoring, target, metric, *values)
            for row in range(len(self.study.rows))
            for target in self.study.targets
            for over, scoring, metric, values in _figures(self.scores(row, target))
        ]

    def shown(self) -> dict[tuple[int, str, str], StudyFigure]:
        """Return the figures of the study's table by row, target and metric."""
        table = self.study.table
        return {
            (f.row, f.target, f.metric): f
            for f in self.figures()
            if f.over == table.over and f.scoring == table.scoring and f.metric in table.metrics
        }

    def by_patient(self, row: int, target: Target, metric: str) -> dict[str, float]:
        """Return the figure of the table for each patient by whom it is defined.

        Parameters
        ----------
        row : int
            The row, counted from 0.
        target : Target
            The class.
        metric : str
            One of the table's.
        """
        scoring = self.study.table.scoring
        if scoring == "foreground":
            scoring = "volume"
        return dict(_by_patient(self.scores(row, target), scoring, metric))

    def compared_with(self, row: int) -> int | None:
        """Return the row that a row is compared with by paired tests, if any."""
        rows, wanted = self.study.rows, self.study.tests
        own = rows[row]
        if wanted == "previous":
            group = dict.fromkeys(r.of_all_seeds for r in rows if r.group == own.group)
            wanted = dict(zip(list(group)[1:], group, strict=False)).get(own.of_all_seeds, "")
        for number, other in enumerate(rows):
            if other.of_all_seeds == wanted != own.of_all_seeds and other.seed in ("", own.seed):
                return number
        return None

    def seeds_of(self, row: int) -> list[int]:
        """Return the rows that run what a row, counted from 0, runs with other seeds, and it."""
        rows = self.study.rows
        if not rows[row].seed:
            return [row]
        return [n for n, r in enumerate(rows) if r.of_all_seeds == rows[row].of_all_seeds]

    def tests(self) -> dict[tuple[int, str, str], PairedTest]:
        """Return paired tests over patients by row, target and metric of the table."""
        found: dict[tuple[int, str, str], PairedTest] = {}
        for row in range(len(self.study.rows)):
            other = self.compared_with(row)
            if other is None:
                continue
            for target in self.study.targets:
                for metric in self.study.table.metrics:
                    first = self.by_patient(row, target, metric)
                    second = self.by_patient(other, target, metric)
                    common = [case for case in first if case in second]
                    found[row, target, metric] = paired_test(
                        [first[c] for c in common], [second[c] for c in common]
                    )
        return found

    def seconds(self, row: int) -> float:
        """Return the time that a row, counted from 0, took over all cases."""
        known = (rows[row] for rows in self.cases.values())
        return sum(scores.seconds for scores in known if scores is not None)


_Values = tuple[float | None, float | None, int]


def _figures(scores: Mapping[str, TargetScores]) -> Iterator[tuple[str, str, str, _Values]]:
    for scoring, part in _BY_SLICE.items():
        for metric in _OVERLAP:
            moments = sum((getattr(s, part)[metric] for s in scores.values()), Moments())
            yield "slices", scoring, metric, (moments.mean, moments.sd, moments.n)
    for scoring in ("volume", *_BY_SLICE, "two-class"):
        for metric in _TWO_CLASS if scoring == "two-class" else _OVERLAP:
            values = [value for _, value in _by_patient(scores, scoring, metric)]
            yield "patients", scoring, metric, mean_and_sd(values)
    counts = sum((s.counts for s in scores.values()), Counts(0, 0, 0))
    pooled, n = counts.pooled, len(scores)
    yield "pooled", "foreground", "dice", (pooled.dice, None, n)
    yield "pooled", "foreground", "iou", (pooled.iou, None, n)
    if n:
        together = TwoClass.of(counts, sum(s.voxels for s in scores.values()))
        for metric in _TWO_CLASS:
            yield "pooled", "two-class", metric, (getattr(together, metric), None, n)


def _by_patient(
    scores: Mapping[str, TargetScores], scoring: str, metric: str
) -> Iterator[tuple[str, float]]:
    for case, one in scores.items():
        value: float | None
        if scoring == "two-class":
            value = getattr(TwoClass.of(one.counts, one.voxels), metric)
        elif scoring == "volume":
            value = one.volume[metric]
        else:
            value = getattr(one, _BY_SLICE[scoring])[metric].mean
        if value is not None:
            yield case, value
