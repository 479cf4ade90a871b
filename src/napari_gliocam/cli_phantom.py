"""What ``napari-gliocam phantom`` does: synthetic cases into folders, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import typer

from napari_gliocam.cli_batch import uninterrupted
from napari_gliocam.progress import Progress

Report = Callable[[Progress], None]
Bar = Callable[[str], AbstractContextManager[Report]]


class Wishes(NamedTuple):
    """The options of the command; see `napari_gliocam.phantom.write.PhantomRequest`."""

    out: Path
    cases: int
    seed: int
    anatomy: Path | None
    kind: str
    missing: float
    overwrite: bool


def run(wishes: Wishes, bar: Bar, say: Callable[[str], None]) -> None:
    """Write the cases; the folder of each is printed when it is whole (imports torch).

    Raises
    ------
    GliocamError
        One sentence; the cases before are whole.
    """
    from napari_gliocam.phantom.write import PhantomRequest, writing_phantoms

    request = PhantomRequest(**wishes._asdict())
    work = writing_phantoms(request)
    done = 0
    saving = False
    try:
        with bar("Synthetic cases") as report:
            while True:
                # Ctrl-C while files take their places waits until the case is whole.
                with uninterrupted() if saving else nullcontext():
                    progress = next(work, None)
                if progress is None:
                    break
                saving = progress.what == "saving"
                if progress.what == "saved":
                    typer.echo(request.folder_of(done))
                    done += 1
                report(progress)
    except KeyboardInterrupt:
        say(f"Stopped with {done} of {request.cases} cases written; each of these is whole.")
        raise
    finally:
        work.close()
