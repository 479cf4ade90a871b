"""The labels that the viewer shows: those of thresholds or refinement, and strokes over them.

NumPy only.  The layer has an array of its own, so that a brush never writes into a result.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.targets import BACKGROUND, CORE, EDEMA

#: Of a voxel that nobody painted.
KEEP = 255
EVERYWHERE = (slice(None),)


class PaintedLabels:
    """Labels to look at and to paint in.

    Parameters
    ----------
    base : ndarray of uint8, shape (S, P, L)
        What lies under the strokes; it is copied.
    """

    def __init__(self, base: NDArray[np.uint8]) -> None:
        self.labels: NDArray[np.uint8] = base.copy()
        self.strokes: NDArray[np.uint8] | None = None
        #: The strokes that were saved last.
        self.saved: NDArray[np.uint8] | None = None

    @property
    def unsaved(self) -> bool:
        """Whether something was painted that no file has."""
        if self.strokes is None or self.saved is None:
            return self.strokes is not None
        return not np.array_equal(self.strokes, self.saved)

    @property
    def painted(self) -> int:
        """Voxels that were painted by hand."""
        return 0 if self.strokes is None else int(np.count_nonzero(self.strokes != KEEP))

    def strokes_copy(self) -> NDArray[np.uint8] | None:
        """Return the strokes as they are now, None where nothing is painted."""
        return None if self.strokes is None else self.strokes.copy()

    def follow(self, base: NDArray[np.uint8], part: tuple[slice, ...] = EVERYWHERE) -> None:
        """Show another base, or a part of it that has changed, under the same strokes."""
        self.labels[part] = self.over(base, part)

    def take_strokes(
        self, base: NDArray[np.uint8], known: Collection[int] = (CORE, EDEMA)
    ) -> tuple[int, ...]:
        """Learn from the labels what was painted, or undone, over a base.

        Returns
        -------
        tuple of int
            Values that are no class; such strokes are taken back.
        """
        before = self.over(base)
        changed = np.nonzero(self.labels != before)
        values = self.labels[changed]
        wrong = ~np.isin(values, [BACKGROUND, *known])
        strange = tuple(np.unique(values[wrong]).tolist())
        if strange:
            taken_back = tuple(axis[wrong] for axis in changed)
            self.labels[taken_back] = before[taken_back]
            changed, values = tuple(axis[~wrong] for axis in changed), values[~wrong]
        if values.size:
            if self.strokes is None:
                self.strokes = np.full(base.shape, KEEP, dtype=np.uint8)
            self.strokes[changed] = np.where(values == base[changed], np.uint8(KEEP), values)
            if not self.painted:
                self.strokes = None
        return strange

    def discard(self, base: NDArray[np.uint8]) -> None:
        """Forget the strokes."""
        self.strokes = None
        self.follow(base)

    def over(
        self, base: NDArray[np.uint8], part: tuple[slice, ...] = EVERYWHERE
    ) -> NDArray[np.uint8]:
        """Return a base, or a part of it, under the strokes."""
        if self.strokes is None:
            return base[part]
        strokes = self.strokes[part]
        return np.where(strokes == KEEP, base[part], strokes)
