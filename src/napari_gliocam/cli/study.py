"""The command ``study``: methods and bundles over a cohort, as one table."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from napari_gliocam.cli.batch import (
    Outcome,
    Planned,
    Sources,
    each_case,
    echo_files,
    end,
    plan,
    run_cases,
)
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import (
    FAILED,
    WRONG_CALL,
    AsJson,
    Debug,
    Device,
    NoNames,
    printable,
    say,
    sentences,
    uninterrupted,
)
from napari_gliocam.cli.options import with_shared_options
from napari_gliocam.errors import GliocamError, SaveError
from napari_gliocam.progress import Progress

if TYPE_CHECKING:
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.study.figures import StudyResult
    from napari_gliocam.study.scores import RowScores
    from napari_gliocam.study.store import CaseScores, Setup


@with_shared_options
def study(
    cluster: Cluster,
    source: Annotated[
        str, typer.Argument(metavar="STUDY", help="Name of a study that ships, or a TOML file.")
    ],
    cases: Annotated[
        list[Path],
        typer.Option("--cases", metavar="DIR", help="Cases with expert labels. Repeatable."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Scores, table, page, pictures.")
    ],
    bundle: Annotated[
        list[str] | None,
        typer.Option("--bundle", metavar="NAME=DIR", help="A bundle of the study. Repeatable."),
    ] = None,
    device: Device = "auto",
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Count what is to be computed; compute nothing.")
    ] = False,
    no_names: NoNames = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare methods over a cohort: DIR/study.html, study.json, figures.csv and cases.csv.

    The same command goes on where it was stopped; nothing is computed twice. A case that fails
    does not stop the others.
    """
    from napari_gliocam.study.store import set_up
    from napari_gliocam.study.toml_file import read_study

    with sentences(debug):
        file = Path(source).expanduser()
        setup = set_up(
            read_study(source),
            out,
            bundles=_bundles(bundle or []),
            folder=file.parent if file.exists() else None,
            device=device,
        )
        _check_folder(setup)
        planned = plan(Sources(tuple(cases)), _refuse)
        names = [item.name for item in planned if item.files is not None]
        pictured = [] if no_names else setup.study.pictures.chosen(names)
        known, missing = _known(planned, setup, pictured)
        if only_plan:
            _end_plan(setup, planned, missing)
        done, stopped = run_cases(
            each_case(
                [item for item in planned if item.files is None or item.name not in known],
                lambda files, _: _running(files, setup, pictured),
                None,
                cluster,
            ),
            _show,
            quiet=as_json,
            debug=debug,
        )
        result = _result(setup, planned, known, done)
        if no_names:
            result = _without_names(result)
        files: list[Path] = []
        if any(any(rows) for rows in result.cases.values()):
            from napari_gliocam.study.page import save_study

            with uninterrupted():
                files = save_study(result, setup, pictured)
        if stopped:
            say(f"Stopped after {len(result.cases)} cases; the same command goes on from there.")
        if as_json:
            from napari_gliocam.study.tables import to_json

            typer.echo(to_json(result), nl=False)
        elif files:
            print_table(result)
            echo_files("Written", files)
        end(done, stopped=stopped, begun=bool(known))


def _bundles(given: Iterable[str]) -> dict[str, Path]:
    found = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise GliocamError(f'"{text}" names no bundle; give --bundle NAME=DIR.')
        found[name] = Path(folder).expanduser()
    return found


def _check_folder(setup: Setup) -> None:
    """Refuse a folder that holds another study, or cannot be written to."""
    import json

    from napari_gliocam.io.atomic import check_writable
    from napari_gliocam.study.page import JSON_NAME

    check_writable(setup.out, [JSON_NAME])
    file = setup.out / JSON_NAME
    if not file.exists():
        return
    try:
        name = json.loads(file.read_text(encoding="utf-8"))["study"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    if name != setup.study.name:
        what = f'the study "{name}"' if name else "a file of that name that is no study"
        raise SaveError(f"{setup.out} holds {what}; choose another --out.")


def _refuse(files: CaseFiles) -> str | None:
    if files.labels is None:
        return f'Case "{files.name}" has no expert labels to be measured by; add its _seg file.'
    return None


def _known(
    planned: Iterable[Planned], setup: Setup, pictured: list[str]
) -> tuple[dict[str, CaseScores], int]:
    """Return the cases whose rows are all stored, and the number of rows to compute."""
    from napari_gliocam.study.store import CaseScores

    known, missing = {}, 0
    for item in planned:
        if item.files is None:
            continue
        scores = CaseScores.read(setup, item.files)
        count = len(scores.missing(setup, pictured=item.name in pictured))
        missing += count
        if not count:
            known[item.name] = scores
    return known, missing


def _end_plan(setup: Setup, planned: list[Planned], missing: int) -> NoReturn:
    """Print the plan; status 2 where there is no case at all, 1 where some cannot be used."""
    from napari_gliocam.wording import counted

    cases = sum(item.files is not None for item in planned)
    rows = len(setup.study.rows)
    typer.echo(
        f"{counted(cases, 'case')} and {counted(rows, 'row')}: {counted(missing, 'score')} of "
        f"{cases * rows:,} to compute."
    )
    wrong = [item.error for item in planned if item.error]
    for sentence in wrong:
        say(sentence)
    raise typer.Exit(WRONG_CALL if not cases else FAILED if wrong else 0)


def _running(
    files: CaseFiles, setup: Setup, pictured: list[str]
) -> Generator[Progress, None, CaseScores]:
    from napari_gliocam.study.run import running_case

    scores = yield from running_case(files, setup, pictured=files.name in pictured)
    return scores


def _show(scores: CaseScores, outcome: Outcome[CaseScores]) -> None:
    say(f"{outcome.case}: {outcome.seconds:.0f} s")


def _result(
    setup: Setup,
    planned: Iterable[Planned],
    known: Mapping[str, CaseScores],
    done: Iterable[Outcome[CaseScores]],
) -> StudyResult:
    from napari_gliocam.study.figures import StudyResult
    from napari_gliocam.study.store import CaseScores

    computed = {one.case: one for one in done}
    cases: dict[str, list[RowScores | None]] = {}
    failed: dict[str, str] = {}
    for item in planned:
        one = computed.get(item.name)
        if item.error or (one is not None and one.error):
            failed[item.name] = item.error or str(one and one.error)
        scores = known.get(item.name)
        if scores is None and item.files is not None:  # rows that were stored before a failure
            scores = CaseScores.read(setup, item.files)
        if scores is not None and scores.rows:
            cases[item.name] = [scores.rows.get(key) for key in setup.keys]
    return StudyResult(setup.study, cases, failed)


def _without_names(result: StudyResult) -> StudyResult:
    numbered = {f"case {n}": rows for n, rows in enumerate(result.cases.values(), start=1)}
    failed = {f"failed case {n}": "" for n, _ in enumerate(result.failed, start=1)}
    return replace(result, cases=numbered, failed=failed)


def print_table(result: StudyResult) -> None:
    """Print the table, and what its figures are."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from napari_gliocam.study.tables import TITLES, columns_of, how, table_of

    study, columns, lines = result.study, columns_of(result), table_of(result)
    console = Console()
    console.print(Text(printable(study.title or study.name)))
    for metric in study.table.metrics:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column(TITLES[metric], overflow="fold", min_width=12)
        places = [n for n, (_, other) in enumerate(columns) if other == metric]
        paper = any(line.cells[n].paper for line in lines for n in places)
        for n in places:
            table.add_column(columns[n][0], justify="right")
            if paper:
                table.add_column("paper", justify="right", style="dim")
        group = ""
        for line in lines:
            if line.group != group:
                group = line.group
                table.add_section()
                table.add_row(Text(printable(group)), style="bold")
            shown = [
                text
                for cell in (line.cells[n] for n in places)
                for text in (cell.ours + cell.stars, *((cell.paper,) if paper else ()))
            ]
            table.add_row(Text(printable(line.name)), *shown)
        console.print(table)
    console.print(Text(how(result)))
    for sentence in study.differs:
        console.print(Text(printable(f"- {sentence}")))
