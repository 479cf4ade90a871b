"""One training a folder: a lock that the system lets go of when its process ends, by whatever."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_gliocam.errors import TrainingError

LOCK_FILE = ".lock"
_HOLDER = ".lock.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone.

    A lock of a process that was killed is none: the system itself forgets it.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Raises
    ------
    TrainingError
        If another process holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            f'Another training{_holder(folder)} works in "{folder}"; wait for it, stop it, or '
            "choose another folder."
        ) from error
    except OSError as error:
        raise TrainingError(
            f'"{folder}" cannot be written ({error.strerror or error}); choose another folder.'
        ) from error
    try:
        with suppress(OSError):
            (folder / _HOLDER).write_text(
                json.dumps({"pid": os.getpid(), "host": platform.node()}), encoding="utf-8"
            )
        yield
    finally:
        with suppress(OSError):
            (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            (folder / LOCK_FILE).unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with locked(folder):
            return False
    except TrainingError:
        return True


def _holder(folder: Path) -> str:
    try:
        told = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']})"
    except (OSError, ValueError, KeyError):
        return ""
