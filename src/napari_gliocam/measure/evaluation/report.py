"""An evaluation as files: json with everything, csv by case, csv of the summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.sidecar import signature
from napari_gliocam.io.tables import csv_of
from napari_gliocam.measure.evaluation.paired_test import PairedTest, compare, figures_by_case
from napari_gliocam.measure.evaluation.record import METHOD, CaseRecord, Key
from napari_gliocam.measure.evaluation.summary import Figure, summarise
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.settings import EvaluationSettings

JSON_NAME, CASES_NAME, SUMMARY_NAME = "evaluation.json", "cases.csv", "summary.csv"
#: Every file of an evaluation.
FILE_NAMES = (JSON_NAME, CASES_NAME, SUMMARY_NAME)


@dataclass(frozen=True)
class Against:
    """The comparison with an earlier evaluation.

    Parameters
    ----------
    name : str
        The file it came from.
    common, only_here, only_there : tuple of str
        Cases of both runs, and of one alone.
    tests : mapping of Key to PairedTest
        Differences are this run minus the other.
    """

    name: str
    common: tuple[str, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    tests: Mapping[Key, PairedTest]

    def without_names(self) -> Against:
        """Return the same comparison with numbers in the place of the cases' names."""
        every = dict.fromkeys((*self.common, *self.only_here, *self.only_there))
        numbers = {name: f"case {number}" for number, name in enumerate(every, start=1)}
        common, here, there = (
            tuple(numbers[name] for name in names)
            for names in (self.common, self.only_here, self.only_there)
        )
        return replace(self, common=common, only_here=here, only_there=there)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that was measured in one run.

    Parameters
    ----------
    records : sequence of CaseRecord
        Every case with every method.
    settings : EvaluationSettings
        How figures are computed.
    source : mapping
        What made the labels: bundle, device and thresholds, or the folder of results.
    failed : sequence of mapping
        ``case``, ``source`` and ``error`` of cases that could not be measured.
    against : Against or None
        Comparison with an earlier evaluation.
    """

    records: Sequence[CaseRecord]
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    source: Mapping[str, Any] = field(default_factory=dict)
    failed: Sequence[Mapping[str, Any]] = ()
    against: Against | None = None

    def summary(self) -> list[Figure]:
        """Mean and standard deviation over patients."""
        return summarise(self.records)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; finite numbers or None."""
        against = None
        if self.against is not None:
            against = {
                "name": self.against.name,
                "common": list(self.against.common),
                "only_here": list(self.against.only_here),
                "only_there": list(self.against.only_there),
                "tests": [{**k._asdict(), **asdict(t)} for k, t in self.against.tests.items()],
            }
        return {
            **signature(),
            "source": dict(self.source),
            "settings": asdict(self.settings),
            "conventions": {c.value: c.description for c in Convention},
            "cases": [record.to_json() for record in self.records],
            "summary": [asdict(figure) for figure in self.summary()],
            "failed": [dict(one) for one in self.failed],
            "against": against,
        }

    def save(self, folder: Path, *, overwrite: bool = False) -> list[Path]:
        """Write `JSON_NAME`, `CASES_NAME` and `SUMMARY_NAME`, all or none.

        Raises
        ------
        SaveError
            A file exists, or cannot be written.
        """
        document = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        contents = {
            folder / JSON_NAME: document + "\n",
            folder / CASES_NAME: csv_of(_case_rows(self.records)),
            folder / SUMMARY_NAME: csv_of(asdict(figure) for figure in self.summary()),
        }
        write_files(
            contents,
            overwrite=overwrite,
        )
        return list(contents)


def compare_with(
    records: Iterable[CaseRecord], settings: EvaluationSettings, other: Path
) -> Against:
    """Compare records with an evaluation that was saved before, by paired tests.

    Parameters
    ----------
    records : iterable of CaseRecord
        Those of `METHOD` are compared.
    settings : EvaluationSettings
        Must be those of the other run, or the figures mean different things.
    other : Path
        A `JSON_NAME`.

    Raises
    ------
    GliocamError
        The file is no evaluation, or was made with other settings, or no case is in both.
    """
    document = load_evaluation(other, settings)
    here = figures_by_case(records)
    there = saved_figures(document)
    common = tuple(case for case in here if case in there)
    if not common:
        raise GliocamError(
            f"{other} has none of these cases; evaluate the same cases in both runs."
        )
    return Against(
        other.name,
        common,
        tuple(case for case in here if case not in there),
        tuple(case for case in there if case not in here),
        compare(here, there),
    )


def load_evaluation(path: Path, settings: EvaluationSettings | None = None) -> dict[str, Any]:
    """Read a `JSON_NAME` that was saved before.

    Parameters
    ----------
    path : Path
        The file.
    settings : EvaluationSettings, optional
        What it must have been made with, so that its figures mean the same.

    Returns
    -------
    dict
        ``settings`` and ``cases``, as `Evaluation.to_json` writes them.

    Raises
    ------
    GliocamError
        It cannot be read, is something else, or was made with other settings.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        saved_figures(document)
        saved: dict[str, Any] = {
            "settings": dict(document["settings"]),
            "cases": list(document["cases"]),
        }
    except OSError as error:
        reason = error.strerror or str(error)
        raise GliocamError(f"{path} cannot be read ({reason}); check the path.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise GliocamError(
            f"{path} is no evaluation; choose an {JSON_NAME} that was written by "
            '"napari-gliocam evaluate".'
        ) from error
    for name, value in asdict(settings).items() if settings else ():
        if (theirs := saved["settings"].get(name)) != value:
            raise GliocamError(
                f"{path} was made with {name.replace('_', ' ')} {_said(theirs)}, this run with "
                f"{_said(value)}; evaluate both with the same options."
            )
    return saved


def saved_figures(
    document: Mapping[str, Any], method: str = METHOD
) -> dict[str, dict[Key, float | None]]:
    """Return the figures of one method of a saved evaluation, by case, as `compare` takes them."""
    return {
        case["case"]: {
            Key(group, target, metric): value
            for group, targets in case["figures"].items()
            for target, metrics in targets.items()
            for metric, value in metrics.items()
        }
        for case in document["cases"]
        if case["method"] == method
    }


def _said(value: Any) -> str:
    return "left to the default" if value is None else str(value)


def _case_rows(records: Iterable[CaseRecord]) -> Iterable[dict[str, Any]]:
    """Return a row for each case, method and target; the overlap of the classes in the tumour's."""
    for record in records:
        rows: dict[str, dict[str, Any]] = {}
        for target, counts in record.counts.items():
            present = record.overlaps[target][Convention.PRESENT_SLICES]
            rows[target] = {
                "case": record.case,
                "method": record.method,
                "target": target,
                "voxels_both": counts.both,
                "voxels_labels": counts.labels,
                "voxels_expert": counts.expert,
                "slices_expert": present.n,
            }
        for key, value in record.figures():
            column = f"{key.group}_{key.metric}".replace("-", "_")
            rows.get(key.target, rows["tumour"])[column] = value
        yield from rows.values()
