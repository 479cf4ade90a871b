"""The command ``evaluate``: segmentations against expert labels, as files and tables."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gliocam.cli.batch import (
    Outcome,
    Sources,
    check_scheme,
    each_case,
    echo_files,
    end,
    plan,
    refuse_existing,
    run_cases,
    say_each,
)
from napari_gliocam.cli.cluster import Cluster, in_order
from napari_gliocam.cli.console import (
    INTERRUPTED,
    AsJson,
    Debug,
    say,
    sentences,
    uninterrupted,
)
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import EvaluationSettings, SegmentRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_gliocam.case import Case
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.measure.evaluation.record import CaseRecord
    from napari_gliocam.measure.evaluation.report import Evaluation
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.targets import Target


@dataclass(frozen=True)
class EvaluationRequest:
    """Options of ``evaluate``.

    Parameters
    ----------
    out : Path
        Where the json and csv go.
    segment : SegmentRequest
        How cases without a saved result are segmented.
    settings : EvaluationSettings
        How figures are computed.
    results : Path or None
        Score labels saved earlier; no network runs.
    against : Path or None
        Compare with an earlier evaluation.json.
    label_scheme : str or None
        Label scheme of the expert labels; else detected.
    no_names : bool
        Number the cases instead of naming them, and leave out sentences of failures, which name
        files.
    overwrite : bool
        Replace the results of an earlier run.
    """

    out: Path
    segment: SegmentRequest
    settings: EvaluationSettings
    results: Path | None = None
    against: Path | None = None
    label_scheme: str | None = None
    no_names: bool = False
    overwrite: bool = False

    def check(self) -> None:
        """Refuse what would fail at the end before anything runs.

        Raises
        ------
        GliocamError
        """
        from napari_gliocam.measure.evaluation.report import FILE_NAMES, load_evaluation

        refuse_existing((self.out / name for name in FILE_NAMES), overwrite=self.overwrite)
        if self.results is not None and not self.results.is_dir():
            raise CaseError(f"{self.results} is no folder of results; check --results.")
        check_scheme(self.label_scheme)
        if self.against is not None:
            load_evaluation(self.against, self.settings)


@with_shared_options
def evaluate(
    sources: Sources,
    request: EvaluationRequest,
    cluster: Cluster,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print every convention and measure.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score what segment saves against expert labels, beside baselines without a network.

    Writes evaluation.json, cases.csv and summary.csv. A case that fails does not stop the others.
    """
    with sentences(debug):
        request.check()
        planned = plan(sources, lambda files: None)
        done, stopped = run_cases(
            each_case(
                planned,
                lambda files, bundle: measuring(files, request, bundle),
                None if request.results else request.segment,
                cluster,
            ),
            lambda scored, outcome: say_each(outcome, scored.warnings),
            quiet=as_json,
            debug=debug,
        )
        if stopped:
            say("Stopped; nothing was written.")
            raise typer.Exit(INTERRUPTED)
        done = in_order(planned, done)
        evaluation = evaluation_of(done, request)
        files = []
        if evaluation.records:
            with uninterrupted():
                files = evaluation.save(request.out, overwrite=request.overwrite)
        if as_json:
            typer.echo(json.dumps(evaluation.to_json(), allow_nan=False))
        elif evaluation.records:
            _print(evaluation, files, verbose=verbose)
    end(done)


@dataclass(frozen=True)
class Scored:
    """A case that was scored.

    Parameters
    ----------
    records : tuple of CaseRecord
        Its own and those of the baselines.
    warnings : tuple of str
        One sentence each.
    """

    records: tuple[CaseRecord, ...]
    warnings: tuple[str, ...] = ()


def measuring(
    files: CaseFiles, request: EvaluationRequest, bundle: Bundle | None
) -> Generator[Progress, None, Scored]:
    """Read a case, segment it or read its result, and score it."""
    from napari_gliocam.io import read_case
    from napari_gliocam.measure.evaluation.record import evaluating_case, expert_labels

    yield Progress(0, 1, "reading")
    case = read_case(files, label_scheme=request.label_scheme)
    expert_labels(case)  # before the networks run for nothing
    warnings = [*case.warnings]
    result: Any
    targets = None
    if request.results is not None:
        result, targets, doubts = read_result(case, request.results)
        warnings += doubts
    else:
        from napari_gliocam.segmentation import segmenting

        result = yield from segmenting(case, bundle=bundle, **request.segment.options)
    records = yield from evaluating_case(case, result, targets=targets, settings=request.settings)
    return Scored(tuple(records), tuple(warnings))


def read_result(
    case: Case, folder: Path
) -> tuple[NDArray[np.uint8], tuple[Target, ...] | None, tuple[str, ...]]:
    """Read the labels of a case that were saved before.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    folder : Path
        As in `napari_gliocam.io.results.find_result`.

    Returns
    -------
    labels : ndarray of uint8, shape (S, P, L)
        The labels.
    targets : tuple of Target or None
        Targets that they tell of, where the json beside them says so.
    warnings : tuple of str
        One sentence each.

    Raises
    ------
    CaseError
        There are none, they are the expert's own, or lie on another grid.
    """
    from napari_gliocam.io import read_labels
    from napari_gliocam.io.results import find_result
    from napari_gliocam.io.sidecar import read_sidecar, told_targets

    path = find_result(folder, case.name)
    if case.expert and case.expert.source and path.resolve() == case.expert.source.resolve():
        raise CaseError(
            f"{path} is the expert's own file, which agrees with itself; "
            "choose the folder of the results as --results."
        )
    read = read_labels(path, case.grid, case_name=case.name)
    return read.expert.labels, told_targets(read_sidecar(path)), read.warnings


def evaluation_of(outcomes: Sequence[Outcome[Scored]], request: EvaluationRequest) -> Evaluation:
    """Put the cases of a run together.

    Raises
    ------
    GliocamError
        The evaluation to compare with does not fit.
    """
    from napari_gliocam.measure.evaluation.report import Evaluation, compare_with

    every = [one.result.records if one.result else () for one in outcomes]
    against = None
    if request.against is not None and any(every):
        records = [record for records in every for record in records]
        against = compare_with(records, request.settings, request.against)
    failed = [
        {"case": one.case, "source": one.source.name, "error": one.error}
        for one in outcomes
        if one.error
    ]
    if request.no_names:
        numbers = range(1, len(every) + 1)
        every = [
            tuple(replace(record, case=f"case {number}") for record in records)
            for number, records in zip(numbers, every, strict=True)
        ]
        failed = [
            {"case": f"case {number}"}
            for number, one in zip(numbers, outcomes, strict=True)
            if one.error
        ]
        against = against and against.without_names()
    records = [record for records in every for record in records]
    return Evaluation(records, request.settings, _source(request), failed, against)


def _source(request: EvaluationRequest) -> dict[str, Any]:
    """Return what made the labels; folders may name a patient and stay out."""
    if request.results is not None:
        return {"results": request.results.resolve().name}
    from napari_gliocam.nets.bundle_info import read_bundle_info
    from napari_gliocam.segmentation import bundle_thresholds

    asked = request.segment
    try:
        info = read_bundle_info(asked.bundle)
    except GliocamError:  # then every case says so
        return {}
    return {
        "bundle": info.name,
        "origin": info.origin,
        "device": asked.device,
        "settings": asdict(asked.thresholds or bundle_thresholds(info)),
        "refinement": asked.refinement.used,
    }


def _print(evaluation: Evaluation, files: Iterable[Path], *, verbose: bool) -> None:
    """Print tables that fit into 80 columns, and where the files are."""
    from rich.console import Console

    from napari_gliocam.cli.evaluate_tables import short_tables, tables

    console = Console()
    for table in tables(evaluation) if verbose else short_tables(evaluation):
        console.print(table)
    echo_files("Written", files)
