"""Paper 5's search for the thresholds of an ensemble, which needs pixel masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.errors import GliocamError

#: 0 to 1 in steps of 0.1 (paper 5, section 2.3).
GRID = tuple(round(0.1 * step, 1) for step in range(11))

#: More maps would make the table of combinations too large.
MAX_MAPS = 3


@dataclass(frozen=True, eq=False)
class ThresholdGrid:
    """Every combination of thresholds and how good its mask is.

    Parameters
    ----------
    ensemble : Ensemble
        How the methods vote, and their thresholds.
    miou : ndarray of float64, n axes of length 11
        Mean of the IoU of lesion and of background, all voxels pooled: what the paper maximises.
    iou : ndarray of float64, same shape
        IoU of the lesion alone; the large background does not help it.
    """

    ensemble: Ensemble
    miou: NDArray[np.float64]
    iou: NDArray[np.float64]

    #: The search looks at expert outlines, so a result with its thresholds is not one of
    #: image-level labels alone; whatever shows such a result must say so.
    uses_pixel_masks = True

    @property
    def best(self) -> tuple[float, ...]:
        """The thresholds with the highest mIoU, one a map."""
        where = np.unravel_index(int(self.miou.argmax()), self.miou.shape)
        return tuple(GRID[int(i)] for i in where)

    @property
    def notice(self) -> str:
        """The sentence that has to stand beside the thresholds."""
        values = ", ".join(f"{t:.1f}" for t in self.best)
        return f"Thresholds {values} were chosen with pixel masks (expert labels)."

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the notice among them."""
        return {
            "ensemble": self.ensemble.rule,
            "thresholds": list(self.best),
            "uses_pixel_masks": self.uses_pixel_masks,
            "notice": self.notice,
            "miou": self.miou.tolist(),
            "iou": self.iou.tolist(),
        }


def search_thresholds(
    cases: Iterable[tuple[Sequence[NDArray[np.float32]], NDArray[np.bool_]]],
    ensemble: Ensemble | None = None,
) -> ThresholdGrid:
    """Try all combinations of thresholds on cases with expert labels: uses pixel masks.

    Every combination is counted in one look at the voxels: all that a threshold of the grid can
    tell of a voxel is how many of its steps the map exceeds there.

    Parameters
    ----------
    cases : iterable of (maps, truth)
        Two or three maps in [0, 1], (S, P, L), and the expert's mask of the class, same shape.
        Use training cases; on the cases that a result is measured on, it would be a tuned one.
    ensemble : Ensemble, optional
        The intersection by default.

    Raises
    ------
    GliocamError
        If there is no case, or not two or three maps.
    """
    chosen = ensemble or Ensemble()
    counts: NDArray[np.int64] | None = None  # hits, marked, truth, voxels for each combination
    for maps, truth in cases:
        if not 2 <= len(maps) <= MAX_MAPS:
            raise GliocamError(
                f"The thresholds of {len(maps)} maps cannot be searched for; choose 2 or 3."
            )
        by_slice = chosen.rule in ("smaller", "larger")
        for row in range(len(truth)) if by_slice else [slice(None)]:
            found = _count([m[row] for m in maps], truth[row], chosen)
            counts = found if counts is None else counts + found
    if counts is None:
        raise GliocamError("There is no case with expert labels; choose thresholds by hand.")
    hits, marked, positive, voxels = counts.astype(np.float64)
    iou = _ratio(hits, marked + positive - hits)
    background = _ratio(voxels - marked - positive + hits, voxels - hits)
    return ThresholdGrid(chosen, (iou + background) / 2, iou)


def _count(
    maps: list[NDArray[np.float32]], truth: NDArray[np.bool_], ensemble: Ensemble
) -> NDArray[np.int64]:
    """Return hits, marked, truth and voxels of a part for every combination, (4, 11, 11, ...)."""
    steps, count = len(GRID), len(maps)
    grid = np.array(GRID, dtype=np.float32)
    levels = [np.searchsorted(grid, m, side="left") for m in maps]  # steps exceeded
    code = truth.astype(np.intp)
    for level in levels:
        code = code * (steps + 1) + level
    shape = (2, *[steps + 1] * count)
    voxels = np.bincount(code.ravel(), minlength=int(np.prod(shape))).reshape(shape)
    areas = [_exceeding(voxels, axis) for axis in range(count)]  # each (2, 11)
    every, found = voxels.sum(axis=tuple(range(1, count + 1))), []
    grids = np.indices(shape[1:])
    for where in product(range(steps), repeat=count):
        if ensemble.rule in ("smaller", "larger"):
            sizes = [areas[axis][:, index].sum() for axis, index in enumerate(where)]
            which = int(np.argmin(sizes) if ensemble.rule == "smaller" else np.argmax(sizes))
            background, hits = areas[which][:, where[which]]
        else:
            cells = [grids[axis] > index for axis, index in enumerate(where)]
            background, hits = voxels[:, ensemble.combine(cells)].sum(axis=1)
        found.append((hits, background + hits, every[1], every.sum()))
    return np.array(found, dtype=np.int64).T.reshape(4, *[steps] * count)


def _exceeding(voxels: NDArray[np.intp], axis: int) -> NDArray[np.int64]:
    """Return the voxels without and with lesion where one map exceeds each step, (2, 11)."""
    others = tuple(a for a in range(1, voxels.ndim) if a != axis + 1)
    by_level = voxels.sum(axis=others)
    above: NDArray[np.int64] = by_level[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return above


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio; 1 where both are 0: nothing to find and nothing found."""
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)
