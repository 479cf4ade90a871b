"""An index of a folder of cases, and the slices of each case prepared once.

The index and the prepared slices (`napari_gliocam.train.data.packed`) lie in one folder, the cache.
Prepared slices are named by the contents of the case's files and by the way they were prepared, so
that the folder of cases may be moved, or its path spelled in another way.  Only cases that changed
are prepared anew.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_gliocam.case import Modality
from napari_gliocam.errors import GliocamError, SaveError, TrainingError
from napari_gliocam.io.atomic import check_writable, write_files
from napari_gliocam.io.find import CaseFiles, find_cases
from napari_gliocam.io.naming import safe_name
from napari_gliocam.io.nifti import load_nifti
from napari_gliocam.io.read import read_case
from napari_gliocam.io.sidecar import PHANTOM, written_here
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.slices import Normalisation, cut_slices
from napari_gliocam.train.data.packed import SUFFIX, is_whole, pack_slices
from napari_gliocam.train.labels.tags import file_slices
from napari_gliocam.train.recipe.maps import Data

#: Name of the cache in the folder of cases, unless another folder is given.
CACHE_NAME = ".gliocam-slices"
#: Pattern of the names of indices, one for each way of making slices.
INDEX_FILES = "index-*.json"
#: Changes when prepared slices of before can no longer be used.
FORMAT = 3
#: Least brain, in cm2, of a slice that is not blank.
MIN_BRAIN_CM2 = 5.0
#: Seconds between two savings of the index while cases are prepared.
_SAVE_EVERY = 10.0
#: Most bytes of a case's name in the name of its packed file.
_NAME_BYTES = 80


@dataclass(frozen=True)
class SlicePreparation:
    """The way slices are made: that of the bundle which is trained.

    Parameters
    ----------
    modalities : tuple of Modality
        The networks' channels in order.
    optional : tuple of Modality
        Modalities that a case may lack.
    pixel_mm : float
        In-plane pixel of a slice, in mm.
    normalisation : Normalisation
        The scaling of intensities.
    blank : {"drop", "keep"}
        Whether slices with less than `MIN_BRAIN_CM2` of brain are left out.
    """

    modalities: tuple[Modality, ...] = (Modality.T1CE, Modality.T2, Modality.FLAIR)
    optional: tuple[Modality, ...] = ()
    pixel_mm: float = 1.5
    normalisation: Normalisation = field(default_factory=Normalisation)
    blank: Literal["drop", "keep"] = "drop"

    @classmethod
    def of(cls, info: BundleInfo | None, data: Data) -> SlicePreparation:
        """Return the preparation for a training.

        Parameters
        ----------
        info : BundleInfo or None
            The bundle to go on from; None for new networks.
        data : Data
            The recipe's choice of slices.
        """
        if info is None:
            return cls(tuple(Modality(m) for m in data.modalities), blank=data.blank)
        optional = info.optional_modalities
        return cls(info.modalities, optional, info.pixel_mm, info.normalisation, data.blank)

    def digest(self) -> str:
        """Return a short text that differs for every other way of making slices."""
        return sha256(json.dumps([FORMAT, asdict(self)]).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class PreparedCase:
    """The facts about a prepared case.

    Parameters
    ----------
    depth : int
        Number of slices in the file.
    slices : list of int
        Numbers in the file of the packed slices, in the order in which they are packed.
    shape : [H, W]
        Rows and columns of a packed slice.
    packed : str
        Name of the packed file in the cache.
    core, edema : list of int or None
        Pixels of each class by slice number where an expert outlined them, else None.  Counts, no
        outline: image-level labels can be derived from them, nothing else.  A result that this
        program saved beside the case is no expert's.
    problem : str
        Reason why the case cannot be learned from; the rest is empty then.
    slice_mm : float
        Distance of neighbouring slices in the file, in mm.
    """

    depth: int = 0
    slices: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    packed: str = ""
    core: list[int] | None = None
    edema: list[int] | None = None
    problem: str = ""
    slice_mm: float = 1.0


@dataclass(frozen=True)
class IndexedCase:
    """A case in the index.

    Parameters
    ----------
    source : str
        Path of one file of the case, from the folder of cases.
    stamp : dict of str to [int, int]
        Size in bytes and time of change in ns of each file, by its path from the folder of cases.
    content : str
        Digest of the contents of the files.
    prepared : PreparedCase
        The prepared slices.
    """

    source: str
    stamp: dict[str, list[int]]
    content: str
    prepared: PreparedCase


@dataclass(frozen=True, eq=False)
class CaseIndex:
    """All cases of a folder.

    Parameters
    ----------
    root, cache : Path
        The folder of cases, and the folder with the prepared slices.
    preparation : SlicePreparation
        The way the slices were made.
    cases : dict of str to IndexedCase
        Cases by name, in order; also those that cannot be used, with the reason.
    """

    root: Path
    cache: Path
    preparation: SlicePreparation
    cases: dict[str, IndexedCase] = field(default_factory=dict)

    @property
    def usable(self) -> dict[str, PreparedCase]:
        """The cases that can be learned from."""
        return {n: c.prepared for n, c in self.cases.items() if not c.prepared.problem}

    @property
    def problems(self) -> dict[str, str]:
        """A sentence for each of the other cases: why it cannot be learned from."""
        return {n: c.prepared.problem for n, c in self.cases.items() if c.prepared.problem}

    @property
    def depths(self) -> dict[str, int]:
        """Number of slices in the file of each usable case."""
        return {name: case.depth for name, case in self.usable.items()}

    def packed(self, name: str) -> Path:
        """Return the file with the slices of a case."""
        return self.cache / self.cases[name].prepared.packed

    def source(self, name: str) -> Path:
        """Return a file of a case, to read the case again."""
        return self.root / self.cases[name].source


def indexing(
    root: Path,
    preparation: SlicePreparation,
    *,
    cache: Path | None = None,
    workers: int = 0,
) -> Generator[Progress, None, CaseIndex]:
    """Open the index of a folder and prepare the cases that are new or have changed.

    Parameters
    ----------
    root : Path
        A folder of cases.
    preparation : SlicePreparation
        The way slices are made; each way has slices of its own.
    cache : Path, optional
        Folder of the index and the prepared slices; `CACHE_NAME` in ``root`` by default.
    workers : int
        Number of processes that prepare; 0 prepares in this one.

    Yields
    ------
    Progress
        Cases prepared, of those that must be.  Prepared cases are kept when it is closed.

    Raises
    ------
    CaseError
        If there is no case.
    SaveError
        If the cache cannot be written.
    """
    root = root.expanduser()
    cache = cache or root / CACHE_NAME
    yield Progress(0, 1, "looking for cases")
    found = {files.name: files for files in find_cases(root)}
    stamps = {name: _stamp(files, root) for name, files in found.items()}
    known = {
        name: case
        for name, case in _read_index(cache, preparation).items()
        if case.prepared.problem or is_whole(cache / case.prepared.packed)
    }
    cases = {n: known[n] for n in found if n in known and known[n].stamp == stamps[n]}
    index = CaseIndex(root, cache, preparation, cases)
    wanted = [files for name, files in found.items() if name not in cases]
    if not wanted:
        return _in_order(index, found)
    check_writable(cache)
    done, saved = 0, time.monotonic()
    yield Progress(0, len(wanted), "preparing cases")
    size = max(8, 4 * workers)
    try:
        for part in (wanted[i : i + size] for i in range(0, len(wanted), size)):
            before = [known.get(files.name) for files in part]
            made = _prepare(part, before, preparation, cache, workers)
            for files, (content, prepared) in zip(part, made, strict=True):
                source = _relative(next(iter(files.paths), root), root)
                cases[files.name] = IndexedCase(source, stamps[files.name], content, prepared)
                done += 1
                yield Progress(done, len(wanted), "preparing cases")
            if time.monotonic() - saved > _SAVE_EVERY:
                _save(_in_order(index, found))
                saved = time.monotonic()
    finally:  # also when it is closed: prepared cases are known the next time
        _save(_in_order(index, found))
    return _in_order(index, found)


def _prepare(
    part: list[CaseFiles],
    before: list[IndexedCase | None],
    preparation: SlicePreparation,
    cache: Path,
    workers: int,
) -> Iterator[tuple[str, PreparedCase]]:
    prepare = partial(_prepare_if_changed, preparation=preparation, cache=cache)
    if workers == 0:
        yield from map(prepare, part, before)
        return
    with ProcessPoolExecutor(workers) as pool:  # ends before the generator above yields again
        made = list(pool.map(prepare, part, before))
    yield from made


def _prepare_if_changed(
    files: CaseFiles, before: IndexedCase | None, preparation: SlicePreparation, cache: Path
) -> tuple[str, PreparedCase]:
    """Return the digest of a case and the prepared case; an unreadable case has its problem."""
    content = ""
    try:
        content = _content(files)
        if before is not None and before.content == content:
            return content, before.prepared
        name = safe_name(files.name).encode("utf-8", "replace")[:_NAME_BYTES]
        part = name.decode("utf-8", "ignore").replace("?", "_")
        digest = sha256(f"{preparation.digest()} {content}".encode()).hexdigest()[:16]
        return content, prepare_case(files, preparation, cache / f"{part}-{digest}{SUFFIX}")
    except SaveError:
        raise
    except GliocamError as error:
        return content, PreparedCase(problem=str(error))
    except Exception as error:  # one strange case must not stop the others
        kind = f"{type(error).__name__}: {error}"
        return content, PreparedCase(problem=f"{files.name} cannot be prepared ({kind}).")


def prepare_case(files: CaseFiles, how: SlicePreparation, packed: Path) -> PreparedCase:
    """Read a case, cut its slices and pack them.

    Parameters
    ----------
    files : CaseFiles
        The files of the case.
    how : SlicePreparation
        The way slices are made.
    packed : Path
        The file to write.

    Returns
    -------
    PreparedCase

    Raises
    ------
    CaseError
        If the case cannot be read or shows no brain.
    SaveError
        If the file cannot be written.
    """
    case = read_case(files)
    needed = [m for m in how.modalities if m not in how.optional and m not in case.volumes]
    if needed or not any(m in case.volumes for m in how.modalities):
        lacking = " and ".join(m.title for m in needed or how.modalities)
        return PreparedCase(
            problem=f"{case.name} has no {lacking}, which the networks need; add the file or "
            "take the case out of the folder."
        )
    stack = cut_slices(
        case,
        how.modalities,
        pixel_mm=how.pixel_mm,
        normalisation=how.normalisation,
        min_brain_cm2=0.0 if how.blank == "keep" and case.brain.any() else MIN_BRAIN_CM2,
    )
    pack_slices(stack.images, packed)
    numbers = file_slices(case.grid)
    core = edema = None
    if case.expert is not None and not _is_a_result(case.expert.source):
        by_number = np.argsort(numbers)
        core, edema = (
            (case.expert.labels == value).sum(axis=(1, 2))[by_number].tolist() for value in (1, 2)
        )
    return PreparedCase(
        depth=len(numbers),
        slices=numbers[list(stack.frame.indices)].tolist(),
        slice_mm=case.grid.spacing[0],
        shape=list(stack.images.shape[2:]),
        packed=packed.name,
        core=core,
        edema=edema,
    )


def _is_a_result(labels: Path | None) -> bool:
    """Return True for labels that this program computed; those of a phantom are its truth."""
    if labels is None:
        return False
    header = load_nifti(labels).header
    synthetic = header["descrip"].item().startswith(PHANTOM.encode())
    return written_here(labels, header) and not synthetic


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _stamp(files: CaseFiles, root: Path) -> dict[str, list[int]]:
    stamp = {}
    for path in files.paths:
        with suppress(OSError):
            status = path.stat()
            stamp[_relative(path, root)] = [status.st_size, status.st_mtime_ns]
    return stamp


def _content(files: CaseFiles) -> str:
    """Return a digest of the role and the bytes of each file of a case."""
    roles = {m.value: path for m, path in files.modalities.items()}
    roles |= {} if files.labels is None else {"labels": files.labels}
    digests: dict[Path, str] = {}
    for path in roles.values():
        if path not in digests:
            with suppress(OSError), path.open("rb") as stream:
                digests[path] = file_digest(stream, "sha256").hexdigest()
    parts = sorted((role, digests.get(path, "")) for role, path in roles.items())
    return sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _in_order(index: CaseIndex, found: Mapping[str, CaseFiles]) -> CaseIndex:
    return replace(index, cases={n: index.cases[n] for n in found if n in index.cases})


def index_file(cache: Path, preparation: SlicePreparation) -> Path:
    """Return the file of the index for one way of making slices."""
    return cache / INDEX_FILES.replace("*", preparation.digest())


def _save(index: CaseIndex) -> None:
    content = {"cases": {name: asdict(case) for name, case in index.cases.items()}}
    raw = json.dumps(content, separators=(",", ":")).encode()
    write_files({index_file(index.cache, index.preparation): raw}, overwrite=True)


def _read_index(cache: Path, preparation: SlicePreparation) -> dict[str, IndexedCase]:
    """Return the cases indexed before; none where the file is missing or damaged."""
    file = index_file(cache, preparation)
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        return {
            name: IndexedCase(**{**case, "prepared": PreparedCase(**case["prepared"])})
            for name, case in content["cases"].items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    except OSError as error:
        raise TrainingError(
            f'The index "{file}" cannot be read ({error.strerror}); check the folder.'
        ) from error
