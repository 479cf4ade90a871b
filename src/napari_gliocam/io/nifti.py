"""One NIfTI file, decoded whole and checked, so that nothing is silently repaired.

nibabel reads a header, but mends what is wrong in it (a zero voxel size becomes 1) and reads
compressed data through Python's buffers.  Here the file is inflated in one call that leaves
the interpreter free, so several files are decoded at once.
"""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

import gzip
import logging
import math
import sys
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from napari_gliocam.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_GZIP_MAGIC = b"\x1f\x8b"
_HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
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
    header : nibabel Nifti1Header or Nifti2Header
        In native byte order.
    affine : ndarray of float64, shape (4, 4)
        Voxel index to RAS+ mm: sform, else qform, else the voxel size alone.
    array : ndarray, 3-D or 4-D
        Values in the file's axes, scaled, in native byte order: the file's integers where
        nothing scales them, else float32.  May be read-only.
    oriented : bool
        False where the file has neither sform nor qform, so that left and right are assumed.
    """

    path: Path
    header: Any
    affine: NDArray[np.float64]
    array: NDArray[Any]
    oriented: bool


def load_nifti(path: Path) -> NiftiFile:
    """Read and decode one file, ``.nii`` or ``.nii.gz``, NIfTI-1 or 2, either byte order.

    Raises
    ------
    CaseError
        Missing, unreadable, cut off or not a NIfTI; no real numbers in it (RGB, complex);
        no voxels; a voxel size or an affine that cannot be.
    """
    raw = _inflated(path)
    header = _header(raw, path)
    affine, oriented = _affine(header, path)
    return NiftiFile(path, header, affine, _array(raw, header, path), oriented)


def _inflated(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CaseError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CaseError(f"{path} cannot be read ({reason}); check the file.") from error
    if not raw.startswith(_GZIP_MAGIC):  # the content tells, not the name: both lie at times
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaseError(
            f"{path.name} is cut off or damaged: its compressed data cannot be read to the end; "
            f"{_AGAIN}."
        ) from error


def _header(raw: bytes, path: Path) -> Any:
    if not raw:
        raise CaseError(f"{path.name} is empty; {_AGAIN}.")
    kind = _HEADERS.get(int.from_bytes(raw[:4], _stored_order(raw)))
    if kind is None:
        raise CaseError(f"{path.name} is not a NIfTI file; convert it to .nii or .nii.gz.")
    if len(raw) < kind.sizeof_hdr:
        raise CaseError(f"{path.name} is cut off within its header; {_AGAIN}.")
    try:
        header: Any = kind.from_fileobj(BytesIO(raw), check=False)
        if header["magic"].item() != kind.single_magic:
            raise CaseError(
                f"{path.name} is not a NIfTI file with its data inside; "
                "convert it to one .nii or .nii.gz file."
            )
        sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
        if not np.all(np.isfinite(sizes) & (sizes > 0)):
            listed = " × ".join(f"{size:g}" for size in sizes)
            raise CaseError(
                f"{path.name} has a voxel size of {listed} mm; "
                "all three must be positive: correct its header or export it again."
            )
        header.check_fix(logger=_silent, error_level=40)
    except (HeaderDataError, ValueError, TypeError) as error:
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


def _array(raw: bytes, header: Any, path: Path) -> NDArray[Any]:
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        slope, inter = header.get_slope_inter()
        offset = int(header.get_data_offset())
    except (HeaderDataError, ValueError, OverflowError, KeyError) as error:
        raise CaseError(f"{path.name} has a damaged header ({error}); {_AGAIN}.") from error
    if dtype.fields is not None:
        raise CaseError(f"{path.name} is a colour (RGB) image; export the grey-value volume.")
    if dtype.kind == "c":
        raise CaseError(f"{path.name} holds complex numbers; export the magnitude image.")
    if dtype.kind not in "iuf":
        raise CaseError(f"{path.name} holds {dtype} values; convert it to whole or real numbers.")
    shape = _volume_shape(shape, path)
    count = math.prod(shape)
    if len(raw) < offset + count * dtype.itemsize:
        raise CaseError(
            f"{path.name} is cut off: {max(len(raw) - offset, 0):,} of {count * dtype.itemsize:,} "
            f"bytes of voxels are there; {_AGAIN}."
        )
    # The byte order was turned in the header alone, so the voxels need the file's own.
    stored = dtype.newbyteorder(_stored_order(raw))
    array = np.frombuffer(raw, stored, count, offset).reshape(shape, order="F")
    return _scaled(array, slope, inter)


def _volume_shape(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """At least three axes, without trailing ones of length 1."""
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
