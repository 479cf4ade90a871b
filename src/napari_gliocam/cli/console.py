"""What every command says and asks in the same way: options, sentences, the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress

FAILED, INTERRUPTED = 1, 130
Report = Callable[[Progress], None]
#: Opens a bar of progress with a title.
Bar = Callable[[str], AbstractContextManager[Report]]


class Device(StrEnum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="DIR", help="Folder of a bundle of weights instead."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable, on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@contextmanager
def bar(title: str, unit: str = "slices") -> Iterator[Report]:
    """A bar on standard error with the counts of the work; nothing where that is no terminal."""
    console = _console()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
    )
    with Bars(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,  # results on standard output stay there
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task(title, total=None, counts="")

        def report(progress: Progress) -> None:
            counted = progress.total > 1
            bars.update(
                task,
                description=f"{title}: {progress.what}",
                total=progress.total if counted else None,
                completed=progress.done,
                counts=f"{progress.done} of {progress.total} {unit}" if counted else "",
            )

        yield report


def say(sentence: str) -> None:
    """Print on standard error, as it is: no markup, no wrapping."""
    _console().print(sentence, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(stderr=True)


@contextmanager
def sentences(debug: bool) -> Iterator[None]:
    """Turn an error that a user can mend into its sentence and exit status 1."""
    try:
        yield
    except GliocamError as error:
        if debug:
            raise
        say(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
