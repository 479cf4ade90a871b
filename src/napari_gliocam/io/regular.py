"""Reading a file that is really there: no dangling link, no pointer to another store, no pipe."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from napari_gliocam.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

#: Pointers of git-annex and Git LFS are shorter than this.
_POINTER_BYTES = 2048
_LFS = re.compile(rb"version https://git-lfs\S*\s+oid (\S+)")
_ANNEX = re.compile(rb"/annex/objects/(\S+)")


def read_regular(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    CaseError
        It does not exist; it is a link to nothing, a pointer of git-annex or Git LFS whose
        content was not fetched, or no regular file; it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise CaseError(f"{path.name} is {_kind(mode)}, not a file; choose the file itself.")
        with path.open("rb") as file:
            raw = file.read()
    except FileNotFoundError as error:
        raise CaseError(_missing(path)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CaseError(f"{path} cannot be read ({reason}); check the file.") from error
    except ValueError as error:  # a null byte in the path
        raise CaseError(f"{path} is no path ({error}); check it.") from error
    if len(raw) < _POINTER_BYTES:
        _refuse_pointer(raw, path)
    return raw


def _missing(path: Path) -> str:
    if not path.is_symlink():
        return f"{path} does not exist; check the path."
    target = str(path.readlink())
    annex = "annex" in target
    fetch = f"fetch it (git annex get {path.name})" if annex else "copy the file there"
    return f"{path.name} is a link to {target}, which is not there; {fetch}."


def _refuse_pointer(raw: bytes, path: Path) -> None:
    if told := _LFS.match(raw):
        target = told.group(1).decode("ascii", "replace")
        raise CaseError(
            f"{path.name} is a Git LFS pointer to {target}, whose content is not there; fetch it "
            "(git lfs pull)."
        )
    if raw[:1] in (b"/", b".") and (told := _ANNEX.search(raw)):
        target = told.group(1).decode("ascii", "replace")
        raise CaseError(
            f"{path.name} is a git-annex pointer to {target}, "
            f"whose content is not there; fetch it (git annex get {path.name})."
        )


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
