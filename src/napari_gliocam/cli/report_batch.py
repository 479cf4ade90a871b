"""Reports of many cases in one call, whatever the terminal shows of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.batch import Planned, Request
from napari_gliocam.cli.console import bar
from napari_gliocam.cli.each_case import each_case
from napari_gliocam.errors import CaseError, SaveError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import MIN_LESION_ML

if TYPE_CHECKING:
    from napari_gliocam.case import Case, ExpertLabels
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle


@dataclass(frozen=True)
class ReportRequest:
    """What one call is asked for; the options of `report`, checked.

    Parameters
    ----------
    run : Request
        Bundle, device, thresholds, refinement; ``out`` gets the reports.
    result : Path or None
        Labels that were saved before, or a folder of them; then no network runs.
    against : Path or None
        Labels to compare with instead of the case's expert labels.
    label_scheme : str or None
        Of the expert labels, where it is not to be detected.
    min_ml : float
        Smaller parts are no lesions.
    heading : str
        On top of each page.
    """

    run: Request
    result: Path | None = None
    against: Path | None = None
    label_scheme: str | None = None
    min_ml: float = MIN_LESION_ML
    heading: str = ""

    def folder_of(self, name: str) -> Path:
        """Where the report of a case goes."""
        from napari_gliocam.io.naming import safe_name

        return self.run.out / safe_name(name)


@dataclass(frozen=True)
class Reported:
    """What became of a case.

    Parameters
    ----------
    case : str
    source : Path
        The argument it came from.
    files : tuple of Path
        Page, csv and json.
    rows : tuple of dict
        For the csv of all cases.
    said : tuple of str
        What was found, in words, then warnings.
    seconds : float
    error, trace : str or None
        One sentence where it failed, and the traceback.
    """

    case: str
    source: Path
    files: tuple[Path, ...] = ()
    rows: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    said: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    trace: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat object with plain values; the first row is the case's."""
        return {
            "case": self.case,
            "source": str(self.source),
            "status": "failed" if self.error else "done",
            "error": self.error,
            "files": [str(path) for path in self.files],
            "said": list(self.said),
            "measures": self.rows[0] if self.rows else None,
            "seconds": round(self.seconds, 3),
        }


def plan(sources: list[Path], request: ReportRequest) -> list[Planned]:
    """Find the cases, and refuse what would fail at the end before any network runs."""
    from napari_gliocam.io.atomic import check_writable
    from napari_gliocam.io.schemes import get_scheme
    from napari_gliocam.report.save import TABLE_NAME, report_files

    out = request.run.out
    check_writable(out)
    if (out / TABLE_NAME).exists() and not request.run.overwrite:
        raise SaveError(
            f"{out / TABLE_NAME} exists; choose another --out, or replace it (--overwrite)."
        )
    if request.label_scheme is not None:
        get_scheme(request.label_scheme)

    def refuse(files: CaseFiles) -> str | None:
        for path in report_files(request.folder_of(files.name), files.name):
            if path.exists() and not request.run.overwrite:
                return f"{path} exists; choose another --out, or replace it (--overwrite)."
        return None

    planned = cli_batch.find_distinct(sources, refuse, request.run.images)
    for option, path in (("--result", request.result), ("--against", request.against)):
        if path is None:
            continue
        if not path.exists():
            raise CaseError(f"{path} does not exist; check {option}.")
        if path.is_dir() and option == "--against":
            raise CaseError(f"{path} is a folder; name one file as {option}.")
        if path.is_file() and len(planned) > 1:
            raise CaseError(f"{path.name} fits one case, and {len(planned)} were given; name one.")
    return planned


def report_all(planned: list[Planned], request: ReportRequest) -> Iterator[Reported]:
    """Report one case after the other; no network runs where labels were saved before."""
    return each_case(
        planned,
        request.run,
        lambda item, bundle: report_case(item, request, bundle),
        Reported,
        bar,
        networks=request.result is None,
    )


def report_case(
    item: Planned, request: ReportRequest, bundle: Bundle | None
) -> Generator[Progress, None, Reported]:
    """Read a case, segment it or read its result, measure and save; failures are outcomes.

    Yields
    ------
    Progress
    """
    started = time.perf_counter()
    try:
        done = yield from _report_case(item, request, bundle)
        return replace(done, seconds=time.perf_counter() - started)
    except Exception as error:  # one strange case must not stop the others
        sentence = cli_batch.sentence_of(error, item.name)
        return Reported(item.name, item.source, error=sentence, trace=traceback.format_exc())


def _report_case(
    item: Planned, request: ReportRequest, bundle: Bundle | None
) -> Generator[Progress, None, Reported]:
    from napari_gliocam.io.sidecar import read_sidecar
    from napari_gliocam.report.reading import reading_segmentation
    from napari_gliocam.report.save import save_reading
    from napari_gliocam.report.tables import rows_of
    from napari_gliocam.segmentation import segmenting

    if item.files is None:
        raise CaseError(item.error or f"{item.source} is no case.")
    yield Progress(0, 1, "reading")
    case, warnings = _read_case(item.files, request)
    expert, doubts = _expert(case, request)
    source, used = "", None
    result: Any
    if request.result is not None:
        path, labels, more = _result(case, request.result)
        result, source, doubts = labels, f"read from {path.name}", (*doubts, *more)
        used = read_sidecar(path)
        if expert is not None and expert.source and path.resolve() == expert.source.resolve():
            case, expert = replace(case, expert=None), None  # labels agree with themselves
    else:
        assert bundle is not None
        result = yield from segmenting(
            case,
            bundle=bundle,
            device=request.run.device,
            thresholds=request.run.thresholds_for(bundle.info),
            refinement=request.run.refinement,
        )
    reading = yield from reading_segmentation(
        case,
        result,
        expert=expert,
        min_ml=request.min_ml,
        used=used,
        source=source,
        heading=request.heading,
        warnings=(*warnings, *doubts),
    )
    yield Progress(0, 1, "drawing")
    with cli_batch.uninterrupted():
        files = save_reading(reading, request.folder_of(case.name), overwrite=request.run.overwrite)
    said = (*reading.measures.sentences, *case.warnings, *reading.warnings)
    return Reported(item.name, item.source, tuple(files), tuple(rows_of(reading)), said)


def _read_case(files: CaseFiles, request: ReportRequest) -> tuple[Case, tuple[str, ...]]:
    """The case; where only its expert labels cannot be read it is reported without them."""
    from napari_gliocam.io import read_case

    if request.against is not None:
        files = replace(files, labels=None)
    try:
        return read_case(files, label_scheme=request.label_scheme), ()
    except CaseError as error:
        if files.labels is None:
            raise
        case = read_case(replace(files, labels=None))  # says it again if it is not the labels
        return case, (f"Not compared with expert labels. {error}",)


def _expert(case: Case, request: ReportRequest) -> tuple[ExpertLabels | None, tuple[str, ...]]:
    """What the labels are compared with, and what is doubtful about it."""
    from napari_gliocam.io import read_labels

    if request.against is None:
        return case.expert, ()
    read = read_labels(request.against, case.grid, scheme=request.label_scheme, case_name=case.name)
    return read.expert, read.warnings


def _result(case: Case, path: Path) -> tuple[Path, Any, tuple[str, ...]]:
    """Labels that were saved before, on the case's grid."""
    from napari_gliocam.io import read_labels

    if path.is_dir():
        path = cli_batch.find_result(path, case.name)
    read = read_labels(path, case.grid, case_name=case.name)
    return path, read.expert.labels, read.warnings
