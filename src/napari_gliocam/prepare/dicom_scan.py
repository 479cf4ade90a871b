"""Find the series of a DICOM folder by content, whatever its files are called."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.errors import CaseError
from napari_gliocam.io.naming import readable
from napari_gliocam.prepare.dicom_geometry import Frame, Stack, stack_frames
from napari_gliocam.prepare.dicom_kind import parameters_of, tell_modality, why_not
from napari_gliocam.prepare.extras import import_pydicom
from napari_gliocam.prepare.series import Series, SeriesVolume, volume_of
from napari_gliocam.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What is read of every file; the rest, pixels and all names, stays on disk.
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "ProtocolName",
    "SeriesNumber",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "EncryptedAttributesSequence",
]
#: SOP class of a DICOMDIR.
_DIRECTORY = "1.2.840.10008.1.3.10"
_MOST_COVER_MM = 170.0
_FOREIGN = "in a transfer syntax that no installed package decodes"
#: No series with fewer slices shows a brain.
_FEWEST = 5


@dataclass(frozen=True)
class ScannedSeries:
    """Series of a folder.

    Parameters
    ----------
    series : tuple of Series
        Those that may be one of the four sequences.
    left_out : tuple of str
        The others, one sentence each.
    """

    series: tuple[Series, ...] = ()
    left_out: tuple[str, ...] = ()


def scan_dicom(paths: Sequence[Path], where: str) -> ScannedSeries:
    """Sort DICOM files into series.

    Parameters
    ----------
    paths : sequence of Path
        Files that begin as DICOM does.
    where : str
        What messages call the folder.

    Raises
    ------
    CaseError
        Two patients or two examinations.
    GliocamError
        The extra ``dicom`` is not installed.
    """
    pydicom = import_pydicom("read DICOM")

    def read(path: Path) -> tuple[Path, Any]:
        try:
            return path, pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=_TAGS, force=True
            )
        except Exception as error:  # pydicom raises what a damaged file makes of it
            return path, error

    with ThreadPoolExecutor(8) as pool:
        headers = list(pool.map(read, paths))
    classes = [_class_of(header) for _, header in headers]
    broken = [path for (path, _), kind in zip(headers, classes, strict=True) if not kind]
    good = [one for one, kind in zip(headers, classes, strict=True) if kind not in ("", _DIRECTORY)]
    _refuse_two([header for _, header in good], where)
    groups: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    for path, header in good:
        groups[str(getattr(header, "SeriesInstanceUID", ""))].append((path, header))
    series: list[Series] = []
    left_out: list[str] = []
    if broken:
        left_out.append(
            f"{counted(len(broken), 'file')} cannot be read, the first is "
            f"{readable(broken[0].name)}; copy or export them again."
        )
    for files in sorted(groups.values(), key=_number):
        name = _name(files[0][1])
        reason = why_not(files[0][1]) or _unreadable(files[0][1])
        if reason:
            left_out.append(f"{name} is left out: it is {reason}.")
            continue
        try:
            series.append(_series(name, files))
        except CaseError as error:
            left_out.append(f"{name} is left out: {error}.")
    return ScannedSeries(tuple(series), tuple(left_out))


def _unreadable(header: Any) -> str | None:
    """Return why the pixels of a series cannot be decoded, as the end of a sentence."""
    from pydicom.pixels.decoders.base import get_decoder

    if hasattr(header, "EncryptedAttributesSequence"):
        return "encrypted"
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None or (syntax.is_transfer_syntax and not syntax.is_compressed):
        return None
    try:
        readable_here = get_decoder(syntax).is_available
    except NotImplementedError:
        readable_here = False
    return None if readable_here else f"{_FOREIGN} ({syntax.name})"


def _class_of(header: Any) -> str:
    """Return the SOP class of a file, empty where it has none and where it could not be read."""
    meta = getattr(header, "file_meta", None)
    found = getattr(header, "SOPClassUID", None)
    return str(found or getattr(meta, "MediaStorageSOPClassUID", None) or "")


def _refuse_two(headers: Sequence[Any], where: str) -> None:
    def values(*names: str) -> set[str]:
        found = set()
        for header in headers:
            texts = (str(getattr(header, name, "") or "").strip() for name in names)
            found.add(next((text for text in texts if text), ""))
        return found - {""}

    if len(values("PatientID", "PatientName")) > 1:
        raise CaseError(f"{where} holds images of more than one patient; choose a folder of one.")
    if len(values("StudyInstanceUID")) > 1:
        raise CaseError(
            f"{where} holds more than one examination; choose a folder of one examination."
        )


def _number(files: Sequence[tuple[Path, Any]]) -> tuple[int, str]:
    number = getattr(files[0][1], "SeriesNumber", None)
    return (int(number) if number is not None else 1 << 30, str(files[0][0]))


def _name(header: Any) -> str:
    described = str(getattr(header, "SeriesDescription", "") or "").strip()
    number = getattr(header, "SeriesNumber", None)
    name = described or "Unnamed series"
    return readable(f"{name} ({number})" if number is not None else name)


def _series(name: str, files: Sequence[tuple[Path, Any]]) -> Series:
    """Make a series of its instances; raise `CaseError` with the end of a sentence."""
    frames = [frame for path, header in files for frame in _frames(path, header)]
    stack = stack_frames(frames)
    if len(stack.frames) < _FEWEST:
        raise CaseError(f"it has {len(stack.frames)} slices, too few for a brain")
    modality, reason = tell_modality(parameters_of(files[0][1]))
    across = float(np.linalg.norm(stack.grid.affine[:3, 2])) * len(stack.frames)
    paths = tuple(dict.fromkeys(frame.path for frame in stack.frames))
    cover = (min(across, _MOST_COVER_MM), 1 / stack.grid.voxel_ml)
    return Series(name, paths, modality, reason, cover, stack)


def _frames(path: Path, header: Any) -> Iterable[Frame]:
    size = int(header.Rows), int(header.Columns)
    uid = str(getattr(header, "SOPInstanceUID", ""))
    per_frame = getattr(header, "PerFrameFunctionalGroupsSequence", None)
    if not per_frame:
        if int(getattr(header, "NumberOfFrames", 1) or 1) > 1:
            raise CaseError("its frames have no places")
        yield _frame(path, 0, size, uid, [header])
        return
    shared = getattr(header, "SharedFunctionalGroupsSequence", None)
    for index, item in enumerate(per_frame):
        groups = [item, *(shared[:1] if shared else ())]
        parts = [
            sequence[0]
            for group in groups
            for name in (
                "PlanePositionSequence",
                "PlaneOrientationSequence",
                "PixelMeasuresSequence",
                "PixelValueTransformationSequence",
            )
            if (sequence := getattr(group, name, None))
        ]
        yield _frame(path, index, size, uid, [*parts, header])


def _frame(path: Path, index: int, size: tuple[int, int], uid: str, parts: Sequence[Any]) -> Frame:
    def of(name: str, count: int) -> np.ndarray:
        for part in parts:
            value = getattr(part, name, None)
            if value is not None and len(value) == count:
                return np.array([float(v) for v in value])
        raise CaseError("its slices do not say where they lie")

    def number(name: str, usual: float) -> float:
        values = (getattr(part, name, None) for part in parts)
        return next((float(value) for value in values if value is not None), usual)

    row, column = of("PixelSpacing", 2)
    if min(row, column) <= 0:
        raise CaseError("its pixels have no size")
    return Frame(
        path,
        index,
        of("ImagePositionPatient", 3),
        of("ImageOrientationPatient", 6),
        (float(row), float(column)),
        size,
        number("RescaleSlope", 1.0),
        number("RescaleIntercept", 0.0),
        uid,
    )


def read_dicom(series: Series) -> SeriesVolume:
    """Decode the pixels of a series.

    Raises
    ------
    CaseError
        A file has no pixels, is damaged, or is compressed in a way that no installed package
        decodes.
    """
    pydicom = import_pydicom("read DICOM")
    stack = series.stack
    assert isinstance(stack, Stack)

    def decode(path: Path) -> np.ndarray:
        try:
            dataset = pydicom.dcmread(path, force=True)
            if "PixelData" not in dataset:
                raise CaseError(
                    f"{readable(path.name)} of {series.name} has no pixel data; export the series "
                    "again, or move it out of the folder."
                )
            pixels: np.ndarray = dataset.pixel_array
        except CaseError:
            raise
        except Exception as error:  # the codecs raise errors of their own
            raise CaseError(
                f"{readable(path.name)} of {series.name} cannot be decoded "
                f"({type(error).__name__}); export the series again, without compression, or move "
                "it out of the folder."
            ) from error
        return pixels if pixels.ndim == 3 else pixels[None]

    with ThreadPoolExecutor(4) as pool:
        decoded = dict(zip(series.paths, pool.map(decode, series.paths), strict=True))
    rows, columns = stack.frames[0].size
    array = np.empty((columns, rows, len(stack.frames)), dtype=np.float32)
    for index, frame in enumerate(stack.frames):
        plane = decoded[frame.path][frame.index]
        if plane.shape != frame.size:
            raise CaseError(
                f"{readable(frame.path.name)} of {series.name} has another size than its header "
                "says; export the series again, or move it out of the folder."
            )
        array[..., index] = plane.T * np.float32(frame.slope) + np.float32(frame.intercept)
    return volume_of(series.name, array, stack.grid.affine)
