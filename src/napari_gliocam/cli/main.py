"""The command ``napari-gliocam``.

torch, napari and Qt are imported by the command that needs them, so ``--help`` is quick.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from napari_gliocam import __version__
from napari_gliocam.cli import batch
from napari_gliocam.cli import cache as cli_cache
from napari_gliocam.cli import explain as cli_explain
from napari_gliocam.cli import phantom as cli_phantom
from napari_gliocam.cli import report as cli_report
from napari_gliocam.cli import train as cli_train
from napari_gliocam.cli.batch import Outcome, Request
from napari_gliocam.cli.console import (
    FAILED,
    INTERRUPTED,
    AsJson,
    Bundle,
    Debug,
    Device,
    bar,
    say,
    sentences,
)
from napari_gliocam.cli.each_case import each_case
from napari_gliocam.cli.options import (
    REFINE,
    REFINED,
    T1,
    T2,
    ClassThreshold,
    Components,
    Crf,
    CrfBackend,
    CrfEngine,
    CrfPreset,
    CrfVolume,
    Flair,
    Like,
    MinInside,
    NoGate,
    Overlapping,
    RefineBy,
    T1ce,
    TumourThreshold,
    images_of,
    refinement_of,
    settings_of,
)
from napari_gliocam.errors import GliocamError

app = typer.Typer(
    name="napari-gliocam",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def segment(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Each case gets a folder in it.")
    ],
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CASE", help="A case's folder, a file of it, or a folder of cases."),
    ] = None,
    flair: Flair = None,
    t1ce: T1ce = None,
    t2: T2 = None,
    t1: T1 = None,
    device: Annotated[Device, typer.Option(help="Where the networks run.")] = Device.AUTO,
    bundle: Bundle = None,
    tumour_threshold: TumourThreshold = None,
    class_threshold: ClassThreshold = None,
    overlapping: Overlapping = False,
    no_gate: NoGate = False,
    refine: RefineBy = REFINE,
    crf: Crf = CrfPreset.PAPER_2,
    crf_volume: CrfVolume = REFINED.crf.volume,
    crf_backend: CrfBackend = CrfEngine.TORCH,
    min_inside: MinInside = REFINED.fit.min_inside,
    components: Components = REFINED.components is not None,
    like: Like = None,
    save_maps: Annotated[
        bool, typer.Option("--save-maps", help="Write the tumour, core and edema maps, too.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment cases: DIR/CASE/CASE_seg.nii.gz (1 core, 2 edema) and CASE.json for each.

    A case that fails does not stop the others; the exit status is 1 if any failed.
    """
    try:
        cases, images = images_of(cases, flair=flair, t1ce=t1ce, t2=t2, t1=t1)
        settings = settings_of(tumour_threshold, class_threshold, overlapping, no_gate)
        refinement = refinement_of(refine, crf, crf_volume, crf_backend, min_inside, components)
        if like is not None:
            from napari_gliocam.io.sidecar import read_choices  # needs NumPy

            earlier, refinement = read_choices(like)
            settings = asdict(earlier)
    except GliocamError as error:
        raise typer.BadParameter(str(error)) from error
    request = Request(out, bundle, device.value, settings, refinement, save_maps, overwrite, images)
    outcomes: list[Outcome] = []
    try:
        for outcome in _segment_all(cases, request):
            repeated = bool(outcomes) and outcome.error == outcomes[-1].error
            outcomes.append(outcome)
            if as_json:
                typer.echo(json.dumps(outcome.to_json()))
            elif outcome.error is None or not repeated:
                _say_outcome(outcome)
            if debug and outcome.trace and not repeated:
                say(outcome.trace)
    except KeyboardInterrupt:
        done = sum(outcome.error is None for outcome in outcomes)
        say(f"Stopped with {done} of the cases saved; nothing was written for the others.")
        raise typer.Exit(INTERRUPTED) from None
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(FAILED)


@app.command()
def evaluate(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the json and csv go.")
    ],
    cases: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CASE", help="Cases with expert labels, as for segment."),
    ] = None,
    flair: Flair = None,
    t1ce: T1ce = None,
    t2: T2 = None,
    t1: T1 = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure labels saved earlier; no network runs."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with an earlier evaluation.json."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the networks run.")] = Device.AUTO,
    bundle: Bundle = None,
    tumour_threshold: TumourThreshold = None,
    class_threshold: ClassThreshold = None,
    overlapping: Overlapping = False,
    no_gate: NoGate = False,
    refine: RefineBy = REFINE,
    crf: Crf = CrfPreset.PAPER_2,
    crf_volume: CrfVolume = REFINED.crf.volume,
    crf_backend: CrfBackend = CrfEngine.TORCH,
    min_inside: MinInside = REFINED.fit.min_inside,
    components: Components = REFINED.components is not None,
    hd95: Annotated[str, typer.Option(metavar="pooled|max-directed", help="Kind of HD95.")] = (
        "pooled"
    ),
    max_distance: Annotated[
        str,
        typer.Option(metavar="diagonal|brats|MM", help="HD95 where one mask is empty."),
    ] = "diagonal",
    min_pixels: Annotated[
        int, typer.Option(min=1, help="Slices with fewer, but some, pixels are left out.")
    ] = 1,
    label_scheme: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the expert labels; else detected.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score segmentations against expert labels, beside trivial rivals.

    Writes evaluation.json, cases.csv and summary.csv.

    A case that fails does not stop the others; the exit status is 1 if any failed.
    """
    from napari_gliocam.cli import evaluate as cli_evaluate
    from napari_gliocam.measure import EvaluationSettings

    try:
        cases, images = images_of(cases, flair=flair, t1ce=t1ce, t2=t2, t1=t1)
        thresholds = settings_of(tumour_threshold, class_threshold, overlapping, no_gate)
        refinement = refinement_of(refine, crf, crf_volume, crf_backend, min_inside, components)
        settings = EvaluationSettings(
            hd95=hd95,  # type: ignore[arg-type]  # checked there
            max_distance=cli_evaluate.parse_distance(max_distance),
            min_pixels=min_pixels,
        )
    except GliocamError as error:
        raise typer.BadParameter(str(error)) from error
    run = Request(
        out, bundle, device.value, thresholds, refinement, overwrite=overwrite, images=images
    )
    request = cli_evaluate.EvaluationRequest(run, settings, results, against, label_scheme)
    with sentences(debug):
        cli_evaluate.run(cases, request, bar, say, as_json=as_json, debug=debug)


@app.command()
def info(bundle: Bundle = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Print versions, devices and the bundle of weights."""
    from napari_gliocam.cli import info as cli_info

    with sentences(debug):
        facts = cli_info.gather(bundle)
        typer.echo(json.dumps(facts, indent=2) if as_json else "\n".join(cli_info.lines(facts)))
        if "error" in facts["bundle"]:
            raise typer.Exit(FAILED)


@app.command(name="open")
def open_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders or files of cases.")],
    debug: Debug = False,
) -> None:
    """Open cases in napari with the panel beside them."""
    with sentences(debug):
        for path in paths:
            if not path.exists():
                raise GliocamError(f"{path} does not exist; check the path.")
        _need_screen()
        from napari_gliocam.ui.demo import open_in_napari

        open_in_napari(paths)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the results go.")
    ] = Path("demo-output"),
    keep_open: Annotated[
        bool, typer.Option(help="Leave the window open; else close it when all is saved.")
    ] = True,
    debug: Debug = False,
) -> None:
    """Open napari on a synthetic case, segment it, save picture and results."""
    with sentences(debug):
        _need_screen()
        from napari_gliocam.ui.demo import run_demo

        run_demo(out, keep_open)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find glioma core and edema in brain MRI with class activation maps.

    Research use, not a medical device.
    """
    if version:
        typer.echo(f"napari-gliocam {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(name="cache")(cli_cache.cache)
app.command(name="explain")(cli_explain.explain)
app.command(name="phantom")(cli_phantom.phantom)
app.command(name="report")(cli_report.report)
app.command(name="train")(cli_train.train)


def main() -> NoReturn:
    """Run the command line; the entry point of ``napari-gliocam``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        app(prog_name="napari-gliocam")
    except KeyboardInterrupt:  # while Python was still importing
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _segment_all(sources: list[Path], request: Request) -> Iterator[Outcome]:
    return each_case(
        batch.plan(sources, request),
        request,
        lambda item, bundle: batch.segment_case(item, request, bundle),
        Outcome,
        bar,
    )


def _say_outcome(outcome: Outcome) -> None:
    """A line for a person: what was found, or why nothing was."""
    if outcome.error is not None:
        say(outcome.error if outcome.case in outcome.error else f"{outcome.case}: {outcome.error}")
        return
    for warning in outcome.facts["warnings"]:
        say(f"{outcome.case}: {warning}")
    volumes = outcome.facts["volumes_ml"]
    typer.echo(
        f"{outcome.case}: core {volumes['core']:.1f} ml, edema {volumes['edema']:.1f} ml, "
        f"{outcome.facts['seconds']:.1f} s, {outcome.files[0]}"
    )


def _need_screen() -> None:
    """Raise where Qt would end the process, as it does on a Linux without a screen."""
    has_screen = any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    )
    if sys.platform.startswith("linux") and not has_screen:
        raise GliocamError(
            "There is no screen for a window; run it on a desktop or under xvfb-run, "
            'or use "napari-gliocam segment", which needs none.'
        )
