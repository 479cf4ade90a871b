"""The command ``napari-gliocam explain``: CAMs of one case, side by side."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.cli.batch import (
    Outcome,
    Planned,
    Sources,
    each_case,
    end,
    in_the_way,
    plan,
    run_cases,
    sentence_of,
)
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import (
    AsJson,
    Debug,
    bar,
    echo,
    say,
    sentences,
)
from napari_gliocam.cli.explain_tests import Baseline, names_of, run_tests
from napari_gliocam.cli.explain_tests import lines as test_lines
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finish
from napari_gliocam.settings import DeviceName
from napari_gliocam.wording import counted, duration

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
    """Options of ``explain``.

    Parameters
    ----------
    out : Path
        Each case gets a folder in it.
    compare : CompareRequest
        Methods to compare, and the way their maps are made.
    threshold : float
        A voxel counts where a map exceeds this.
    ensembles : tuple of str
        Combine all maps: union, intersection, smaller, larger ("or", "and", "<", ">"), or a number
        of votes.
    member_thresholds : tuple of float
        Threshold of one member of the ensembles; one for each map, in order.
    bundles : tuple of Path
        Use the weights in these folders instead of the ones that ship.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the networks run.
    tests : str
        Put the maps to the test: faithfulness, randomisation, repeatability (needs two bundles),
        localisation, sequence, doubt, with commas between them; or all.
    test_slices : int
        Test on no more slices than this, at even distances; 0: on all.
    baseline : {"mean", "blur", "mirror"}
        Content that takes the place of deleted pixels; mirror is the other side of the brain.
    overwrite : bool
        Replace the results of an earlier run.

    Raises
    ------
    GliocamError
        An ensemble or a test needs more maps than there are.
    """

    out: Path
    compare: CompareRequest
    threshold: float = field(default=0.5, metadata={"min": 0.0, "max": 1.0})
    ensembles: tuple[str, ...] = ()
    member_thresholds: tuple[float, ...] = field(default=(), metadata={"min": 0.0, "max": 1.0})
    bundles: tuple[Path, ...] = ()
    device: DeviceName = "auto"
    tests: str = ""
    test_slices: int = field(default=12, metadata={"min": 0})
    baseline: Baseline = "mean"
    overwrite: bool = False

    def __post_init__(self) -> None:
        members = self.compare.map_count * len(self.every_bundle)
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
        _ = self.test_names

    @property
    def every_bundle(self) -> tuple[Path | None, ...]:
        """The bundles; None stands for the one that ships."""
        return self.bundles or (None,)

    @property
    def test_names(self) -> tuple[str, ...]:
        """The tests that are asked for."""
        return names_of(self.tests, len(self.every_bundle))


@with_shared_options
def explain(
    sources: Sources,
    cluster: Cluster,
    request: ExplainRequest,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare CAMs on cases: NIfTI maps, a contact sheet and a table of figures for each.

    Ctrl-C stops the method or test under way; what is done by then is written. A case that fails
    does not stop the others.
    """
    with sentences(debug):
        planned = plan(
            sources,
            lambda files: in_the_way(
                _files_of(request.out, files.name), overwrite=request.overwrite
            ),
        )
        if not request.compare.layers:
            layers = (_last_layer(request.every_bundle),)
            request = replace(request, compare=replace(request.compare, layers=layers))
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
    cuts = [*request.member_thresholds] or [request.threshold] * len(comparison.maps)
    for name, ensemble in ensembles.items():
        if len(cuts) >= ensemble.least:  # fewer where the user stopped it
            comparison.add_ensemble(name, ensemble, cuts)
    for name, maps in comparison.maps.items():
        for target in maps.targets:
            keep(name, target, maps.of(target) > 0 if maps.is_mask else maps.of(target))
    figures = comparison.figures()
    findings: list[Finding] = []
    if request.tests and not stopped:
        findings, stopped = run_tests(request, works, comparison.maps, bar)
        if stopped:
            say("Stopped; the last test counts only the slices that were done, the others all.")
    if request.tests:
        contents[folder / f"{stem}_tests.csv"] = tests_csv(findings).encode()
    facts = {
        "case": case.name,
        "threshold": request.threshold,
        "maps": made,
        "ensembles": list(request.ensembles),
        "member_thresholds": list(request.member_thresholds) or None,
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

    for number, path in enumerate(request.every_bundle, start=1):
        with bar(case.name, "slices") as report:
            prepared = finish(preparing(case, load_bundle(path), request.device), report)
            works = request.compare.explainings(prepared)
            if request.compare.scope == "lesion":
                prepared = finish(
                    asking(prepared, request.compare.targets_of(prepared.bundle.info)), report
                )
        for work in works:
            work.prepared = prepared
            yield work.name + (f", bundle {number}" if len(request.every_bundle) > 1 else ""), work


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
                        f"{name} takes about {duration(left)} more, measured on what is done; "
                        "Ctrl-C stops it and keeps that."
                    )
                    told = True
    except KeyboardInterrupt:
        return True
    return False


def _last_layer(bundles: Sequence[Path | None]) -> int:
    """Return the last residual stage that an exit of every bundle lies at or after."""
    from napari_gliocam.nets.bundle_info import read_bundle_info

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
