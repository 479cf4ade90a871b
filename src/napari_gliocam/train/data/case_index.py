"""One index file over a folder of cases: what there is, and its slices prepared once.

The prepared slices lie beside it, one file a case (`napari_gliocam.train.data.packed`).  When it is
opened again, files are compared by size and time; only cases that changed are prepared anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from napari_gliocam.errors import GliocamError, SaveError, TrainingError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.find import CaseFiles, find_cases
from napari_gliocam.progress import Progress
from napari_gliocam.train.data.prepared import Preparation, PreparedCase, prepare_case

#: Of the folder beside the cases, where nobody names another.
CACHE_NAME = ".gliocam-slices"
INDEX_FILE = "index.json"
#: Changes when prepared slices of before cannot be used any more.
FORMAT = 1
#: While cases are prepared, in seconds.
_SAVE_EVERY = 10.0


@dataclass(frozen=True)
class IndexedCase:
    """A case in the index.

    Parameters
    ----------
    source : str
        A file of it, to read the case again.
    stamp : dict of str to [int, int]
        Size in bytes and time of change in ns of each of its files.
    prepared : PreparedCase
    """

    source: str
    stamp: dict[str, list[int]]
    prepared: PreparedCase


@dataclass(frozen=True, eq=False)
class CaseIndex:
    """All cases of a folder.

    Parameters
    ----------
    root, cache : Path
    preparation : Preparation
    cases : dict of str to IndexedCase
        By name, in order; also those that cannot be used, with the reason.
    """

    root: Path
    cache: Path
    preparation: Preparation
    cases: dict[str, IndexedCase] = field(default_factory=dict)

    @property
    def usable(self) -> dict[str, PreparedCase]:
        """The cases that can be learned from."""
        return {n: c.prepared for n, c in self.cases.items() if not c.prepared.problem}

    @property
    def problems(self) -> dict[str, str]:
        """Why the others cannot, a sentence each."""
        return {n: c.prepared.problem for n, c in self.cases.items() if c.prepared.problem}

    @property
    def depths(self) -> dict[str, int]:
        """Slices in the file of each usable case."""
        return {name: case.depth for name, case in self.usable.items()}

    def packed(self, name: str) -> Path:
        """The file with a case's slices."""
        return self.cache / self.cases[name].prepared.packed


def indexing(
    root: Path,
    preparation: Preparation,
    *,
    cache: Path | None = None,
    workers: int = 0,
) -> Generator[Progress, None, CaseIndex]:
    """Open the index of a folder, prepare what is new or has changed.

    Parameters
    ----------
    root : Path
        A folder of cases.
    preparation : Preparation
        How slices are made; another way prepares all of them anew.
    cache : Path, optional
        Where the index and the slices go; in the folder by default.
    workers : int
        Processes that prepare; 0 does it here.

    Yields
    ------
    Progress
        Cases prepared, of those that must be.  What is prepared is kept when it is closed.

    Raises
    ------
    CaseError
        If there is no case.
    SaveError
        If the cache cannot be written.
    """
    cache = cache or root / CACHE_NAME
    yield Progress(0, 1, "looking for cases")
    found = {files.name: files for files in find_cases(root)}
    stamps = {name: _stamp(files) for name, files in found.items()}
    known = _known(cache, preparation)
    cases = {
        name: known[name]
        for name in found
        if name in known and known[name].stamp == stamps[name] and _is_there(cache, known[name])
    }
    wanted = [files for name, files in found.items() if name not in cases]
    index = CaseIndex(root, cache, preparation, cases)
    if not wanted:
        return _in_order(index, found)
    done, saved = 0, time.monotonic()
    yield Progress(0, len(wanted), "preparing cases")
    size = max(8, 4 * workers)
    try:
        for part in (wanted[i : i + size] for i in range(0, len(wanted), size)):
            made = _prepare(part, preparation, cache, workers)
            for files, prepared in zip(part, made, strict=True):
                source = str(next(chain(files.paths, [root])))
                cases[files.name] = IndexedCase(source, stamps[files.name], prepared)
                done += 1
                yield Progress(done, len(wanted), "preparing cases")
            if time.monotonic() - saved > _SAVE_EVERY:
                _save(_in_order(index, found))
                saved = time.monotonic()
    finally:  # also when it is closed: what is prepared is known the next time
        _save(_in_order(index, found))
    return _in_order(index, found)


def _prepare(
    part: list[CaseFiles], preparation: Preparation, cache: Path, workers: int
) -> Generator[PreparedCase, None, None]:
    prepare = partial(_prepare_or_say, preparation=preparation, cache=cache)
    if workers == 0:
        yield from map(prepare, part)
        return
    with ProcessPoolExecutor(workers) as pool:  # ends before the generator above yields again
        made = list(pool.map(prepare, part))
    yield from made


def _prepare_or_say(files: CaseFiles, preparation: Preparation, cache: Path) -> PreparedCase:
    """A case that cannot be read does not stop the others."""
    try:
        return prepare_case(files, preparation, cache)
    except SaveError:
        raise
    except GliocamError as error:
        return PreparedCase(problem=str(error))


def _stamp(files: CaseFiles) -> dict[str, list[int]]:
    stamp = {}
    for path in files.paths:
        with suppress(OSError):
            status = path.stat()
            stamp[str(path)] = [status.st_size, status.st_mtime_ns]
    return stamp


def _is_there(cache: Path, case: IndexedCase) -> bool:
    return bool(case.prepared.problem) or (cache / case.prepared.packed).is_file()


def _in_order(index: CaseIndex, found: Mapping[str, CaseFiles]) -> CaseIndex:
    cases = {name: index.cases[name] for name in found if name in index.cases}
    return CaseIndex(index.root, index.cache, index.preparation, cases)


def _save(index: CaseIndex) -> None:
    content = {
        "format": FORMAT,
        "preparation": index.preparation.to_json(),
        "cases": {name: asdict(case) for name, case in index.cases.items()},
    }
    raw = json.dumps(content, separators=(",", ":")).encode()
    write_files({index.cache / INDEX_FILE: raw}, overwrite=True)


def _known(cache: Path, preparation: Preparation) -> dict[str, IndexedCase]:
    """What was indexed before; nothing where it is of another kind or damaged."""
    file = cache / INDEX_FILE
    if not file.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        if content["format"] != FORMAT or content["preparation"] != preparation.to_json():
            return {}
        return {
            name: IndexedCase(case["source"], case["stamp"], PreparedCase(**case["prepared"]))
            for name, case in content["cases"].items()
        }
    except (ValueError, KeyError, TypeError):
        return {}
    except OSError as error:
        raise TrainingError(
            f'The index "{file}" cannot be read ({error.strerror}); check the folder.'
        ) from error
