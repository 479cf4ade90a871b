"""What ``napari-gliocam evaluate`` does: cases in, an `Evaluation` out; `cli_tables` shows it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.batch import Planned, Request
from napari_gliocam.cli.console import Bar
from napari_gliocam.cli.each_case import each_case
from napari_gliocam.cli.tables import tables
from napari_gliocam.errors import CaseError, GliocamError, SaveError
from napari_gliocam.io import read_case, read_labels
from napari_gliocam.measure.evaluation.record import CaseRecord, evaluating_case, expert_labels
from napari_gliocam.measure.evaluation.report import (
    FILE_NAMES,
    Evaluation,
    compare_with,
    load_evaluation,
)
from napari_gliocam.measure.scores.conventions import EvaluationSettings
from napari_gliocam.measure.scores.surface import BRATS_DISTANCE
from napari_gliocam.progress import Progress

if TYPE_CHECKING:
    from napari_gliocam.case import Case
    from napari_gliocam.nets.bundle import Bundle


@dataclass(frozen=True)
class EvaluationRequest:
    """What one call is asked to measure, and how.

    Parameters
    ----------
    run : Request
        Bundle, device, thresholds and refinement; ``out`` gets the files of the evaluation.
    settings : EvaluationSettings
    results : Path or None
        A folder of labels that were saved before, which are measured instead.
    against : Path or None
        An earlier evaluation to compare with.
    label_scheme : str or None
        Of the expert labels, where it is not to be detected.
    """

    run: Request
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    results: Path | None = None
    against: Path | None = None
    label_scheme: str | None = None

    def check(self) -> None:
        """Refuse what would fail at the end before anything runs.

        Raises
        ------
        GliocamError
        """
        from napari_gliocam.io.atomic import check_writable
        from napari_gliocam.io.schemes import get_scheme

        for path in (self.run.out / name for name in FILE_NAMES):
            if path.exists() and not self.run.overwrite:
                raise SaveError(
                    f"{path} exists; choose another --out, or replace it (--overwrite)."
                )
        check_writable(self.run.out)
        if self.results is not None and not self.results.is_dir():
            raise CaseError(f"{self.results} is no folder of results; check --results.")
        if self.label_scheme is not None:
            get_scheme(self.label_scheme)
        if self.against is not None:
            load_evaluation(self.against, self.settings)


@dataclass(frozen=True)
class Measured:
    """What became of a case.

    Parameters
    ----------
    case : str
    source : Path
        The argument it came from.
    records : tuple of CaseRecord
        Its own and its rivals'; empty where it failed.
    warnings : tuple of str
    error, trace : str or None
        One sentence where it failed, and the traceback.
    """

    case: str
    source: Path
    records: tuple[CaseRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    trace: str | None = None


def parse_distance(text: str) -> float | None:
    """``--max-distance``: "diagonal" (None), "brats" or a number of mm.

    Raises
    ------
    GliocamError
        It is none of these.
    """
    if text in ("diagonal", "brats"):
        return BRATS_DISTANCE if text == "brats" else None
    try:
        return float(text)
    except ValueError:
        raise GliocamError(
            f'"{text}" is no distance; choose diagonal, brats or a number of mm.'
        ) from None


def run(
    sources: Iterable[Path],
    request: EvaluationRequest,
    bar: Bar,
    say: Callable[[str], None],
    *,
    as_json: bool = False,
    debug: bool = False,
) -> None:
    """Measure, show and save.

    Parameters
    ----------
    sources : iterable of Path
    request : EvaluationRequest
    bar : callable
        Opens a bar of progress with a title.
    say : callable
        Shows a sentence beside the results.
    as_json : bool
        Print the whole evaluation as one object instead of tables.
    debug : bool
        Say tracebacks, too.

    Raises
    ------
    GliocamError
        Nothing could be measured or written at all.
    typer.Exit
        With status 1 if a case failed.
    """
    request.check()
    measured: list[Measured] = []
    try:
        for one in measure_all(sources, request, bar):
            repeated = bool(measured) and one.error == measured[-1].error
            measured.append(one)
            if one.error and not as_json and not repeated:
                say(one.error if one.case in one.error else f"{one.case}: {one.error}")
            if one.trace and debug and not repeated:
                say(one.trace)
            for warning in one.warnings if not as_json else ():
                say(f"{one.case}: {warning}")
    except KeyboardInterrupt:
        say("Stopped; nothing was written.")
        raise
    evaluation = evaluation_of(measured, request)
    files = []
    if evaluation.records:
        with cli_batch.uninterrupted():
            files = evaluation.save(request.run.out, overwrite=request.run.overwrite)
    if as_json:
        typer.echo(json.dumps(evaluation.to_json(), allow_nan=False))
    elif evaluation.records:
        console = Console()
        for table in tables(evaluation):
            console.print(table)
        typer.echo(f"Written: {', '.join(map(str, files))}")
    if evaluation.failed:
        raise typer.Exit(1)


def measure_all(
    sources: Iterable[Path], request: EvaluationRequest, bar: Bar
) -> Iterator[Measured]:
    """Measure one case after the other; the bundle is loaded once, when a case needs it.

    Parameters
    ----------
    sources : iterable of Path
        As in `cli_batch.plan`.
    request : EvaluationRequest
    bar : callable
        Opens a bar of progress with a title.
    """
    return each_case(
        cli_batch.find_distinct(sources, lambda files: None, request.run.images),
        request.run,
        lambda item, bundle: measure_case(item, request, bundle),
        Measured,
        bar,
        networks=request.results is None,
    )


def measure_case(
    item: Planned, request: EvaluationRequest, bundle: Bundle | None
) -> Generator[Progress, None, Measured]:
    """Read a case, segment it or read its result, and score it; failures are outcomes.

    Yields
    ------
    Progress
    """
    try:
        return (yield from _measure_case(item, request, bundle))
    except Exception as error:  # one strange case must not stop the others
        sentence = cli_batch.sentence_of(error, item.name)
        return Measured(item.name, item.source, error=sentence, trace=traceback.format_exc())


def evaluation_of(measured: Iterable[Measured], request: EvaluationRequest) -> Evaluation:
    """Put the cases of a run together.

    Raises
    ------
    GliocamError
        The evaluation to compare with does not fit.
    """
    every = list(measured)
    records = [record for one in every for record in one.records]
    against = None
    if request.against is not None and records:
        against = compare_with(records, request.settings, request.against)
    failed = [
        {"case": one.case, "source": one.source.name, "error": one.error}
        for one in every
        if one.error
    ]
    return Evaluation(records, request.settings, _source(request), failed, against)


def _source(request: EvaluationRequest) -> dict[str, Any]:
    if request.results is not None:
        return {"results": request.results.resolve().name}
    from napari_gliocam.nets.bundle import read_bundle_info

    try:
        info = read_bundle_info(request.run.bundle)
    except GliocamError:  # then every case says so
        return {}
    return {
        "bundle": info.name,
        "origin": info.origin,
        "device": request.run.device,
        "settings": asdict(request.run.thresholds_for(info)),
        "refinement": request.run.refinement.used,
    }


def _measure_case(
    item: Planned, request: EvaluationRequest, bundle: Bundle | None
) -> Generator[Progress, None, Measured]:
    if item.files is None:
        raise CaseError(item.error or f"{item.source} is no case.")
    yield Progress(0, 1, "reading")
    case = read_case(item.files, label_scheme=request.label_scheme)
    expert_labels(case)  # before the networks run for nothing
    warnings = [*case.warnings]
    if request.results is not None:
        labels, doubts = read_result(case, request.results)
        warnings += doubts
        records = yield from evaluating_case(case, labels, settings=request.settings)
    else:
        from napari_gliocam.segmentation import segmenting

        assert bundle is not None
        segmentation = yield from segmenting(
            case,
            bundle=bundle,
            device=request.run.device,
            thresholds=request.run.thresholds_for(bundle.info),
            refinement=request.run.refinement,
        )
        records = yield from evaluating_case(case, segmentation, settings=request.settings)
    return Measured(item.name, item.source, tuple(records), tuple(warnings))


def read_result(case: Case, folder: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Read the labels of a case that were saved before.

    Parameters
    ----------
    case : Case
    folder : Path
        As in `cli_batch.find_result`.

    Returns
    -------
    labels : ndarray of uint8, shape (S, P, L)
    warnings : tuple of str

    Raises
    ------
    CaseError
        There are none, they are the expert's own, or lie on another grid.
    """
    path = cli_batch.find_result(folder, case.name)
    if case.expert and case.expert.source and path.resolve() == case.expert.source.resolve():
        raise CaseError(
            f"{path} is the expert's own file, which agrees with itself; "
            "choose the folder of the results as --results."
        )
    read = read_labels(path, case.grid, case_name=case.name)
    return read.expert.labels, read.warnings
