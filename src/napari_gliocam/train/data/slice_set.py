"""Slices with image-level labels, the input of a training.  There is no mask in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.targets import TARGETS, Target


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
        array, or `napari_gliocam.train.data.packed.PackedSlices`.
    labels : ndarray of float32, (N, 3)
        Image-level labels: whether the slice shows tumour, core and edema.
    case : ndarray of int, (N,)
        Number of the case that a slice belongs to, for splits by patient.  Below 0: synthetic,
        never validated with.
    names : tuple of str
        Names of the real cases by number; empty where nobody needs them.
    position : ndarray of float32, (N,), or None
        Place of a slice along the axis of its case, in mm; None where it is not known.
    validated : frozenset of str or None
        Names of the cases to validate with, where they were chosen before; None: by seed.
    """

    images: Images
    labels: NDArray[np.float32]
    case: NDArray[np.int64]
    names: tuple[str, ...] = ()
    position: NDArray[np.float32] | None = None
    validated: frozenset[str] | None = None

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
        if self.validated is not None:
            digest.update("\0".join(sorted(self.validated)).encode())
        if isinstance(self.images, Digested):
            digest.update(self.images.digest().encode())
        return digest.hexdigest()[:16]


def check_labels(labels: NDArray[np.float32], targets: Sequence[Target] = TARGETS) -> None:
    """Raise `TrainingError` if a label is the same everywhere: nothing could be learned.

    Parameters
    ----------
    labels : ndarray of float32, (N, 3)
        Tumour, core and edema of each slice.
    targets : sequence of Target
        Targets that are to be learned.
    """
    count, shown = len(labels), (labels > 0).sum(axis=0).tolist()
    if shown[0] == 0:
        raise TrainingError(
            f"None of the {count} labelled slices shows a tumour; label some that do."
        )
    for name, number in zip(targets, shown, strict=False):
        if number == 0:
            raise TrainingError(
                f"None of the {count} labelled slices shows {name}; label some that do, or "
                "check the column in the csv."
            )
        if number == count:
            raise TrainingError(
                f"All {count} labelled slices show {name}; label some that do not, too."
            )


def drop_blank(slices: SliceSet, rows: NDArray[np.int64], batch: int = 256) -> NDArray[np.int64]:
    """Return the rows whose slice is not air alone; reads every slice once."""
    seen = [
        slices.images[rows[i : i + batch]].any(axis=(1, 2, 3)) for i in range(0, len(rows), batch)
    ]
    return rows[np.concatenate(seen)] if seen else rows
