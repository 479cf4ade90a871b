"""The command ``report``: a page for each case, one csv for all."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gliocam.cli.batch import (
    Outcome,
    Planned,
    Sources,
    check_scheme,
    each_case,
    echo_files,
    end,
    in_the_way,
    plan,
    refuse_existing,
    run_cases,
    say_each,
)
from napari_gliocam.cli.cluster import Cluster, in_order
from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    echo,
    say,
    sentences,
    uninterrupted,
)
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import CaseError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import MIN_LESION_ML, SegmentRequest

if TYPE_CHECKING:
    from napari_gliocam.case import Case, ExpertLabels
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle


@dataclass(frozen=True)
class ReportRequest:
    """Options of ``report``.

    Parameters
    ----------
    out : Path
        Each case gets a folder in it.
    segment : SegmentRequest
        How cases without a saved result are segmented.
    result : Path or None
        Report saved labels instead of segmenting: a file for one case, or the folder that segment
        wrote.
    against : Path or None
        Compare one case with these labels, not with its expert labels.
    min_lesion : float
        Smaller parts are no lesions, in ml.
    enhancing : bool
        Divide the core into what enhances and what does not, by a rule of intensity.
    label_scheme : str or None
        Label scheme of the expert labels; else detected.
    heading : str
        Print a line of your own on top of each page.
    no_names : bool
        Number the cases instead of naming them, and leave out pictures.
    overwrite : bool
        Replace the results of an earlier run.
    """

    out: Path
    segment: SegmentRequest
    result: Path | None = None
    against: Path | None = None
    min_lesion: float = field(default=MIN_LESION_ML, metadata={"min": 0.0})
    enhancing: bool = False
    label_scheme: str | None = None
    heading: str = ""
    no_names: bool = False
    overwrite: bool = False

    def folder_of(self, name: str) -> Path:
        """Return where the report of a case goes."""
        from napari_gliocam.io.naming import safe_name

        return self.out / safe_name(name)

    def plan(self, sources: Sources) -> list[Planned]:
        """Find the cases, and refuse what would fail at the end before any network runs."""
        from napari_gliocam.report.save import TABLE_NAME, report_files

        refuse_existing([self.out / TABLE_NAME], overwrite=self.overwrite)
        check_scheme(self.label_scheme)

        def refuse(files: CaseFiles) -> str | None:
            if self.no_names:
                return None
            targets = report_files(self.folder_of(files.name), files.name)
            return in_the_way(targets, overwrite=self.overwrite)

        planned = plan(sources, refuse)
        for option, path in (("--result", self.result), ("--against", self.against)):
            if path is None:
                continue
            if not path.exists():
                raise CaseError(f"{path} does not exist; check {option}.")
            if path.is_dir() and option == "--against":
                raise CaseError(f"{path} is a folder; name one file as {option}.")
            if path.is_file() and len(planned) > 1:
                raise CaseError(
                    f"{path.name} fits one case, and {len(planned)} were given; name one."
                )
        return planned


@with_shared_options
def report(
    sources: Sources,
    request: ReportRequest,
    cluster: Cluster,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Report cases: DIR/CASE/CASE_report.html, .csv and .json, and DIR/measures.csv for all.

    The page needs no network and prints on A4. Names on it are those of the files, and what you
    type as --heading. A case that fails does not stop the others.
    """
    from napari_gliocam.report.save import TABLE_NAME, save_table

    with sentences(debug):
        planned = request.plan(sources)
        numbers = {item.name: number for number, item in enumerate(planned, start=1)}
        # What is there was refused; a case that is done again after a lost worker is not.
        into = replace(request, overwrite=True) if cluster else request
        done, stopped = run_cases(
            each_case(
                planned,
                lambda files, bundle: reporting(files, into, bundle, numbers[files.name]),
                None if request.result else request.segment,
                cluster,
            ),
            _show,
            facts=Reported.facts if as_json else None,
            debug=debug,
        )
        done = in_order(planned, done)
        rows = [row for one in done if one.result for row in one.result.rows]
        if rows:  # also of what was done before a stop
            with uninterrupted():
                table = save_table(rows, request.out, overwrite=request.overwrite)
            if not as_json:
                echo_files("All cases", [table])
        if stopped:
            finished = sum(one.error is None for one in done)
            say(
                f"Stopped with {finished} of {len(planned)} cases reported; "
                f"{TABLE_NAME} holds those."
            )
        end(done, stopped=stopped)


@dataclass(frozen=True)
class Reported:
    """A case that was reported.

    Parameters
    ----------
    files : tuple of Path
        Page, csv and json.
    rows : tuple of dict
        For the csv of all cases; the first row is the case's.
    said : tuple of str
        What was found, in words, then warnings.
    """

    files: tuple[Path, ...]
    rows: tuple[dict[str, Any], ...]
    said: tuple[str, ...]

    def facts(self) -> Mapping[str, Any]:
        """Return plain values for a line of json."""
        return {
            "files": [str(path) for path in self.files],
            "said": list(self.said),
            "measures": self.rows[0] if self.rows else None,
        }


def reporting(
    files: CaseFiles, request: ReportRequest, bundle: Bundle | None, number: int
) -> Generator[Progress, None, Reported]:
    """Read a case, segment it or read its result, measure and save."""
    from napari_gliocam.io.sidecar import read_sidecar
    from napari_gliocam.report.reading import reading_segmentation
    from napari_gliocam.report.save import save_reading
    from napari_gliocam.report.tables import rows_of
    from napari_gliocam.segmentation import segmenting

    yield Progress(0, 1, "reading")
    case, warnings = _read_case(files, request)
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
        result = yield from segmenting(case, bundle=bundle, **request.segment.options)
    reading = yield from reading_segmentation(
        case,
        result,
        expert=expert,
        min_ml=request.min_lesion,
        enhancing=request.enhancing,
        used=used,
        source=source,
        heading=request.heading,
        warnings=(*warnings, *doubts),
    )
    if request.no_names:
        reading = reading.without_names(f"case {number}")
    yield Progress(0, 1, "drawing")
    with uninterrupted():
        folder = request.folder_of(reading.case.name)
        written = save_reading(reading, folder, overwrite=request.overwrite)
    said = (*reading.measures.sentences, *reading.case.warnings, *reading.warnings)
    return Reported(tuple(written), tuple(rows_of(reading)), said)


def _read_case(files: CaseFiles, request: ReportRequest) -> tuple[Case, tuple[str, ...]]:
    """Read the case; where only its expert labels cannot be read it is reported without them."""
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
    """Return what the labels are compared with, and what is doubtful about it."""
    if request.against is None:
        return case.expert, ()
    from napari_gliocam.io.results import read_labels_for

    read = read_labels_for(case, request.against, request.label_scheme)
    return read.expert, read.warnings


def _result(case: Case, path: Path) -> tuple[Path, Any, tuple[str, ...]]:
    """Read labels that were saved before, on the case's grid."""
    from napari_gliocam.io.results import find_result, read_labels_for

    if path.is_dir():
        path = find_result(path, case.name)
    read = read_labels_for(case, path)
    return path, read.expert.labels, read.warnings


def _show(reported: Reported, outcome: Outcome[Reported]) -> None:
    """Print what was found and where it stands."""
    found, *rest = reported.said
    say_each(outcome, rest)
    named = ((name, reported.rows[0][f"{name}_ml"]) for name in ("core", "edema"))
    volumes = [f"{name} {ml:.1f} ml" for name, ml in named if ml is not None]
    volumes = volumes or [f"tumour {reported.rows[0]['tumour_ml']:.1f} ml"]
    echo(
        f"{outcome.case}: {found} {', '.join(volumes).capitalize()}, "
        f"{outcome.seconds:.1f} s, {reported.files[0]}"
    )
