"""The terminal: options that every command has, sentences, the bar, signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.wording import no_such

#: Exit statuses of every command: 0 all done; 1 something failed, the rest is done; 2 the call is
#: wrong (an option, a folder, a file in the way) and nothing was begun; 130 stopped.
FAILED, WRONG_CALL, INTERRUPTED = 1, 2, 130
Report = Callable[[Progress], None]
#: Opens a bar of progress with a title.
Bar = Callable[[str], AbstractContextManager[Report]]
#: Signals that stop the work; what is done by then is kept.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def one_of(*names: str) -> Callable[[str], str]:
    """Return a parser of an option that takes one of these names."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(no_such(text, names))
        return text

    return parse


Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Run there: auto, cpu, cuda or mps.",
        parser=one_of("auto", "cpu", "cuda", "mps"),
    ),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="DIR",
        help="Use the weights in this folder, or those that ship under this name.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print json instead of words.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Each case gets a folder in it.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
]
NoNames = Annotated[
    bool,
    typer.Option(
        "--no-names", help="Number the cases instead of naming them, and leave out pictures."
    ),
]


@contextmanager
def bar(title: str, unit: str = "slices") -> Iterator[Report]:
    """Show a bar on standard error with the counts of the work; nothing where that is a file."""
    console = _console()
    title = printable(title)
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


def printable(text: object) -> str:
    """Return text as it may go to a terminal: control characters from files are spelled out.

    Parameters
    ----------
    text : object
        Names of files, cases and bundles may hold escape codes that a terminal would obey.

    Returns
    -------
    str
        Line breaks stay as they are.
    """
    return "".join(
        char if char.isprintable() or char in "\n" else char.encode("unicode_escape").decode()
        for char in str(text)
    )


def echo(text: object) -> None:
    """Print a result on standard output, without control characters."""
    typer.echo(printable(text))


def say(sentence: str) -> None:
    """Print a sentence on standard error: no markup, no wrapping, no control characters."""
    _console().print(printable(sentence), markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(stderr=True)


@contextmanager
def sentences(debug: bool) -> Iterator[None]:
    """Turn an error that a user can mend into its sentence and exit status."""
    try:
        yield
    except GliocamError as error:
        if debug:
            raise
        say(str(error))
        raise typer.Exit(FAILED if error.begun else WRONG_CALL) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the work in the block as Ctrl-C does."""

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(number)

    with _handling(stop, _STOPPING[1:]):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the block is done, so that files come whole."""
    asked: list[int] = []
    with _handling(lambda number, _: asked.append(number), _STOPPING):
        yield
    if asked:
        raise KeyboardInterrupt


@contextmanager
def _handling(handler: Callable[[int, Any], Any], numbers: list[signal.Signals]) -> Iterator[None]:
    """Handle signals in the block, but for those that are ignored, as a hangup is under ``nohup``.

    They can be handled in the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
