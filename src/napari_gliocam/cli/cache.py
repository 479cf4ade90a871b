"""The command ``cache``: list and clean the prepared slices of trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_gliocam.cli.console import AsJson, Debug, sentences


def cache(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Folders of cases, or folders given as --cache."),
    ],
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove files that no training will read again.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="With --clean: remove all prepared slices.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the slices that trainings prepared and kept beside the cases; --clean removes them.

    The cases themselves and finished bundles are never touched.
    """
    with sentences(debug):
        from napari_gliocam.train.data.slice_cache import clean_cache, list_cache

        if everything and not clean:
            raise typer.BadParameter("--all goes with --clean.")
        for folder in folders:
            entries = clean_cache(folder, everything=everything) if clean else list_cache(folder)
            if as_json:
                typer.echo(json.dumps([entry.to_json() for entry in entries]))
                continue
            for entry in entries:
                if not clean:
                    title = entry.case or ("index" if entry.used else "no longer used")
                    typer.echo(f"{entry.size / 1e6:9.1f} MB  {title}  {entry.path.name}")
            total = sum(entry.size for entry in entries) / 1e6
            done = "removed" if clean else "kept"
            typer.echo(f"{folder}: {len(entries)} files, {total:.1f} MB {done}")
