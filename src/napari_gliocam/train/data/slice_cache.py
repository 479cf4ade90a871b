"""List and clean the prepared slices that trainings keep beside the cases."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_gliocam.errors import SaveError, TrainingError
from napari_gliocam.train.data.case_index import CACHE_NAME, INDEX_FILES
from napari_gliocam.train.data.packed import SUFFIX

#: Files that this program writes into a cache, also earlier versions and killed runs of it.
_OWN = (
    INDEX_FILES,
    "index.json",
    f"*{SUFFIX}",
    "rehearsal-*.npy",
    "anatomies-*.pt",
    ".*.part",
    f".*.part{SUFFIX}",
)


@dataclass(frozen=True)
class CacheEntry:
    """A file of a cache.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Size in bytes.
    case : str
        Name of the case, "synthetic case" for one that was drawn, empty for other files.
    used : bool
        False for a file that no training will read again.
    """

    path: Path
    size: int
    case: str
    used: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"path": str(self.path), "bytes": self.size, "case": self.case, "used": self.used}


def find_cache(folder: Path) -> Path:
    """Return the cache in a folder of cases, or the folder itself if it is a cache.

    Parameters
    ----------
    folder : Path
        A folder of cases, or the folder that was given as ``--cache``.

    Raises
    ------
    TrainingError
        If there is no cache.
    """
    folder = folder.expanduser()
    for cache in (folder / CACHE_NAME, folder):
        if _own_files(cache):
            return cache
    raise TrainingError(
        f'"{folder}" holds no prepared slices; give a folder of cases that was trained with, or '
        "the folder that was given as --cache."
    )


def list_cache(folder: Path) -> tuple[CacheEntry, ...]:
    """List the files of a cache, by name.

    Parameters
    ----------
    folder : Path
        As in `find_cache`.

    Returns
    -------
    tuple of CacheEntry

    Raises
    ------
    TrainingError
        If there is no cache.
    """
    cache = find_cache(folder)
    cases: dict[str, str] = {}
    indices = set(cache.glob(INDEX_FILES))
    for index in indices:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            for name, case in json.loads(index.read_bytes())["cases"].items():
                cases[case["prepared"]["packed"]] = name
    entries = []
    for file in sorted(_own_files(cache)):
        drawn = file.name.startswith("rehearsal-") and file.suffix == SUFFIX
        name = "synthetic case" if drawn else cases.get(file.name, "")
        name = "anatomies of synthetic cases" if file.suffix == ".pt" else name
        entries.append(CacheEntry(file, file.stat().st_size, name, bool(name) or file in indices))
    return tuple(entries)


def clean_cache(folder: Path, *, everything: bool = False) -> tuple[CacheEntry, ...]:
    """Remove the files of a cache that no training will read again.

    Parameters
    ----------
    folder : Path
        As in `find_cache`.
    everything : bool
        True removes all files of the cache; the next training prepares the cases anew.

    Returns
    -------
    tuple of CacheEntry
        The removed files.

    Raises
    ------
    TrainingError
        If there is no cache.
    SaveError
        If a file cannot be removed.
    """
    removed = tuple(entry for entry in list_cache(folder) if everything or not entry.used)
    for entry in removed:
        try:
            entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise SaveError(
                f"{entry.path} cannot be removed ({error.strerror}); check the folder."
            ) from error
    if removed:
        with suppress(OSError):  # other files are in it
            removed[0].path.parent.rmdir()
    return removed


def _own_files(cache: Path) -> set[Path]:
    return {file for pattern in _OWN for file in cache.glob(pattern) if file.is_file()}
