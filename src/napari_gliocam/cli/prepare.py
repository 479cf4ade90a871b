"""The command ``prepare``: a case for each examination, aligned, on one grid, without skull."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gliocam.cli.console import (
    FAILED,
    WRONG_CALL,
    AsJson,
    Debug,
    Overwrite,
    bar,
    echo,
    say,
    sentences,
    stoppable,
    uninterrupted,
)
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import finish

if TYPE_CHECKING:
    from napari_gliocam.case import Modality
    from napari_gliocam.prepare import Examination, Steps

#: Series that are left out and named, while a case is made.
_NAMED = 5
_SERIES = "Take this series, by its name or a part of it, for {}."


def prepare(
    examinations: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY", help="A folder of one examination: DICOM, NIfTI, NRRD, MHA, MGZ."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Each case gets a folder in it."),
    ] = None,
    flair: Annotated[str | None, typer.Option(metavar="NAME", help=_SERIES.format("FLAIR"))] = None,
    t1ce: Annotated[str | None, typer.Option(metavar="NAME", help=_SERIES.format("T1ce"))] = None,
    t2: Annotated[str | None, typer.Option(metavar="NAME", help=_SERIES.format("T2"))] = None,
    t1: Annotated[str | None, typer.Option(metavar="NAME", help=_SERIES.format("T1"))] = None,
    align: Annotated[
        bool, typer.Option(help="Align the series; else their stored positions are trusted.")
    ] = True,
    resample: Annotated[bool, typer.Option(help="Bring the series onto one grid.")] = True,
    strip: Annotated[bool, typer.Option(help="Remove skull and skin.")] = True,
    list_only: Annotated[
        bool, typer.Option("--list", help="List the series and stop; write nothing.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a case of each examination: DIR/CASE/CASE_t1ce.nii.gz and so on.

    The series are aligned to the T1ce, resampled to its grid and skull-stripped, each where it is
    needed.  CASE_prepare.json names the steps.  An examination that fails does not stop the others.
    """
    with sentences(debug):
        from napari_gliocam.case import Modality
        from napari_gliocam.prepare import Steps

        named = {"flair": flair, "t1ce": t1ce, "t2": t2, "t1": t1}
        choices = {Modality(name): words for name, words in named.items() if words}
        if out is None and not list_only:
            raise typer.BadParameter("Say with --out where the cases go, or --list the series.")
        failed = begun = False
        with stoppable():
            for path in examinations:
                try:
                    found = _find(path, choices)
                    steps = Steps(align=align, resample=resample, strip=strip)
                    if list_only or out is None:
                        facts = _listed(found)
                    else:
                        facts = _make(found, steps, out, overwrite)
                except GliocamError as error:
                    failed, begun = True, begun or error.begun
                    say(f"{path.name}: {error}")
                    continue
                begun = True
                if as_json:
                    typer.echo(json.dumps(facts))
                else:
                    for line in facts["said"]:
                        echo(line)
        if failed:
            raise typer.Exit(FAILED if begun else WRONG_CALL)


def _find(path: Path, choices: dict[Modality, str]) -> Examination:
    from napari_gliocam.prepare import find_examination

    found = find_examination(path)
    for modality, words in choices.items():
        found = found.choosing(modality, found.find_series(words))
    return found


def _listed(found: Examination) -> dict[str, Any]:
    chosen = {id(series): modality.title for modality, series in found.chosen.items()}
    lines = [
        f"{chosen.get(id(series), '–'):5} {series.name}"
        + (f" ({series.reason})" if series.reason else "")
        for series in found.series
    ]
    return {
        "case": found.name,
        "series": {m.value: series.name for m, series in found.chosen.items()},
        "said": [*lines, *found.left_out],
    }


def _make(found: Examination, steps: Steps, out: Path, overwrite: bool) -> dict[str, Any]:
    """Prepare and write one case; the facts of it."""
    from napari_gliocam.cli.batch import refuse_existing
    from napari_gliocam.prepare import preparing
    from napari_gliocam.prepare.write import prepared_files, save_prepared

    files = prepared_files(found.name, out, [m.value for m in found.chosen])
    refuse_existing(files, overwrite=overwrite)
    try:
        with bar(found.name) as report:
            case = finish(preparing(found, steps=steps), report)
        with uninterrupted():
            written = save_prepared(case, out, overwrite=overwrite)
    except GliocamError as error:
        error.begun = True
        raise
    made = case.preparation
    told = [f"{found.name}: {m.title} is {series.name}" for m, series in found.chosen.items()]
    left_out = found.left_out[:_NAMED]
    if len(found.left_out) > _NAMED:
        left_out += (f"{len(found.left_out) - _NAMED} more are left out, see --list.",)
    steps_done = made.steps if made else ()
    said = [*told, *left_out, *steps_done, *case.warnings, f"{written[0].parent}"]
    return {
        "case": found.name,
        "series": {m.value: series.name for m, series in found.chosen.items()},
        "steps": list(steps_done),
        "warnings": list(case.warnings),
        "files": [str(path) for path in written],
        "said": said,
    }
