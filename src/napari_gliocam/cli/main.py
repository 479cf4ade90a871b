"""The command ``napari-gliocam``: it registers the commands, each of which has a file of its own.

torch, napari and Qt are imported by the command that needs them, so ``--help`` is quick.
"""

from __future__ import annotations

import io
import os
import sys
from inspect import cleandoc
from typing import Annotated, NoReturn

import typer

from napari_gliocam import __version__
from napari_gliocam.cli.cache import cache
from napari_gliocam.cli.console import FAILED, INTERRUPTED, say
from napari_gliocam.cli.evaluate import evaluate
from napari_gliocam.cli.explain import explain
from napari_gliocam.cli.info import info
from napari_gliocam.cli.phantom import phantom
from napari_gliocam.cli.prepare import prepare
from napari_gliocam.cli.pseudo_label import pseudo_label
from napari_gliocam.cli.report import report
from napari_gliocam.cli.segment import segment
from napari_gliocam.cli.study import study
from napari_gliocam.cli.thresholds import thresholds
from napari_gliocam.cli.train import train
from napari_gliocam.cli.train_segmenter import train_segmenter
from napari_gliocam.cli.window import demo, open_

# Plain help: in rich's, names of options are cut at 80 columns and "[default: 1]" is markup.
app = typer.Typer(
    name="napari-gliocam",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    prepare,
    segment,
    evaluate,
    explain,
    report,
    study,
    thresholds,
    phantom,
    train,
    pseudo_label,
    train_segmenter,
    cache,
    info,
    demo,
):
    # Else the list of commands cuts it at 45 characters.
    app.command(short_help=cleandoc(command.__doc__ or "").split("\n\n")[0])(command)
app.command(name="open")(open_)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find glioma core and edema in brain MRI with class activation maps.

    Research use, not a medical device.

    Exit status: 0 all done; 1 a case or another piece of the work failed, the others are done; 2
    the call is wrong (an option, a folder, a file in the way) and nothing was begun; 130 stopped.
    """
    if version:
        typer.echo(f"napari-gliocam {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line; the entry point of ``napari-gliocam``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        app(prog_name="napari-gliocam", standalone_mode=True)
    except KeyboardInterrupt:  # while Python was still importing
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is not None:
            raise
        # Python would try to write what is left once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reason = error.strerror or error
        say(f"The output cannot be written ({reason}); make room or write elsewhere.")
        sys.exit(FAILED)
    sys.exit(0)
