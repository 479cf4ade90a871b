"""The command ``napari-gliocam report``: a page for each case, one csv for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.batch import Request
from napari_gliocam.cli.console import (
    FAILED,
    INTERRUPTED,
    AsJson,
    Bundle,
    Debug,
    Device,
    say,
    sentences,
)
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
from napari_gliocam.cli.report_batch import Reported, ReportRequest, plan, report_all
from napari_gliocam.errors import GliocamError
from napari_gliocam.settings import MIN_LESION_ML


def report(
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
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Report saved labels instead of segmenting: a file for one case, or the folder "
            "that segment wrote.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Compare one case with these labels, not with its expert labels."
        ),
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
    min_lesion: Annotated[
        float, typer.Option(metavar="ML", min=0.0, help="Smaller parts are no lesions, in ml.")
    ] = MIN_LESION_ML,
    label_scheme: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the expert labels; else detected.")
    ] = None,
    heading: Annotated[
        str, typer.Option(metavar="TEXT", help="A line of your own on top of each page.")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier reports.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Report cases: DIR/CASE/CASE_report.html, .csv and .json, and DIR/measures.csv for all.

    The page needs no network and prints on A4. Names on it are those of the files, and what you
    type as --heading. A case that fails does not stop the others; the exit status is 1 if any
    failed.
    """
    try:
        cases, images = images_of(cases, flair=flair, t1ce=t1ce, t2=t2, t1=t1)
        settings = settings_of(tumour_threshold, class_threshold, overlapping, no_gate)
        refinement = refinement_of(refine, crf, crf_volume, crf_backend, min_inside, components)
    except GliocamError as error:
        raise typer.BadParameter(str(error)) from error
    run = Request(
        out, bundle, device.value, settings, refinement, overwrite=overwrite, images=images
    )
    request = ReportRequest(run, result, against, label_scheme, min_lesion, heading)
    with sentences(debug):
        _run(cases, request, as_json=as_json, debug=debug)


def _run(sources: list[Path], request: ReportRequest, *, as_json: bool, debug: bool) -> None:
    from napari_gliocam.report.save import TABLE_NAME, save_table

    planned = plan(sources, request)
    reported: list[Reported] = []
    stopped = False
    try:
        for one in report_all(planned, request):
            repeated = bool(reported) and one.error == reported[-1].error
            reported.append(one)
            if as_json:
                typer.echo(json.dumps(one.to_json()))
            elif one.error is None or not repeated:
                _say(one)
            if debug and one.trace and not repeated:
                say(one.trace)
    except KeyboardInterrupt:
        stopped = True
    rows = [row for one in reported for row in one.rows]
    if rows:  # also of what was done before a stop
        with cli_batch.uninterrupted():
            table = save_table(rows, request.run.out, overwrite=request.run.overwrite)
        if not as_json:
            typer.echo(f"All cases: {table}")
    if stopped:
        done = sum(one.error is None for one in reported)
        say(f"Stopped with {done} of {len(planned)} cases reported; {TABLE_NAME} holds those.")
        raise typer.Exit(INTERRUPTED)
    if any(one.error for one in reported):
        raise typer.Exit(FAILED)


def _say(one: Reported) -> None:
    """A line for a person: what was found and where it stands, or why nothing does."""
    if one.error is not None:
        say(one.error if one.case in one.error else f"{one.case}: {one.error}")
        return
    found, *rest = one.said
    for sentence in rest:
        say(f"{one.case}: {sentence}")
    row = one.rows[0]
    typer.echo(
        f"{one.case}: {found} Core {row['core_ml']:.1f} ml, edema {row['edema_ml']:.1f} ml, "
        f"{one.seconds:.1f} s, {one.files[0]}"
    )
