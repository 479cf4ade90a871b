"""The folder of a training: one training at a time, and a sentence when the disk is full."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_gliocam.errors import TrainingError

LOCK_FILE = ".lock"
_HOLDER = ".lock.json"
#: Beginnings of torch's own messages about a full disk.
_TORCH = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone.

    The system itself forgets the lock of a process that was killed.

    Parameters
    ----------
    folder : Path
        The folder; made if it is missing.

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
    """Return True if a process holds the folder."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with locked(folder):
            return False
    except TrainingError:
        return True


def remove_parts(folder: Path) -> None:
    """Remove unfinished files of runs that were killed; only the holder of the folder may."""
    for part in folder.rglob(".*.part*"):
        with suppress(OSError):
            part.unlink()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn the errors of a full disk into a sentence.

    Parameters
    ----------
    folder : Path
        The folder to name.

    Raises
    ------
    TrainingError
        If the disk is full; the files on it stay whole, the training goes on from the checkpoint
        before.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(_full(folder)) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _TORCH):
            raise
        raise TrainingError(_full(folder)) from error


def _full(folder: Path) -> str:
    return (
        f'The disk of "{folder}" is full; make room and resume, the training goes on from its last '
        "checkpoint."
    )


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
