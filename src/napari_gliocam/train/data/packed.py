"""Prepared slices of a case in one compressed file, each slice readable by itself.

A training reads slices in any order; a slice costs one seek and the unpacking of some 40 kB.
The file: ``GLIOCAM2``, five uint32 (slices, channels, rows, columns, label columns), the labels
(a byte each), one more offset (uint64) than slices, then each slice: float16, its bytes sorted by
significance, deflated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.train.data.slice_set import SliceSet

#: Ending of the names of packed files.
SUFFIX = ".slices"
_MAGIC = b"GLIOCAM2"
_HEAD = struct.Struct("<8s5I")
_DAMAGED = (ValueError, struct.error, zlib.error)
#: Places in a packed file and labels (n, 3) of some of its slices.
Chosen = tuple[NDArray[np.int64], NDArray[np.float32]]


class _Head(NamedTuple):
    """Shape of the slices, labels (N, L) and offsets (N + 1) of a packed file."""

    shape: tuple[int, int, int]
    labels: NDArray[np.uint8]
    offsets: NDArray[np.uint64]


def pack_slices(
    images: NDArray[np.floating], file: Path, labels: NDArray[np.floating] | None = None
) -> None:
    """Write slices to a file, whole or not at all.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        The slices; stored as float16.
    file : Path
        The file to write.
    labels : ndarray, (N, L), optional
        Image-level labels, 0 or 1, to keep with the slices.

    Raises
    ------
    SaveError
        If the file cannot be written, for example on a full disk.
    """
    blocks = [zlib.compress(_sorted_bytes(image), 1) for image in images.astype(np.float16)]
    kept = np.zeros((len(images), 0)) if labels is None else labels
    head = _HEAD.pack(_MAGIC, *images.shape, kept.shape[1]) + kept.astype(np.uint8).tobytes()
    first = len(head) + 8 * (len(blocks) + 1)
    offsets = first + np.cumsum([0, *map(len, blocks)])
    content = b"".join((head, offsets.astype("<u8").tobytes(), *blocks))
    write_files({file: content}, overwrite=True)


def is_whole(file: Path) -> bool:
    """Return True if the file is there and as long as its own header says."""
    with suppress(OSError, *_DAMAGED), file.open("rb") as stream:
        return int(_head(stream).offsets[-1]) == file.stat().st_size
    return False


class PackedSlices:
    """Slices of many packed files as one array, read from disk row by row.

    Memory is 8 bytes a slice, whatever the slices hold; each worker opens the files itself.

    Parameters
    ----------
    files : sequence of Path
        The packed files.
    part, place : ndarray of int, (N,)
        For each row the index of its file in ``files`` and of its slice in that file.
    shape : (C, H, W)
        Shape of the slices handed out: smaller ones are centred with air around them, larger
        ones are cut.
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
            chosen = np.flatnonzero(parts == part)
            images = _read(self._files[part], self._place[rows[chosen]].tolist())
            for row, image in zip(chosen, images, strict=True):
                _centre(image, out[row])
        return out

    def digest(self) -> str:
        """Return a text that changes with the contents of the files and with the chosen slices.

        The folder of the files plays no part, so that they may be moved.
        """
        digest = sha256(self._part.tobytes() + self._place.tobytes())
        for file in self._files:
            digest.update(f"{file.name} {file.stat().st_size}".encode())
        return digest.hexdigest()[:16]


def open_slices(
    files: Sequence[Path],
    numbers: Sequence[int],
    *,
    side: int = 16,
    names: tuple[str, ...] = (),
    chosen: Sequence[Chosen] = (),
) -> SliceSet:
    """Open packed files as one set of slices.

    Parameters
    ----------
    files : sequence of Path
        At least one whole file.
    numbers : sequence of int
        Number of the case of each file, below 0 for a synthetic one.
    side : int
        Rows and columns handed out are multiples of this, large enough for every file.
    names : tuple of str
        Names of the real cases by number.
    chosen : sequence of Chosen
        Slices to take of the first files, with their labels; of the others all are taken, with the
        labels that the files keep.
    """
    heads = []
    for file in files:
        with _readable(file), file.open("rb") as stream:
            heads.append(_head(stream))
    rest = (
        (np.arange(len(head.labels)), head.labels.astype(np.float32))
        for head in heads[len(chosen) :]
    )
    places, labels = zip(*chosen, *rest, strict=True)
    height, width = (-(-max(head.shape[axis] for head in heads) // side) * side for axis in (1, 2))
    counts = [len(part) for part in places]
    images = PackedSlices(
        files,
        np.repeat(np.arange(len(files)), counts),
        np.concatenate(places),
        (heads[0].shape[0], height, width),
    )
    case = np.repeat(np.asarray(numbers, dtype=np.int64), counts)
    return SliceSet(images, np.concatenate(labels), case, names)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn the errors of a packed file into a sentence; a damaged file is removed."""
    remedy = "start the training again, the slices are then prepared anew"
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f'The prepared slices "{file}" cannot be read ({error.strerror}); {remedy}.'
        ) from error
    except _DAMAGED as error:
        with suppress(OSError):  # a copy of what the case's own files hold
            file.unlink()
        raise TrainingError(
            f'The prepared slices "{file}" are damaged ({error}); {remedy}.'
        ) from error


def _read(file: Path, places: Sequence[int]) -> list[NDArray[np.float16]]:
    with _readable(file), file.open("rb") as stream:
        head = _head(stream)
        return [_slice(stream, head, place) for place in places]


def _head(stream: BinaryIO) -> _Head:
    magic, count, *shape, columns = _HEAD.unpack(stream.read(_HEAD.size))
    if magic != _MAGIC or count > 10**6 or columns > 8:
        raise ValueError("not a file of slices")
    labels = np.frombuffer(stream.read(count * columns), dtype=np.uint8)
    offsets = np.frombuffer(stream.read(8 * (count + 1)), dtype="<u8")
    if len(offsets) != count + 1:
        raise ValueError("the file ends early")
    return _Head((shape[0], shape[1], shape[2]), labels.reshape(count, columns), offsets)


def _slice(stream: BinaryIO, head: _Head, place: int) -> NDArray[np.float16]:
    if not 0 <= place < len(head.labels):
        raise ValueError("no such slice")
    start, stop = head.offsets[place : place + 2].tolist()
    stream.seek(start)
    raw = np.frombuffer(zlib.decompress(stream.read(stop - start)), dtype=np.uint8)
    return raw.reshape(2, -1).T.copy().view("<f2").reshape(head.shape)


def _sorted_bytes(image: NDArray[np.float16]) -> bytes:
    """Return all low bytes, then all high bytes: the high ones repeat and deflate well."""
    return image.astype("<f2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _centre(image: NDArray[np.float16], out: NDArray[np.float16]) -> None:
    """Copy a slice into the middle of an array of another shape."""
    spans = []
    for size, room in zip(image.shape[1:], out.shape[1:], strict=True):
        gap = (room - size) // 2
        into = slice(max(gap, 0), max(gap, 0) + min(size, room))
        spans.append((slice(max(-gap, 0), max(-gap, 0) + min(size, room)), into))
    (from_r, into_r), (from_c, into_c) = spans
    out[:, into_r, into_c] = image[:, from_r, from_c]
