"""Slices with image-level labels, the input of a training.  There is no mask in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import replacing
from napari_gliocam.targets import TARGETS


class Images(Protocol):
    """An array of slices, in memory or on disk: only rows are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float16]: ...


@runtime_checkable
class Digested(Protocol):
    """Images that can tell by themselves whether they are the same as before."""

    def digest(self) -> str:
        """Return a text that changes with the images."""


@dataclass(frozen=True, eq=False)
class SliceSet:
    """Training slices.

    Parameters
    ----------
    images : Images of float16, (N, 3, H, W)
        T1ce, T2 and FLAIR, normalised over the case as `napari_gliocam.slices.normalise` does: an
        array, `Shards`, or `napari_gliocam.train.data.packed.PackedSlices`.
    labels : ndarray of float32, (N, 3)
        Image-level labels: whether the slice shows tumour, core and edema.
    case : ndarray of int, (N,)
        Number of the case that a slice belongs to, for splits by patient.  Below 0: synthetic,
        never validated with.
    """

    images: Images
    labels: NDArray[np.float32]
    case: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.labels.shape != (n, 3) or self.case.shape != (n,):
            raise ValueError(
                f"{n} slices need labels (N, 3) and cases (N,), not {self.labels.shape} and "
                f"{self.case.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """Return a text that changes with slices, labels and cases; pixels are not read."""
        digest = sha256(repr(tuple(self.images.shape)).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype=np.float32).tobytes())
        digest.update(np.ascontiguousarray(self.case, dtype=np.int64).tobytes())
        if isinstance(self.images, Digested):
            digest.update(self.images.digest().encode())
        return digest.hexdigest()[:16]


class Shards:
    """Arrays in several files as one array, read from disk row by row.

    Parameters
    ----------
    files : sequence of Path
        Files ``.npy``, each (n_i, ...); memory-mapped, so that memory does not grow with their
        number.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._parts = [np.load(f, mmap_mode="r") for f in files]
        self._starts = np.cumsum([0, *(len(p) for p in self._parts)])

    def __reduce__(self) -> tuple[type[Shards], tuple[list[Path]]]:
        return Shards, (self._files,)  # a worker opens the files itself

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all parts together."""
        return (int(self._starts[-1]), *self._parts[0].shape[1:])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.asarray(rows)
        where = np.searchsorted(self._starts, rows, side="right") - 1
        out = np.empty((len(rows), *self.shape[1:]), dtype=self._parts[0].dtype)
        for part in np.unique(where):
            chosen = np.flatnonzero(where == part)
            out[chosen] = self._parts[part][rows[chosen] - self._starts[part]]
        return out


def save_slices(slices: SliceSet, folder: Path) -> Path:
    """Write slices as a shard: a folder that is there as a whole or not at all.

    Parameters
    ----------
    slices : SliceSet
        The slices to write.
    folder : Path
        The folder to make; it must not exist yet.

    Returns
    -------
    Path
        ``folder``.
    """
    with replacing(folder) as part:
        part.mkdir()
        np.save(part / "images.npy", slices.images[np.arange(len(slices))])
        np.save(part / "labels.npy", slices.labels)
        np.save(part / "case.npy", slices.case)
    return folder


def open_slices(folders: Sequence[Path]) -> SliceSet:
    """Open shards that `save_slices` wrote as one set; the images stay on disk.

    Parameters
    ----------
    folders : sequence of Path
        The folders of the shards.

    Returns
    -------
    SliceSet

    Raises
    ------
    TrainingError
        If there are none, or one is damaged.
    """
    if not folders:
        raise TrainingError("There are no slices to train with; make some or name their folders.")
    images, labels, case = [], [], []
    for folder in folders:
        try:
            images.append(folder / "images.npy")
            Shards(images[-1:])
            labels.append(np.load(folder / "labels.npy"))
            case.append(np.load(folder / "case.npy"))
        except (OSError, ValueError) as error:
            raise TrainingError(
                f'The slices in "{folder}" are missing or damaged ({error}); delete the folder '
                "and make them again."
            ) from error
    return SliceSet(Shards(images), np.concatenate(labels), np.concatenate(case))


def check_slices(slices: SliceSet) -> None:
    """Raise `TrainingError` if a label is the same everywhere: nothing could be learned."""
    for name, column in zip(TARGETS, slices.labels.T, strict=True):
        shown = int((column > 0).sum())
        if shown in (0, len(slices)):
            how = "none" if shown == 0 else "all"
            raise TrainingError(
                f"Of {len(slices)} slices {how} shows {name}; add cases until some do and some "
                "do not."
            )


def split_cases(
    slices: SliceSet, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split slices by patient into training and validation, in proportion to the labels.

    Parameters
    ----------
    slices : SliceSet
        All slices.
    fraction : float
        Part of the patients for validation; at least one patient if it is above 0.
    seed : int
        Seed of the choice.

    Returns
    -------
    train, validation : ndarray of int
        Rows of ``slices``, in order; a patient is in one of them only.  Synthetic cases (numbers
        below 0) are all in the first.

    Raises
    ------
    TrainingError
        If there are too few patients.
    """
    if fraction <= 0:
        return np.arange(len(slices)), np.arange(0)
    own = np.flatnonzero(slices.case >= 0)
    cases, patient = np.unique(slices.case[own], return_inverse=True)
    count = max(1, round(fraction * len(cases)))
    if count >= len(cases):
        raise TrainingError(
            f"{len(cases)} patients are too few to keep some for validation; add cases or set "
            "data.validation to 0."
        )
    # Sorted by labels, then by chance, every k-th is taken: each stratum gets its share.
    shows = [np.bincount(patient, column > 0) > 0 for column in slices.labels[own].T]
    chance = np.random.default_rng([seed, 16]).random(len(cases))
    order = np.lexsort((chance, *shows))
    chosen = order[((np.arange(count) + 0.5) * len(cases) / count).astype(int)]
    validates = np.isin(slices.case, cases[chosen])
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def drop_blank(slices: SliceSet, rows: NDArray[np.int64], batch: int = 256) -> NDArray[np.int64]:
    """Return the rows whose slice is not air alone; reads every slice once."""
    seen = [
        slices.images[rows[i : i + batch]].any(axis=(1, 2, 3)) for i in range(0, len(rows), batch)
    ]
    return rows[np.concatenate(seen)] if seen else rows
