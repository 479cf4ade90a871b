"""The commands ``open`` and ``demo``, which open a window."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_gliocam.cli.console import Debug, sentences
from napari_gliocam.errors import GliocamError


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
