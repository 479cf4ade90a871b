"""Tags: what a reader says of whole slices.  No outline anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.train.labels.image_labels import image_labels


@dataclass(frozen=True)
class Tag:
    """What one slice shows.

    Parameters
    ----------
    core, edema : bool
    skipped : bool
        Looked at and left open: the slice takes no part in a training.
    """

    core: bool = False
    edema: bool = False
    skipped: bool = False

    @property
    def tumour(self) -> bool:
        """Core or edema."""
        return self.core or self.edema


SKIPPED = Tag(skipped=True)


@dataclass(eq=True)
class Tags:
    """The tags of many cases.

    Parameters
    ----------
    cases : dict of str to dict of int to Tag
        By the case's name and the slice's number, see `napari_gliocam.train.labels.slice_order`.
    """

    cases: dict[str, dict[int, Tag]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(slices) for slices in self.cases.values())

    def __iter__(self) -> Iterator[tuple[str, int, Tag]]:
        for case in sorted(self.cases):
            for number in sorted(self.cases[case]):
                yield case, number, self.cases[case][number]

    def of(self, case: str) -> Mapping[int, Tag]:
        """The tags of one case, perhaps none."""
        return self.cases.get(case, {})

    def put(self, case: str, number: int, tag: Tag | None) -> None:
        """Tag a slice; None takes its tag away."""
        slices = self.cases.setdefault(case, {})
        if tag is None:
            slices.pop(number, None)
        else:
            slices[number] = tag
        if not slices:
            del self.cases[case]


def tags_from_counts(
    core: NDArray[np.integer],
    edema: NDArray[np.integer],
    *,
    min_pixels: int = 1,
    few_pixels: str = "exclude",
) -> dict[int, Tag]:
    """Tags of a case whose expert outlines were counted.

    Parameters
    ----------
    core, edema : ndarray of int, (S,)
        Pixels of each class by the slice's number.
    min_pixels : int
        A class shows from so many pixels on; 1 is any pixel.
    few_pixels : {"exclude", "normal"}
        What becomes of a slice with fewer, but some: skipped, or called free of it.
    """
    labels, keep = image_labels(core, edema, min_pixels=min_pixels, few_pixels=few_pixels)
    return {
        number: Tag(bool(label[1]), bool(label[2])) if kept else SKIPPED
        for number, (label, kept) in enumerate(zip(labels, keep, strict=True))
    }
