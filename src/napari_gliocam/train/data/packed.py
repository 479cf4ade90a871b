"""Prepared slices of a case in one compressed file, each slice readable by itself.

A training reads slices in any order; a slice costs one seek and the unpacking of some 40 kB.
The file: ``GLIOCAM1``, four uint32 (slices, channels, rows, columns), one more offset (uint64) than
slices, then each slice: float16, its bytes sorted by significance, deflated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_files

_MAGIC = b"GLIOCAM1"
_HEAD = struct.Struct("<8s4I")


def pack_slices(images: NDArray[np.floating], file: Path) -> None:
    """Write slices, whole or not at all.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        Stored as float16.
    file : Path

    Raises
    ------
    SaveError
        If it cannot be written, such as on a full disk.
    """
    blocks = [zlib.compress(_sorted_bytes(image), 1) for image in images.astype(np.float16)]
    head = _HEAD.pack(_MAGIC, *images.shape)
    first = len(head) + 8 * (len(blocks) + 1)
    offsets = first + np.cumsum([0, *map(len, blocks)])
    content = b"".join((head, offsets.astype("<u8").tobytes(), *blocks))
    write_files({file: content}, overwrite=True)


class PackedSlices:
    """Slices of many packed files as one array, read from disk row by row.

    Memory is 8 bytes a slice, whatever the slices hold; each worker opens files itself.

    Parameters
    ----------
    files : sequence of Path
    part, place : ndarray of int, (N,)
        Of each row: in which of the files, and the how-manieth slice there.
    shape : (C, H, W)
        Slices are centred in it, air around them; larger ones are cut.
    """

    def __init__(
        self,
        files: Sequence[Path],
        part: NDArray[np.integer],
        place: NDArray[np.integer],
        shape: tuple[int, int, int],
    ) -> None:
        self._files = list(files)
        self._part, self._place = part.astype(np.int32), place.astype(np.int32)
        self._shape = shape

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return (len(self._part), *self._shape)

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        rows = np.asarray(rows)
        out = np.zeros((len(rows), *self._shape), dtype=np.float16)
        parts = self._part[rows]
        for part in np.unique(parts):
            file = self._files[part]
            with _opened(file) as stream:
                for row in np.flatnonzero(parts == part):
                    _centre(_read(stream, file, int(self._place[rows[row]])), out[row])
        return out

    def digest(self) -> str:
        """Changes when a file is written anew or other slices are chosen."""
        digest = sha256(self._part.tobytes() + self._place.tobytes())
        for file in self._files:
            digest.update(f"{file.name} {file.stat().st_size}".encode())
        return digest.hexdigest()[:16]


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise TrainingError(
            f'The prepared slices "{file}" cannot be read ({error.strerror}); start again, they '
            "are then prepared anew."
        ) from error


def _read(stream: BinaryIO, file: Path, place: int) -> NDArray[np.float16]:
    try:
        stream.seek(0)
        magic, count, *shape = _HEAD.unpack(stream.read(_HEAD.size))
        if magic != _MAGIC or not 0 <= place < count:
            raise ValueError("no such slice")
        stream.seek(_HEAD.size + 8 * place)
        start, stop = np.frombuffer(stream.read(16), dtype="<u8").tolist()
        stream.seek(start)
        raw = np.frombuffer(zlib.decompress(stream.read(stop - start)), dtype=np.uint8)
        return raw.reshape(2, -1).T.copy().view("<f2").reshape(shape)
    except (ValueError, struct.error, zlib.error) as error:
        raise TrainingError(
            f'The prepared slices "{file}" are damaged ({error}); delete the file and start '
            "again, they are then prepared anew."
        ) from error


def _sorted_bytes(image: NDArray[np.float16]) -> bytes:
    """All low bytes, then all high bytes: the high ones repeat and deflate well."""
    return image.astype("<f2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _centre(image: NDArray[np.float16], out: NDArray[np.float16]) -> None:
    """Lay a slice into the middle of another shape."""
    spans = []
    for size, room in zip(image.shape[1:], out.shape[1:], strict=True):
        gap = (room - size) // 2
        into = slice(max(gap, 0), max(gap, 0) + min(size, room))
        spans.append((slice(max(-gap, 0), max(-gap, 0) + min(size, room)), into))
    (from_r, into_r), (from_c, into_c) = spans
    out[:, into_r, into_c] = image[:, from_r, from_c]
