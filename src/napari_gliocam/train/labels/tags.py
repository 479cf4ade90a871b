"""Slice labels as a reader gives them: core yes or no, edema yes or no.  No outline anywhere."""

# mypy: untyped-calls-exclude="nibabel"

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from napari_gliocam.case import Grid


@dataclass(frozen=True, slots=True)
class Tag:
    """The labels of one slice.

    Parameters
    ----------
    core, edema : bool
        Whether the slice shows core, and whether it shows edema.
    skipped : bool
        True for a slice that a reader left open: it takes no part in a training.
    """

    core: bool = False
    edema: bool = False
    skipped: bool = False

    @property
    def tumour(self) -> bool:
        """True if the slice shows core or edema."""
        return self.core or self.edema


SKIPPED = Tag(skipped=True)


@dataclass(eq=True)
class Tags:
    """The labels of the slices of many cases.

    Parameters
    ----------
    cases : dict of str to dict of int to Tag
        Tags by the name of the case and the number of the slice, as in `file_slices`.
    """

    cases: dict[str, dict[int, Tag]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(slices) for slices in self.cases.values())

    def __iter__(self) -> Iterator[tuple[str, int, Tag]]:
        for case in sorted(self.cases):
            for number in sorted(self.cases[case]):
                yield case, number, self.cases[case][number]

    def of(self, case: str) -> Mapping[int, Tag]:
        """Return the tags of a case by slice number; empty for a case without tags."""
        return self.cases.get(case, {})

    def put(self, case: str, number: int, tag: Tag | None) -> None:
        """Set the tag of one slice.

        Parameters
        ----------
        case : str
            The name of the case.
        number : int
            The number of the slice in the file, from 0.
        tag : Tag or None
            The new tag; None removes the one that is there.
        """
        slices = self.cases.setdefault(case, {})
        if tag is None:
            slices.pop(number, None)
        else:
            slices[number] = tag
        if not slices:
            del self.cases[case]


def file_slices(grid: Grid) -> NDArray[np.int64]:
    """Return the number that each slice in memory has in the file.

    Parameters
    ----------
    grid : Grid
        The grid of the case.

    Returns
    -------
    ndarray of int, (S,)
        Numbers from 0 in the file's own axial order.  In memory slices run from feet to head;
        in a file they may run from head to feet.
    """
    orientation = np.asarray(io_orientation(grid.affine))
    (axis,) = np.flatnonzero(orientation[:, 0] == 2)  # the axis from feet to head
    numbers = np.arange(grid.file_shape[axis])
    return numbers if orientation[axis, 1] > 0 else numbers[::-1].copy()


def image_labels(
    core: NDArray[np.integer],
    edema: NDArray[np.integer],
    *,
    min_pixels: int = 8,
    few_pixels: str = "exclude",
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Derive image-level labels from counts of pixels; the only place where a mask is near a label.

    Parameters
    ----------
    core, edema : ndarray of int, (n,)
        Pixels of each class on each slice.
    min_pixels : int
        Smallest number of pixels at which a slice counts as showing the class.
    few_pixels : {"exclude", "normal"}
        Treatment of a slice that shows fewer pixels, but some: left out, or labelled as normal.

    Returns
    -------
    labels : ndarray of bool, (n, 3)
        Tumour, core and edema of each slice.
    keep : ndarray of bool, (n,)
        False for the slices that are left out.
    """
    labels = np.stack([core + edema, core, edema], axis=1) >= min_pixels
    unsure = ((core > 0) & ~labels[:, 1]) | ((edema > 0) & ~labels[:, 2])
    return labels, ~unsure if few_pixels == "exclude" else np.ones(len(core), dtype=np.bool_)


def tags_from_counts(
    core: NDArray[np.integer],
    edema: NDArray[np.integer],
    *,
    min_pixels: int = 1,
    few_pixels: str = "exclude",
) -> dict[int, Tag]:
    """Derive the tags of a case from the pixel counts of its expert outlines.

    Parameters
    ----------
    core, edema : ndarray of int, (S,)
        Pixels of each class by slice number.
    min_pixels, few_pixels
        As in `image_labels`; a slice that is left out there is skipped here.

    Returns
    -------
    dict of int to Tag
        A tag for each slice number.
    """
    labels, keep = image_labels(core, edema, min_pixels=min_pixels, few_pixels=few_pixels)
    return {
        number: Tag(bool(label[1]), bool(label[2])) if kept else SKIPPED
        for number, (label, kept) in enumerate(zip(labels, keep, strict=True))
    }
