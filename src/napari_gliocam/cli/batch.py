"""Many cases in one call: which there are, what became of each.

Pure of the terminal: the command line decides how progress and outcomes are shown.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from glob import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_gliocam.errors import CaseError, GliocamError, SaveError
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS

if TYPE_CHECKING:
    from napari_gliocam.case import Modality
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.nets.bundle import Bundle, BundleInfo


@dataclass(frozen=True)
class Request:
    """What one call is asked to do with every case.

    Parameters
    ----------
    out : Path
        Each case gets a folder of its own in it.
    bundle : Path or None
        The bundle that ships by default.
    device : str
        As in `napari_gliocam.device.choose_device`.
    thresholds : mapping
        Fields of `Thresholds` that differ from the bundle's own.
    refinement : Refinement
        What is done to the labels after the thresholds.
    save_maps : bool
        Whether the three aggregated maps are written too.
    overwrite : bool
        Whether earlier results are replaced.
    images : mapping of str to str
        A file, or a pattern of names, for modalities that the names do not tell.
    """

    out: Path
    bundle: Path | None = None
    device: str = "auto"
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    refinement: Refinement = field(default_factory=Refinement)
    save_maps: bool = False
    overwrite: bool = False
    images: Mapping[str, str] = field(default_factory=dict)

    def thresholds_for(self, info: BundleInfo) -> Thresholds:
        """Return the thresholds for a bundle: its own, but for those that were asked for."""
        from napari_gliocam.segmentation import bundle_thresholds

        return replace(bundle_thresholds(info), **self.thresholds)

    def files_of(self, name: str) -> list[Path]:
        """Every file that a case of this name will get: the labels, the json, the maps."""
        from napari_gliocam.io.naming import safe_name

        stem = safe_name(name)
        names = [f"{stem}_seg.nii.gz", f"{stem}.json"]
        if self.save_maps:
            names += [f"{stem}_{target}_map.nii.gz" for target in TARGETS]
        return [self.out / stem / name for name in names]


@dataclass(frozen=True)
class Planned:
    """A case that was asked for, or the sentence that says why it is none.

    Parameters
    ----------
    name : str
    source : Path
        The argument it came from.
    files : CaseFiles or None
    error : str or None
        One of ``files`` and ``error`` is set.
    """

    name: str
    source: Path
    files: CaseFiles | None = None
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Parameters
    ----------
    case : str
    source : Path
        The argument it came from.
    files : tuple of Path
        What was written: the labels, the json, the maps.
    facts : dict
        Volumes, settings, device, seconds, warnings: what the json line says.
    error : str or None
        One sentence where it failed; then no file was written.
    trace : str or None
        The traceback of ``error``, for who asks for it.
    """

    case: str
    source: Path
    files: tuple[Path, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    trace: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat object with plain values."""
        return {
            "case": self.case,
            "source": str(self.source),
            "status": "failed" if self.error else "done",
            "error": self.error,
            "files": [str(path) for path in self.files],
            **self.facts,
        }


def plan(sources: Iterable[Path], request: Request) -> list[Planned]:
    """Find the cases, and refuse what would fail or overwrite before any network runs.

    Parameters
    ----------
    sources : iterable of Path
        Case folders, files of cases, folders of cases.  The files of one case, given one by
        one, are one case.
    request : Request

    Returns
    -------
    list of Planned
        In the order asked for.
    """
    return find_distinct(sources, lambda files: _occupied(files, request), request.images)


def find_distinct(
    sources: Iterable[Path],
    refuse: Callable[[CaseFiles], str | None],
    images: Mapping[str, str] = MappingProxyType({}),
) -> list[Planned]:
    """Find the cases, each under a name of its own.

    Parameters
    ----------
    sources : iterable of Path
        As in `plan`.
    refuse : callable
        Says in one sentence why a case is not wanted, or None.
    images : mapping of str to str, optional
        A file for each modality where ``sources`` is empty, else a pattern of names.

    Returns
    -------
    list of Planned
        In the order asked for.
    """
    from napari_gliocam.io.naming import safe_name

    planned: list[Planned] = []
    seen: dict[str, tuple[Path, tuple[Path, ...]]] = {}
    for source, found in _found(list(sources), images):
        for item in found:
            if item.files is None:
                planned.append(item)
                continue
            paths = tuple(path.resolve() for path in item.files.paths)
            name = safe_name(item.name).casefold()
            first = seen.get(name)
            if first is None:
                seen[name] = (source, paths)
                error = refuse(item.files)
            elif first[1] == paths:
                continue  # the same case again, or another file of it
            else:
                error = (
                    f'Two cases are called "{item.name}" ({first[0]} and {source}) and results go '
                    "by the name; give them in two calls with different --out."
                )
            planned.append(replace(item, files=None, error=error) if error else item)
    return planned


def _found(
    sources: Sequence[Path], images: Mapping[str, str]
) -> Iterator[tuple[Path, list[Planned]]]:
    for source in sources:
        yield source, _find(source, images)
    if not sources and images:
        source = Path(next(iter(images.values())))
        try:
            files = named_case(None, images)
        except GliocamError as error:
            yield source, [Planned(source.name, source, error=str(error))]
        else:
            yield source, [Planned(files.name, source, files)]


def named_case(case: Path | None, images: Mapping[str, str]) -> CaseFiles:
    """Find one case, by its folder or file, or by the images that were named.

    Raises
    ------
    GliocamError
        There is none, or it cannot be read as it is.
    """
    from napari_gliocam.case import Modality
    from napari_gliocam.io import case_of_files, find_case, find_cases

    if case is None:
        return case_of_files({Modality(name): Path(text) for name, text in images.items()})
    if not images or not case.is_dir():
        return find_case(case)
    (files, *others) = find_cases(case, patterns=_patterns(images))
    if others:
        raise CaseError(f"{case} holds {len(others) + 1} cases; name the folder of one.")
    if files.problem:
        raise CaseError(files.problem)
    return files


def _patterns(images: Mapping[str, str]) -> dict[Modality, str]:
    """Return patterns of file names; a path to a file stands for its name alone."""
    from napari_gliocam.case import Modality

    return {
        Modality(name): escape(Path(text).name) if Path(text).expanduser().is_file() else text
        for name, text in images.items()
    }


def _find(source: Path, images: Mapping[str, str]) -> list[Planned]:
    from napari_gliocam.io import find_cases

    try:
        cases = find_cases(source, patterns=_patterns(images))
    except GliocamError as error:
        return [Planned(source.name or str(source), source, error=str(error))]
    except OSError as error:
        sentence = f"{source} cannot be read ({error.strerror or error}); check the path."
        return [Planned(source.name or str(source), source, error=sentence)]
    return [
        Planned(files.name, source, error=files.problem)
        if files.problem
        else Planned(files.name, source, files)
        for files in cases
    ]


def _occupied(files: CaseFiles, request: Request) -> str | None:
    """Why the results of a case could not be written, as far as can be told now."""
    from napari_gliocam.io.atomic import check_writable
    from napari_gliocam.io.sidecar import is_foreign, written_here

    targets = request.files_of(files.name)
    sources = {path.resolve() for path in files.paths}
    for path in targets:
        if path.resolve() in sources and not written_here(path):
            return f"{path} is one of the case's own files; choose another --out."
        if path.exists() and not request.overwrite:
            return f"{path} exists; choose another --out, or replace it (--overwrite)."
    labels, described, *_ = targets
    if labels.exists() and request.overwrite and not written_here(labels):
        return f"{labels} is no result of this program; choose another --out, or move it away."
    if is_foreign(described, labels):
        return f"{described} was not saved with {labels.name}; choose another --out."
    try:
        check_writable(labels.parent, [path.name for path in targets])
    except SaveError as error:
        return str(error)
    return None


def find_result(folder: Path, name: str) -> Path:
    """The labels of a case that were saved before.

    Parameters
    ----------
    folder : Path
    name : str
        Of the case: ``folder/CASE/CASE_seg.nii.gz`` as `segment` writes it,
        ``folder/CASE_seg.nii.gz``, ``folder/CASE_gliocam_seg.nii.gz`` as the panel suggests, or
        ``folder/CASE.nii.gz``; ``.nii`` too.

    Raises
    ------
    CaseError
        There are none.
    """
    from napari_gliocam.io.naming import RESULT_WORD, safe_name

    stem = safe_name(name)
    candidates = [
        folder / f"{path}{suffix}"
        for path in (f"{stem}/{stem}_seg", f"{stem}_seg", f"{stem}_{RESULT_WORD}_seg", stem)
        for suffix in (".nii.gz", ".nii")
    ]
    for path in candidates:
        if path.is_file():
            return path
    raise CaseError(
        f'There is no result of "{name}" in {folder}; segment it into that folder '
        f"first, or name the file {candidates[0].relative_to(folder)}."
    )


def open_bundle(request: Request) -> Bundle:
    """Load the bundle, after the cheap checks of what was asked for (imports torch).

    Raises
    ------
    GliocamError
        The bundle is damaged or foreign, or there is no such device.
    """
    from napari_gliocam.nets.bundle import read_bundle_info

    read_bundle_info(request.bundle)
    from napari_gliocam.device import choose_device
    from napari_gliocam.nets.bundle import load_bundle

    choose_device(request.device)
    return load_bundle(request.bundle)


def segment_case(
    item: Planned, request: Request, bundle: Bundle
) -> Generator[Progress, None, Outcome]:
    """Read, segment and save one case.

    Yields
    ------
    Progress

    Returns
    -------
    Outcome
        Failures are outcomes: only an interruption comes out of here.
    """
    started = time.perf_counter()
    try:
        return (yield from _segment_case(item, request, bundle, started))
    except Exception as error:  # one strange case must not stop the others
        sentence = sentence_of(error, item.name)
        return Outcome(item.name, item.source, error=sentence, trace=traceback.format_exc())


def sentence_of(error: Exception, name: str) -> str:
    """What a user reads of an error that a case met."""
    if isinstance(error, GliocamError):
        return str(error)
    if isinstance(error, MemoryError):
        return f'The memory does not suffice for "{name}"; close other programs.'
    return (
        f'"{name}" failed unexpectedly ({type(error).__name__}: {error}); '
        "run it again with --debug and report what is printed."
    )


def _segment_case(
    item: Planned, request: Request, bundle: Bundle, started: float
) -> Generator[Progress, None, Outcome]:
    from napari_gliocam.io import read_case
    from napari_gliocam.segmentation import segmenting

    if item.files is None:
        raise CaseError(item.error or f"{item.source} is no case.")
    yield Progress(0, 1, "reading")
    # Nobody looks at expert labels here, so their troubles stop nothing.
    case = read_case(replace(item.files, labels=None))
    segmentation = yield from segmenting(
        case,
        bundle=bundle,
        device=request.device,
        thresholds=request.thresholds_for(bundle.info),
        refinement=request.refinement,
    )
    yield Progress(0, 1, "saving")
    files = _save(segmentation, case, request)
    provenance = segmentation.maps.provenance
    facts = {
        "volumes_ml": segmentation.volumes_ml,
        "missing_modalities": provenance.get("missing_modalities", []),
        "slices": provenance.get("slices"),
        "settings": asdict(segmentation.settings),
        "refinement": request.refinement.used,
        "bundle": bundle.info.name,
        "device": provenance.get("device"),
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": list(case.warnings),
    }
    return Outcome(item.name, item.source, tuple(files), facts)


def _save(segmentation: Any, case: Any, request: Request) -> list[Path]:
    """Write everything or, where something fails, leave nothing new behind.

    With ``overwrite`` each of the two, maps and labels with json, is replaced whole or not at all.
    """
    from napari_gliocam.io import save_maps, save_segmentation

    labels, *_ = request.files_of(case.name)
    folder_was_there = labels.parent.exists()
    maps: list[Path] = []
    with uninterrupted():
        try:
            if request.save_maps:
                maps = save_maps(segmentation.maps, case, labels.parent, request.overwrite)
            written = save_segmentation(
                segmentation, labels, case=case, overwrite=request.overwrite
            )
        except BaseException:
            if not request.overwrite:
                for path in maps:
                    path.unlink(missing_ok=True)
            if not folder_was_there:
                with suppress(OSError):
                    labels.parent.rmdir()
            raise
    return [*written, *maps]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, so that files come whole and together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
