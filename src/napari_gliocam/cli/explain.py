"""The command ``napari-gliocam explain``: CAMs of one case, side by side."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.cli.batch import (
    Outcome,
    Planned,
    Sources,
    each_case,
    end,
    plan,
    refuse_existing,
    run_cases,
    sentence_of,
)
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    Device,
    Out,
    Overwrite,
    bar,
    echo,
    say,
    sentences,
)
from napari_gliocam.cli.explain_tests import AskedTests, run_tests
from napari_gliocam.cli.explain_tests import lines as test_lines
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import GliocamError, SaveError
from napari_gliocam.progress import Progress, finish
from napari_gliocam.wording import counted

if TYPE_CHECKING:
    from napari_gliocam.cams.compare.ensemble import Ensemble
    from napari_gliocam.cams.run.explain import Explaining
    from napari_gliocam.case import Case
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.trust.run import Finding

#: Longer than this, and a user is told before most of it has gone by.
_LONG_SECONDS = 30.0

Bar = Callable[[str, str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True)
class ExplainRequest:
    """What one call is asked for; the options of `explain`, checked."""

    out: Path
    compare: CompareRequest
    threshold: float = 0.5
    ensembles: list[str] = field(default_factory=list)
    member_thresholds: list[float] = field(default_factory=list)
    bundles: list[Path | None] = field(default_factory=lambda: [None])
    device: str = "auto"
    overwrite: bool = False
    tests: AskedTests = field(default_factory=AskedTests)

    def __post_init__(self) -> None:
        members = self.compare.map_count * len(self.bundles)
        for words in self.ensembles:
            least = make_ensemble(words).least
            if members < least:
                there = f"there {'is' if members == 1 else 'are'} {members}"
                raise GliocamError(
                    f"--ensemble {words} needs {least} maps and {there}; add --method, --layer or "
                    "--bundle, or leave it out."
                )
        if self.member_thresholds and len(self.member_thresholds) != members:
            raise GliocamError(
                f"There are {members} maps and {counted(len(self.member_thresholds), 'value')} of "
                "--member-threshold; give one for each map."
            )


@with_shared_options
def explain(
    sources: Sources,
    cluster: Cluster,
    out: Out,
    compare: CompareRequest,
    threshold: Annotated[
        float,
        typer.Option(
            metavar="X", min=0.0, max=1.0, help="A voxel counts where a map exceeds this."
        ),
    ] = 0.5,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help='Combine all maps: union, intersection, smaller, larger ("or", "and", "<", ">"), '
            "or a number of votes. Repeatable.",
        ),
    ] = None,
    member_threshold: Annotated[
        list[float] | None,
        typer.Option(
            metavar="X",
            min=0.0,
            max=1.0,
            help="Threshold of one member of the ensembles; repeat it, one for each map in order.",
        ),
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option("--bundle", metavar="DIR", help="Other weights; repeat it for an ensemble."),
    ] = None,
    tests: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Put the maps to the test: faithfulness, randomisation, repeatability (needs two "
            "bundles), localisation, sequence, doubt, with commas between them; or all.",
        ),
    ] = "",
    test_slices: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Test on no more slices than this; 0: on all."),
    ] = 12,
    baseline: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Content that takes the place of deleted pixels: mean of the brain, blur, or "
            "mirror (the other side).",
        ),
    ] = "mean",
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare CAMs on cases: NIfTI maps, a contact sheet and a table of figures for each.

    Ctrl-C stops the method or test under way; what is done by then is written. A case that fails
    does not stop the others.
    """
    with sentences(debug):
        planned = plan(sources, lambda files: _refuse(out, files, overwrite=overwrite))
        bundles: list[Path | None] = [*bundle] if bundle else [None]
        request = ExplainRequest(
            out=out,
            compare=compare if compare.layers else replace(compare, layers=(_last_layer(bundles),)),
            threshold=threshold,
            ensembles=list(dict.fromkeys(ensemble or [])),
            member_thresholds=member_threshold or [],
            bundles=bundles,
            device=device,
            overwrite=overwrite,
            tests=AskedTests.read(tests, test_slices, baseline, bundles=len(bundles)),
        )
        # What is there was refused; a case that is done again after a lost worker is not.
        again = replace(request, overwrite=True)
        outcomes = (
            each_case(planned, lambda files, _: _quietly(again, files), None, cluster)
            if cluster
            else _one_by_one(planned, request)
        )
        done, stopped = run_cases(
            outcomes,
            lambda facts, _: echo("\n".join(_lines(facts))),
            facts=dict if as_json else None,
            debug=debug,
        )
        end(done, stopped=stopped)


def _files_of(out: Path, name: str) -> tuple[Path, Path, Path]:
    """Return where table, contact sheet and description of a case go."""
    from napari_gliocam.io.naming import safe_name

    stem = safe_name(name)
    folder = out.expanduser() / stem
    table, sheet, described = (folder / f"{stem}_explain.{kind}" for kind in ("csv", "png", "json"))
    return table, sheet, described


def _refuse(out: Path, files: CaseFiles, *, overwrite: bool) -> str | None:
    """Say why the results of a case could not be written, as far as can be told now."""
    try:
        refuse_existing(_files_of(out, files.name), overwrite=overwrite)
    except SaveError as error:
        return str(error)
    return None


def _one_by_one(
    planned: list[Planned], request: ExplainRequest
) -> Iterator[Outcome[dict[str, Any]]]:
    """Explain one case after the other, with a bar for each method."""
    for item in planned:
        if item.files is None:
            yield Outcome(item.name, item.source, error=item.error, refused=True)
            continue
        started = time.perf_counter()
        try:
            facts, stopped = run(request, item.files, bar, say)
        except Exception as error:  # one strange case must not stop the others
            trace = traceback.format_exc()
            yield Outcome(item.name, item.source, error=sentence_of(error, item.name), trace=trace)
            continue
        yield Outcome(item.name, item.source, facts, time.perf_counter() - started)
        if stopped:
            raise KeyboardInterrupt


def _quietly(
    request: ExplainRequest, files: CaseFiles
) -> Generator[Progress, None, dict[str, Any]]:
    """Explain a case on a worker of a cluster, which has no terminal."""

    @contextmanager
    def no_bar(title: str, unit: str = "") -> Iterator[Callable[[Progress], None]]:
        yield lambda progress: None

    yield Progress(0, 1, "explaining")
    facts, _ = run(request, files, no_bar, lambda sentence: None)
    return facts


def run(
    request: ExplainRequest, files: CaseFiles, bar: Bar, say: Callable[[str], None]
) -> tuple[dict[str, Any], bool]:
    """Do everything; return the facts, and whether the user stopped it.

    Raises
    ------
    GliocamError
        For every wrong setting before a network runs.
    """
    from napari_gliocam.cams.compare.comparison import Comparison, to_csv
    from napari_gliocam.io import read_case
    from napari_gliocam.io.atomic import write_files
    from napari_gliocam.io.naming import safe_name
    from napari_gliocam.io.write import pack_volume
    from napari_gliocam.trust.run import to_csv as tests_csv

    ensembles = {f"Ensemble, {e.title}": e for e in map(make_ensemble, request.ensembles)}
    case = read_case(files)
    stem = safe_name(case.name)
    table, sheet, sidecar = _files_of(request.out, case.name)
    folder = table.parent
    contents: dict[Path, bytes] = {}

    def keep(name: str, target: str, values: Any) -> None:
        words = "-".join(name.lower().replace(",", "").split())
        path = folder / f"{stem}_{target}_{safe_name(words)}.nii.gz"
        contents[path] = pack_volume(values, case, path)

    comparison = Comparison(case, request.threshold)
    stopped, made = False, []
    works: dict[str, Explaining] = {}
    for name, work in _works(request, case, bar):
        stopped = _follow(work, name, bar, say)
        maps = work.so_far()
        if maps is not None:
            works[name] = work
            comparison.add(replace(maps, name=name))
            made.append({"name": name, **maps.provenance, "slices": _counts(work)})
        if stopped:
            break
    if not comparison.maps:
        raise KeyboardInterrupt
    if stopped and request.member_thresholds:  # they belong to all members
        ensembles = {}
    # One threshold for each map, so that no ensemble is a member of the next.
    cuts = request.member_thresholds or [request.threshold] * len(comparison.maps)
    for name, ensemble in ensembles.items():
        if len(cuts) >= ensemble.least:  # fewer where the user stopped it
            comparison.add_ensemble(name, ensemble, cuts)
    for name, maps in comparison.maps.items():
        for target in maps.targets:
            keep(name, target, maps.of(target) > 0 if maps.is_mask else maps.of(target))
    figures = comparison.figures()
    findings: list[Finding] = []
    if request.tests.names and not stopped:
        findings, stopped = run_tests(
            request.tests, works, comparison.maps, request.compare.scope, request.device, bar
        )
    if request.tests.names:
        contents[folder / f"{stem}_tests.csv"] = tests_csv(findings).encode()
    facts = {
        "case": case.name,
        "threshold": request.threshold,
        "maps": made,
        "ensembles": request.ensembles,
        "member_thresholds": request.member_thresholds or None,
        "figures": [
            {k: _plain(v) for k, v in vars(figure).items()} | {"words": figure.words}
            for figure in figures
        ],
        "tests": [finding.to_json() for finding in findings],
        "files": [str(path) for path in (*contents, table, sheet, sidecar)],
    }
    contents[table] = to_csv(figures).encode()
    contents[sheet] = comparison.sheet()
    written = {**facts, "files": [path.name for path in contents]}  # folders may name a patient
    contents[sidecar] = (json.dumps(written, indent=2) + "\n").encode()
    write_files(contents, overwrite=request.overwrite)
    return facts, stopped


def _works(request: ExplainRequest, case: Case, bar: Bar) -> Iterator[tuple[str, Explaining]]:
    """Make the work of every method with every bundle, which cuts the case once."""
    from napari_gliocam.cams.run.prepare import asking, preparing
    from napari_gliocam.nets.bundle import load_bundle

    for number, path in enumerate(request.bundles, start=1):
        with bar(case.name, "slices") as report:
            prepared = finish(preparing(case, load_bundle(path), request.device), report)
            works = request.compare.explainings(prepared)
            if request.compare.scope == "lesion":
                prepared = finish(asking(prepared, request.compare.targets), report)
        for work in works:
            work.prepared = prepared
            yield work.name + (f", bundle {number}" if len(request.bundles) > 1 else ""), work


def _follow(work: Explaining, name: str, bar: Bar, say: Callable[[str], None]) -> bool:
    """Run one method to its end, or until Ctrl-C; whether it was that."""
    told = False
    try:
        with bar(name, work.method.unit or "slices") as report:
            for progress in work.run():
                report(progress)
                left = work.seconds_left
                if not told and left is not None and left > _LONG_SECONDS:
                    say(
                        f"{name} takes about {_duration(left)} more, measured on what is done; "
                        "Ctrl-C stops it and keeps that."
                    )
                    told = True
    except KeyboardInterrupt:
        return True
    return False


def _last_layer(bundles: Sequence[Path | None]) -> int:
    """Return the last residual stage that an exit of every bundle lies at or after."""
    from napari_gliocam.nets.bundle import read_bundle_info

    return min(max(read_bundle_info(bundle).exits) for bundle in bundles)


def make_ensemble(words: str) -> Ensemble:
    """Return the ensemble that a user named: a rule, the paper's word for it, or votes.

    Parameters
    ----------
    words : str
        Such as "and", "intersection" or "2".
    """
    from napari_gliocam.cams.compare.ensemble import PAPER_NAMES, Ensemble

    if words.isdecimal():
        return Ensemble("vote", int(words))
    return Ensemble(PAPER_NAMES.get(words, cast("Any", words)))


def _counts(work: Explaining) -> dict[str, int]:
    assert work.raw is not None
    finished = work.raw.finished
    return {"asked": len(finished), "finished": int(finished.sum())}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _lines(facts: dict[str, Any]) -> list[str]:
    """Return the figures for a person, the agreement of pairs last."""
    order = ("dice", "iou_expert", "energy_inside", "pointing_game", "overlap", "iou")
    rows = sorted(facts["figures"], key=lambda row: order.index(row["figure"]))
    lines = [
        f"{row['figure']:<14} {row['target']:<15} "
        f"{' and '.join(filter(None, (row['method'], row['other']))):<48} " + row["words"]
        for row in rows
    ]
    lines += test_lines(facts["tests"])
    return [*lines, *(path for path in facts["files"] if path.endswith((".png", ".csv")))]
