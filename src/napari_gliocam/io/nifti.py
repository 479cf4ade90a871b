"""One NIfTI file, decoded whole and checked, so that nothing is silently repaired.

nibabel reads a header, but mends what is wrong in it (a zero voxel size becomes 1) and reads
compressed data through Python's buffers.  Here the file is inflated in one call that leaves
the interpreter free, so several files are decoded at once.
"""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import logging
import math
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from nibabel.spatialimages import HeaderDataError

from napari_gliocam.errors import CaseError
from napari_gliocam.io.regular import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: No head with its neck is longer in mm, and no image of one is shorter.
LARGEST_MM, SMALLEST_MM = 600.0, 2.0
#: Four times as many voxels as a head at 0.4 mm.
MOST_VOXELS = 400_000_000
#: Bytes that may follow the voxels in a file.
_SLACK = 1 << 16
_UNITS = {1: "metres", 3: "micrometres"}
_GZIP_MAGIC = b"\x1f\x8b"
_HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
#: Bytes of the longer header.
_HEAD = 540
_AGAIN = "copy or export it again"

# nibabel reports what it mends to a logger; everything that matters is an error here.
_silent = logging.getLogger(f"{__name__}.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """A decoded NIfTI file.

    Parameters
    ----------
    path : Path
        The file.
    header : nibabel Nifti1Header or Nifti2Header
        In native byte order.
    affine : ndarray of float64, shape (4, 4)
        Voxel index to RAS+ mm: sform, else qform, else the voxel size alone.
    array : ndarray, 3-D or 4-D
        Values in the file's axes, scaled, in native byte order: the file's integers where
        nothing scales them, else float32.  May be read-only.
    oriented : bool
        False where the file has neither sform nor qform, so that left and right are assumed.
    notes : tuple of str
        What is odd about the file, a sentence each.
    """

    path: Path
    header: Any
    affine: NDArray[np.float64]
    array: NDArray[Any]
    oriented: bool
    notes: tuple[str, ...] = ()


def load_nifti(path: Path) -> NiftiFile:
    """Read and decode one file, ``.nii`` or ``.nii.gz``, NIfTI-1 or 2, either byte order.

    Raises
    ------
    CaseError
        Missing, unreadable, cut off or not a NIfTI; no real numbers in it (RGB, complex);
        no voxels, or more than a head has; a voxel size or an affine that cannot be.
    """
    packed = read_regular(path)
    # The header first: a small file may inflate to more than the memory holds.
    zipped = packed.startswith(_GZIP_MAGIC)  # the content tells, not the name: both lie at times
    head = _head_of(packed, path)
    header = _header(head, path)
    affine, oriented = _affine(header, path)
    layout = _layout(header, head, path)
    _check_size(layout, affine, header, path)
    raw = packed
    notes: tuple[str, ...] = ()
    if zipped:
        raw, notes = _inflated(packed, path, most=layout.stop + _SLACK)
    if note := _opposed(header, path):
        notes = (*notes, note)
    return NiftiFile(path, header, affine, _array(raw, layout, path), oriented, notes)


def load_header(path: Path) -> Any:
    """Read the header of a file alone, in native byte order; raise `CaseError` if there is none."""
    return _header(_head_of(read_regular(path), path), path)


def _head_of(packed: bytes, path: Path) -> bytes:
    if not packed.startswith(_GZIP_MAGIC):
        return packed
    return _inflated(packed, path, most=_HEAD, partly=True)[0]


def _inflated(
    packed: bytes, path: Path, *, most: int, partly: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """Inflate all members of a gzip stream, but never more than ``most`` bytes.

    With ``partly`` the rest is left where there is more; else that is an error.
    """
    parts: list[bytes] = []
    total = 0
    rest = packed
    notes: tuple[str, ...] = ()
    try:
        while True:
            stream = zlib.decompressobj(wbits=31)  # gzip, with its checksum
            parts.append(stream.decompress(rest, most + 1 - total))
            total += len(parts[-1])
            if total > most:
                if partly:
                    break
                raise CaseError(
                    f"{path.name} inflates to more than the {most - _SLACK:,} bytes that its "
                    f"header announces; {_AGAIN}."
                )
            if not stream.eof:
                raise EOFError
            rest = stream.unused_data.lstrip(b"\0")  # padding of tapes
            if not rest:
                break
            if not rest.startswith(_GZIP_MAGIC):
                notes = (f"{path.name} goes on behind its compressed data; this was not read.",)
                break
    except (EOFError, zlib.error) as error:
        if partly and total >= _HEAD:
            return b"".join(parts), ()
        raise CaseError(
            f"{path.name} is cut off or damaged: its compressed data cannot be read to the end; "
            f"{_AGAIN}."
        ) from error
    return parts[0] if len(parts) == 1 else b"".join(parts), notes


def _header(raw: bytes, path: Path) -> Any:
    if not raw:
        raise CaseError(f"{path.name} is empty; {_AGAIN}.")
    kind = _HEADERS.get(int.from_bytes(raw[:4], _stored_order(raw)))
    if kind is None:
        raise CaseError(f"{path.name} is not a NIfTI file; convert it to .nii or .nii.gz.")
    if len(raw) < kind.sizeof_hdr:
        raise CaseError(f"{path.name} is cut off within its header; {_AGAIN}.")
    try:
        order = "<" if _stored_order(raw) == "little" else ">"
        # Without the extensions, which may hold what a scanner wrote about the patient.
        header: Any = kind(raw[: kind.sizeof_hdr], endianness=order, check=False)
        if header["magic"].item() != kind.single_magic:
            raise CaseError(
                f"{path.name} is not a NIfTI file with its data inside; "
                "convert it to one .nii or .nii.gz file."
            )
        sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
        # A good affine counts more than the sign of a size, which some programs turn round.
        usable = sizes != 0 if header["sform_code"] > 0 else sizes > 0
        if not np.all(np.isfinite(sizes) & usable):
            listed = " × ".join(f"{size:g}" for size in sizes)
            raise CaseError(
                f"{path.name} has a voxel size of {listed} mm; "
                "all three must be positive: correct its header or export it again."
            )
        header.check_fix(logger=_silent, error_level=40)
    except (HeaderDataError, ValueError, TypeError, OverflowError) as error:
        raise CaseError(f"{path.name} has a damaged header ({error}); {_AGAIN}.") from error
    return header.as_byteswapped("<" if sys.byteorder == "little" else ">")


def _affine(header: Any, path: Path) -> tuple[NDArray[np.float64], bool]:
    try:
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise CaseError(
            f"{path.name} has an orientation that cannot be ({error}); "
            "correct its header or export it again."
        ) from error
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    # Relative to the voxel's edges, so that thin voxels are no less regular than cubes.
    flat = not np.all(np.isfinite(affine)) or not np.all(lengths > 0)
    if flat or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise CaseError(
            f"{path.name} has an affine without volume (zero or invalid voxel size); "
            "correct its header or export it again."
        )
    return affine, bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _opposed(header: Any, path: Path) -> str | None:
    """Say that sform and qform put left on opposite sides; None where they agree."""
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return None
    try:
        with np.errstate(all="ignore"):
            forms = [io_orientation(header.get_sform()), io_orientation(header.get_qform())]
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None  # the qform is not used
    sides = [tuple(form[form[:, 0] == 0].ravel().tolist()) for form in forms]
    if sides[0] == sides[1] and np.array_equal(*forms):
        return None
    where = "turn the slices differently" if sides[0] == sides[1] else "put left on opposite sides"
    return (
        f"The two orientations in {path.name} (sform and qform) {where}; the sform is used, check "
        "that left is left."
    )


@dataclass(frozen=True)
class _Layout:
    """The position of the voxels in a file.

    Parameters
    ----------
    shape : tuple of int
        At least three axes.
    dtype : numpy dtype
        As stored.
    offset : int
        Bytes before the first voxel.
    slope, inter : float or None
        Scaling of stored values; None where the header has none.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float | None
    inter: float | None

    @property
    def stop(self) -> int:
        """Bytes up to the last voxel."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def _layout(header: Any, raw: bytes, path: Path) -> _Layout:
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        slope, inter = header.get_slope_inter()
        offset = int(header.get_data_offset())
    except (HeaderDataError, ValueError, OverflowError, KeyError) as error:
        raise CaseError(f"{path.name} has a damaged header ({error}); {_AGAIN}.") from error
    if not 0 <= offset <= MOST_VOXELS:
        raise CaseError(f"{path.name} has a damaged header (data offset {offset}); {_AGAIN}.")
    if dtype.fields is not None:
        raise CaseError(f"{path.name} is a colour (RGB) image; export the grey-value volume.")
    if dtype.kind == "c":
        raise CaseError(f"{path.name} holds complex numbers; export the magnitude image.")
    if dtype.kind not in "iuf":
        raise CaseError(f"{path.name} holds {dtype} values; convert it to whole or real numbers.")
    # The byte order was turned in the header alone, so the voxels need the file's own.
    stored = dtype.newbyteorder(_stored_order(raw))
    return _Layout(_volume_shape(shape, path), stored, offset, slope, inter)


def _check_size(layout: _Layout, affine: NDArray[np.float64], header: Any, path: Path) -> None:
    """Refuse what is no image of a head by its size, before the voxels are decoded."""
    edges = np.linalg.norm(affine[:3, :3], axis=0) * layout.shape[:3]
    if not SMALLEST_MM <= edges.max() <= LARGEST_MM:
        size = " × ".join(f"{edge:.4g}" for edge in edges)
        unit = _UNITS.get(int(header["xyzt_units"]) & 7)
        counted = f"is in {unit} and " if unit else ""
        raise CaseError(
            f"{path.name} {counted}would be {size} mm large, as no head is; correct the voxel size "
            "in its header, which counts in mm."
        )
    count = math.prod(layout.shape)
    if count > MOST_VOXELS:
        raise CaseError(
            f"{path.name} has {count:,} voxels, more than any image of a head; resample it, or "
            "correct its header."
        )


def _array(raw: bytes, layout: _Layout, path: Path) -> NDArray[Any]:
    count = math.prod(layout.shape)
    if len(raw) < layout.stop:
        wanted = layout.stop - layout.offset
        raise CaseError(
            f"{path.name} is cut off: {max(len(raw) - layout.offset, 0):,} of {wanted:,} "
            f"bytes of voxels are there; {_AGAIN}."
        )
    array = np.frombuffer(raw, layout.dtype, count, layout.offset)
    return _scaled(array.reshape(layout.shape, order="F"), layout.slope, layout.inter)


def _volume_shape(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """Return at least three axes, without trailing ones of length 1."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2 or min(shape) < 1:
        listed = " × ".join(map(str, shape)) or "0"
        raise CaseError(f"{path.name} has no voxels (its size is {listed}); {_AGAIN}.")
    return shape if len(shape) > 2 else (*shape, 1)


def _stored_order(raw: bytes) -> Literal["little", "big"]:
    """Tell the byte order by the header's size, the first number of a NIfTI file."""
    return "little" if int.from_bytes(raw[:4], "little") in _HEADERS else "big"


def _scaled(array: NDArray[Any], slope: float | None, inter: float | None) -> NDArray[Any]:
    slope = 1.0 if slope is None else slope
    inter = 0.0 if inter is None else inter
    if (slope, inter) == (1.0, 0.0) and array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    # A float64 beyond float32's range becomes inf, and is cleaned and counted as such.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = array.astype(np.float32)
        if slope != 1.0:
            scaled *= np.float32(slope)
        if inter != 0.0:
            scaled += np.float32(inter)
    return scaled
