"""Many cases in one call: which there are, work on each, and what became of it."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from napari_gliocam.cli.console import FAILED, INTERRUPTED, WRONG_CALL, bar, echo, say, stoppable
from napari_gliocam.errors import BundleError, GliocamError, SaveError
from napari_gliocam.progress import Progress, finish
from napari_gliocam.settings import SegmentRequest

if TYPE_CHECKING:
    from napari_gliocam.case import Modality
    from napari_gliocam.cli.cluster import Cluster
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle

T = TypeVar("T")
#: Works on one case with a bundle, or with None where no network runs.
Work = Callable[["CaseFiles", Any], Generator[Progress, None, T]]


@dataclass(frozen=True)
class Sources:
    """The cases of one call.

    Parameters
    ----------
    cases : tuple of Path
        Case folders, files of cases, folders of cases.
    images : mapping of str to str
        A file for each modality where ``cases`` is empty; else patterns of names, for modalities
        that the names do not tell.
    """

    cases: tuple[Path, ...]
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """A case that was asked for, or the sentence that says why it is none.

    Parameters
    ----------
    name : str
        Name that a reader sees.
    source : Path
        The argument it came from.
    files : CaseFiles or None
        Files of the case; None where they were not found.
    error : str or None
        One of ``files`` and ``error`` is set.
    """

    name: str
    source: Path
    files: CaseFiles | None = None
    error: str | None = None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The end of the work on one case.

    Parameters
    ----------
    case : str
        Name of the case.
    source : Path
        The argument it came from.
    result : T or None
        None where it failed.
    seconds : float
        Time that the case took, in seconds.
    error, trace : str or None
        One sentence where it failed, and the traceback.
    refused : bool
        Whether it was not begun: there is no such case, or a file is in the way.
    """

    case: str
    source: Path
    result: T | None = None
    seconds: float = 0.0
    error: str | None = None
    trace: str | None = None
    refused: bool = False

    def to_json(self, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return one flat object with plain values, with facts about the result."""
        return {
            "case": self.case,
            "source": str(self.source),
            "status": "failed" if self.error else "done",
            "error": self.error,
            "files": [],
            **(facts or {}),
            "seconds": round(self.seconds, 3),
        }


def plan(
    sources: Sources, refuse: Callable[[CaseFiles], str | None], *, examinations: bool = False
) -> list[Planned]:
    """Find the cases, each under a name of its own, and refuse some before any network runs.

    Parameters
    ----------
    sources : Sources
        What the command line names: folders, files, patterns.
    refuse : callable
        Returns the sentence that says why a case cannot be worked on, or None.
    examinations : bool
        Whether a folder without NIfTI may be an examination in DICOM or another format.

    Returns
    -------
    list of Planned
        In the order asked for.
    """
    from napari_gliocam.io.naming import safe_name

    planned: list[Planned] = []
    seen: dict[str, tuple[Path, tuple[Path, ...]]] = {}
    for item in _found(sources, examinations):
        if item.files is None:
            planned.append(item)
            continue
        folder = item.files.to_prepare
        paths = tuple(path.resolve() for path in ((folder,) if folder else item.files.paths))
        name = safe_name(item.name).casefold()
        first = seen.get(name)
        if first is None:
            seen[name] = (item.source, paths)
            error = refuse(item.files)
        elif first[1] == paths:
            continue  # the same case again, or another file of it
        else:
            error = (
                f'Two cases are called "{item.name}" ({first[0]} and {item.source}) and results '
                "go by the name; give them in two calls with different --out."
            )
        planned.append(replace(item, files=None, error=error) if error else item)
    return planned


def _found(sources: Sources, examinations: bool) -> Iterator[Planned]:
    from napari_gliocam.case import Modality
    from napari_gliocam.io import CaseFiles, case_of_files, find_cases
    from napari_gliocam.io.foreign import holds_other_images
    from napari_gliocam.io.naming import readable

    named = Path(next(iter(sources.images.values()))) if sources.images else Path()
    for source in sources.cases or (named,):
        if examinations and sources.cases and holds_other_images(source):
            name = readable((source if source.is_dir() else source.parent).resolve().name)
            yield Planned(name, source, CaseFiles(name, to_prepare=source))
            continue
        try:
            if sources.cases:
                cases = find_cases(source, patterns=_patterns(sources.images))
            else:
                chosen = {Modality(name): Path(text) for name, text in sources.images.items()}
                cases = [case_of_files(chosen)]
        except GliocamError as error:
            yield Planned(source.name or str(source), source, error=str(error))
        except OSError as error:
            sentence = f"{source} cannot be read ({error.strerror or error}); check the path."
            yield Planned(source.name or str(source), source, error=sentence)
        else:
            for files in cases:
                taken = None if files.problem else files
                yield Planned(files.name, source, taken, files.problem or None)


def _patterns(images: Mapping[str, str]) -> dict[Modality, str]:
    """Return patterns of file names; a path to a file stands for its name alone."""
    from napari_gliocam.case import Modality

    return {
        Modality(name): escape(Path(text).name) if Path(text).expanduser().is_file() else text
        for name, text in images.items()
    }


def refuse_existing(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse to write files that are there or whose folder cannot be written to.

    Parameters
    ----------
    paths : iterable of Path
        Files of one folder that a command is about to write; at least one.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    SaveError
    """
    from napari_gliocam.io.atomic import check_writable

    targets = list(paths)
    check_writable(targets[0].parent, [path.name for path in targets])
    for path in targets:
        if path.exists() and not overwrite:
            raise SaveError(f"{path} exists; choose another --out, or replace it (--overwrite).")


def in_the_way(paths: Iterable[Path], *, overwrite: bool) -> str | None:
    """Return the sentence with which `refuse_existing` refuses; None where it does not."""
    try:
        refuse_existing(paths, overwrite=overwrite)
    except SaveError as error:
        return str(error)
    return None


def check_scheme(name: str | None) -> None:
    """Raise `GliocamError` if there is no such label scheme, before anything runs."""
    from napari_gliocam.io.schemes import get_scheme

    if name is not None:
        get_scheme(name)


def open_bundle(request: SegmentRequest) -> Bundle:
    """Load the bundle, after the cheap checks of what was asked for (imports torch).

    Raises
    ------
    GliocamError
        The bundle is damaged or foreign, or there is no such device.
    """
    from napari_gliocam.nets.bundle_info import read_bundle_info

    read_bundle_info(request.bundle)
    from napari_gliocam.device import choose_device
    from napari_gliocam.nets.bundle import load_bundle

    choose_device(request.device)
    return load_bundle(request.bundle).using(request.networks)


def each_case(
    planned: list[Planned],
    work: Work[T],
    networks: SegmentRequest | None,
    cluster: Cluster | None = None,
) -> Iterator[Outcome[T]]:
    """Work on one case after the other, with a bar; failures are outcomes.

    Parameters
    ----------
    planned : list of Planned
        Cases in the order in which they are done.
    work : callable
        Makes the generator for a case.
    networks : SegmentRequest or None
        Which bundle on which device, loaded once when a case needs it; None: no network runs.
    cluster : Cluster, optional
        Machines to run on instead; outcomes then come in any order.

    Yields
    ------
    Outcome
    """
    if cluster:
        from napari_gliocam.cli.cluster import cases_on_cluster

        yield from cases_on_cluster(planned, work, networks, cluster)
        return
    broken = None
    opened: list[Bundle] = []

    def bundle() -> Bundle | None:
        if networks is not None and not opened:
            opened.append(open_bundle(networks))
        return opened[0] if opened else None

    for number, item in enumerate(planned, start=1):
        if item.files is None or broken:
            yield Outcome(item.name, item.source, error=item.error or broken, refused=True)
            continue
        title = item.name if len(planned) == 1 else f"{item.name} ({number} of {len(planned)})"
        with bar(title) as report:
            if networks is not None and not opened:
                report(Progress(0, 1, "loading the networks"))
            outcome = outcome_of(item, work, bundle, report)
        if networks is not None and not opened:
            broken = outcome.error  # the same for every case
            outcome = replace(outcome, refused=True)
        yield outcome


def outcome_of(
    item: Planned,
    work: Work[T],
    bundle: Callable[[], Bundle | None],
    report: Callable[[Progress], object],
) -> Outcome[T]:
    """Work on one case; a failure is an outcome, so that it does not stop the other cases.

    Parameters
    ----------
    item : Planned
        A case with its files.
    work : callable
        Makes the generator for the case.
    bundle : callable
        Returns the bundle, loaded when it is first asked for.
    report : callable
        Called with each `Progress`.
    """
    assert item.files is not None
    started = time.perf_counter()
    try:
        result = finish(work(item.files, bundle()), report)
        return Outcome(item.name, item.source, result, time.perf_counter() - started)
    except Exception as error:
        trace = None if isinstance(error, BundleError) else traceback.format_exc()
        return Outcome(item.name, item.source, error=sentence_of(error, item.name), trace=trace)


def run_cases(
    outcomes: Iterator[Outcome[T]],
    show: Callable[[T, Outcome[T]], None],
    *,
    facts: Callable[[T], Mapping[str, Any]] | None = None,
    quiet: bool = False,
    debug: bool = False,
) -> tuple[list[Outcome[T]], bool]:
    """Collect the outcomes of cases, and print each as soon as it is there.

    Parameters
    ----------
    outcomes : iterator of Outcome
        Of `each_case`.
    show : callable
        Prints what is worth saying of a result.
    facts : callable, optional
        Gives what a line of json says of a result; without it words are printed instead.
    quiet : bool
        Print neither results nor errors: the command prints them all at its end.
    debug : bool
        Print tracebacks, too.

    Returns
    -------
    outcomes : list of Outcome
        Of all cases, or of those that were done before a signal stopped the work.
    stopped : bool
    """
    done: list[Outcome[T]] = []
    try:
        with stoppable():
            for one in outcomes:
                repeated = bool(done) and one.error is not None and one.error == done[-1].error
                done.append(one)
                if facts is not None:
                    told = facts(one.result) if one.result is not None else None
                    typer.echo(json.dumps(one.to_json(told)))
                elif quiet:
                    pass
                elif one.result is not None:
                    show(one.result, one)
                elif not repeated:
                    error = str(one.error)
                    say(error if one.case in error else f"{one.case}: {error}")
                if debug and one.trace and not repeated:
                    say(one.trace)
    except KeyboardInterrupt:
        return done, True
    return done, False


def end(outcomes: Sequence[Outcome[Any]], *, stopped: bool = False, begun: bool = False) -> None:
    """End a command with the exit status of its cases, see `cli.console`.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The end of each case.
    stopped : bool
        Whether the user stopped the work.
    begun : bool
        Whether there are other cases that are done.
    """
    if stopped:
        raise typer.Exit(INTERRUPTED)
    failed = [one for one in outcomes if one.error]
    if failed:
        begun |= len(failed) < len(outcomes) or not all(one.refused for one in failed)
        raise typer.Exit(FAILED if begun else WRONG_CALL)


def say_each(outcome: Outcome[Any], sentences: Iterable[str]) -> None:
    """Print sentences about a case, each with its name."""
    for sentence in sentences:
        say(f"{outcome.case}: {sentence}")


def echo_files(title: str, files: Iterable[Path]) -> None:
    """Print where results went."""
    echo(f"{title}: {', '.join(map(str, files))}")


def sentence_of(error: Exception, name: str) -> str:
    """Return the sentence a user reads of an error that a case met."""
    if isinstance(error, GliocamError):
        return str(error)
    if isinstance(error, MemoryError):
        return f'The memory does not suffice for "{name}"; close other programs.'
    return (
        f'"{name}" failed unexpectedly ({type(error).__name__}: {error}); '
        "run it again with --debug and report what is printed."
    )
