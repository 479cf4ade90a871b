"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_gliocam.errors import SaveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def write_files(contents: Mapping[Path, bytes], *, overwrite: bool) -> None:
    """Write files that belong together; all are on disk before the first takes its place.

    Parameters
    ----------
    contents : mapping of Path to bytes
    overwrite : bool
        Whether files that exist may be replaced.

    Raises
    ------
    SaveError
        A file exists, or cannot be written; earlier files are as they were.
    """
    staged: dict[Path, Path] = {}
    path = next(iter(contents))
    try:
        for path in contents:
            if path.is_dir():
                raise SaveError(f"{path} is a folder; choose another name.")
            if path.exists() and not overwrite:
                raise SaveError(f"{path} exists; choose another name, or --overwrite it.")
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # In the same folder, so that taking its place is one step of the file system.
            part = staged[path] = path.with_name(f".{uuid4().hex}.part")
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in staged.items():
            part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"{path} could not be written ({reason}); "
            "make room or choose another folder, the earlier files are as they were."
        ) from error
    finally:
        for part in staged.values():
            part.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a free path beside a file or folder; what is written there takes its place at the end.

    Parameters
    ----------
    path : Path
        The file or folder to write; a folder must not exist yet.

    Yields
    ------
    Path
        A path with the same ending in the same folder, so that the last step is one of the file
        system.  It is removed if the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        yield part
        if part.is_file():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write plain values as json, whole or not at all; raise `SaveError` if that fails."""
    write_files({path: (json.dumps(content, indent=2) + "\n").encode()}, overwrite=True)
