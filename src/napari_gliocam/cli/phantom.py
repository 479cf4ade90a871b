"""The command ``phantom``: synthetic cases into folders, one after the other."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_gliocam.cli.console import (
    Debug,
    Out,
    Overwrite,
    bar,
    echo,
    say,
    sentences,
    stoppable,
    uninterrupted,
)
from napari_gliocam.errors import GliocamError

if TYPE_CHECKING:
    from napari_gliocam.phantom.write import PhantomRequest


def phantom(
    out: Out,
    cases: Annotated[int, typer.Option(metavar="N", help="How many.")] = 1,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed, the same cases.")] = 0,
    anatomies: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Brains from files (labels/, ms/) instead of formulas."),
    ] = None,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="mixed, enhancing, low-grade or healthy.")
    ] = "mixed",
    missing: Annotated[
        float, typer.Option(metavar="P", help="Leave out T1, T1ce, T2 with this probability each.")
    ] = 0.0,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write synthetic cases with reference labels as BraTS folders.

    DIR/phantom_S_0000/phantom_S_0000_{t1,t1ce,t2,flair,seg}.nii.gz and so on; seg has 1 for
    core that does not enhance, 2 for edema, 4 for enhancing core.
    """
    with sentences(debug):
        from napari_gliocam.phantom.write import PhantomRequest

        _write(
            PhantomRequest(
                out,
                cases,
                seed,
                anatomies,
                kind,  # type: ignore[arg-type]  # checked there
                missing,
                overwrite,
            )
        )


def _write(request: PhantomRequest) -> None:
    """Write the cases; the folder of each is printed when it is whole."""
    from napari_gliocam.phantom.write import writing_phantoms

    work = writing_phantoms(request)
    done, saving = 0, False
    try:
        with stoppable(), bar("Synthetic cases", unit="cases") as report:
            while True:
                # Ctrl-C while files take their places waits until the case is whole.
                with uninterrupted() if saving else nullcontext():
                    progress = next(work, None)
                if progress is None:
                    break
                saving = progress.what == "saving"
                if progress.what == "saved":
                    folder = request.folder_of(done)
                    echo(folder)
                    if request.classes_of(done) == "none":
                        say(f"{folder.name} is healthy: it shows no tumour, its labels are empty.")
                    done += 1
                report(progress)
    except KeyboardInterrupt:
        say(f"Stopped with {done} of {request.cases} cases written; each of these is whole.")
        raise
    except GliocamError as error:
        error.begun = done > 0
        raise
    finally:
        work.close()
