"""Files that are written whole or not at all."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_gliocam.errors import SaveError
from napari_gliocam.io.naming import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PREFIX = ".gliocam-"
_HOST = hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:8]
#: Parts of another machine, and of earlier versions.
_PART = re.compile(r"(\.gliocam-[0-9a-f]{8}-)?\.?[0-9a-f]{32}\.part(\.\w+)?")
#: A writer waits for another so long.
_WAIT_S = 30.0
#: Long work that holds no lock, `replacing`, writes at least so often.
_REPLACING_S = 3600.0
_DAY_S = 86400.0
_LONGEST_NAME = 255


def write_files(contents: Mapping[Path, bytes | str], *, overwrite: bool) -> None:
    """Write files that belong together: all of them, or none.

    All are on disk before the first takes its place; if a later one cannot, the earlier get their
    old content back.  One writer at a time works in a folder of this machine.

    Parameters
    ----------
    contents : mapping of Path to bytes or str
        In the order in which they take their place; a file that tells of another comes last.  Text
        becomes UTF-8; a name that is no text is spelled out.
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
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked({path.parent for path in contents}):
            for path in contents:
                if path.is_dir():
                    raise SaveError(f"{path} is a folder; choose another name.")
                if os.path.lexists(path) and not overwrite:
                    raise SaveError(f"{path} exists; choose another name, or --overwrite it.")
            for path, content in contents.items():
                if isinstance(content, str):
                    content = content.encode(errors="backslashreplace")
                # In the same folder, so that taking its place is one step of the file system.
                part = staged[path] = _part_of(path)
                with part.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            _take_places(staged)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        for part in staged.values():
            part.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError) -> SaveError:
    return SaveError(
        f"{path} could not be written ({error.strerror or error}); make room or choose another "
        "folder, the earlier files are as they were."
    )


def _take_places(staged: Mapping[Path, Path]) -> None:
    """Rename all files to their places; put back what was there if one of them fails."""
    kept: dict[Path, Path | None] = {}
    path = next(iter(staged))
    try:
        for path, part in staged.items():
            kept[path] = _kept(path) if len(staged) > 1 else None
            part.replace(path)
    except BaseException as error:
        for done, backup in kept.items():
            if done == path:
                continue
            if backup is None:
                done.unlink(missing_ok=True)
            else:
                os.replace(backup, done)  # noqa: PTH105
        if isinstance(error, OSError):
            raise _not_written(path, error) from error
        raise
    finally:
        for backup in kept.values():
            if backup is not None:
                backup.unlink(missing_ok=True)


def _kept(path: Path) -> Path | None:
    """Keep a file under another name, without a copy where the file system can; None if none."""
    if not path.exists():
        return None
    backup = _part_of(path)
    try:
        os.link(path, backup)
    except (OSError, NotImplementedError):
        shutil.copy2(path, backup)
    return backup


def _part_of(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{_HOST}-{uuid4().hex}.part{path.suffix}")


@contextmanager
def _locked(folders: Iterable[Path]) -> Iterator[None]:
    """Hold folders against other writers of this machine, and clear what killed ones left.

    The lock lies with the temporary files: the folders of results stay clean.
    """
    from filelock import FileLock, Timeout

    user = getpass.getuser() if os.name == "nt" else str(os.getuid())
    home = Path(tempfile.gettempdir()) / f"napari-gliocam-{safe_name(user)}"
    home.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as held:
        for folder in sorted(folders):
            name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
            try:
                held.enter_context(FileLock(home / f"{name}.lock", timeout=_WAIT_S))
            except Timeout as error:
                raise SaveError(
                    f"Another program writes into {folder}; wait for it and save again."
                ) from error
            _clear(folder)
        yield


def _clear(folder: Path) -> None:
    """Remove what writers that were killed left in a folder that is held.

    Parts of another machine are left alone for a day, for their writer may be at work.
    """
    with suppress(OSError):
        for entry in os.scandir(folder):
            ours = entry.name.startswith(f"{_PREFIX}{_HOST}-")
            told = ours or _PART.fullmatch(entry.name)
            if told and entry.is_file(follow_symlinks=False):
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if age > (_REPLACING_S if ours else _DAY_S):
                    Path(entry.path).unlink(missing_ok=True)


def check_writable(folder: Path, names: Iterable[str] = ()) -> None:
    """Find out before long work whether its results can be written.

    Parameters
    ----------
    folder : Path
        Where they will go; it may be missing, then the nearest folder above it is tried.
    names : iterable of str
        Names of the files, which may be too long for the file system.

    Raises
    ------
    SaveError
        The folder is a file, cannot be written to, or a name is too long.
    """
    folder = folder.expanduser().absolute()
    nearest = next(
        path for path in (folder, *folder.parents) if os.path.lexists(path) or path == path.parent
    )
    if not nearest.is_dir():
        raise SaveError(f"{nearest} is a file, not a folder; choose another folder.")
    parts = folder.relative_to(nearest).parts
    for name in (*parts, *names):
        if len(os.fsencode(name)) > _LONGEST_NAME:
            raise SaveError(
                f"The name {name[:40]}… is longer than the {_LONGEST_NAME} bytes that a file name "
                "may have; choose a shorter one."
            )
    probe = _part_of(nearest / "probe")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise SaveError(
            f"The folder {nearest} cannot be written to ({error.strerror or error}); choose "
            "another folder, or ask for the permission."
        ) from error


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
    part = _part_of(path)
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
