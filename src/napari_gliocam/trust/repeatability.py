"""Repeatability: how alike one method's maps of two networks are (Arun et al. 2021)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_gliocam.progress import Progress, finished
from napari_gliocam.targets import Target
from napari_gliocam.trust.similarity import (
    Similarity,
    compare_planes,
    mean_similarity,
    planes_of,
    unrelated,
)

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.trust.randomisation import MapRecipe


@dataclass(eq=False)
class Repeatability:
    """How alike the maps of two networks are.

    Parameters
    ----------
    target : Target
        The target of the maps.
    slices : dict of int to Similarity
        By slice of the case; those on which neither map is flat.
    baseline : Similarity or None
        Of unrelated maps, see `napari_gliocam.trust.similarity.unrelated`.
    """

    target: Target
    slices: dict[int, Similarity] = field(default_factory=dict)
    baseline: Similarity | None = None

    def figures(self) -> dict[str, float]:
        """Return the mean of each figure by the name of its test; empty without any slice."""
        if not self.slices:
            return {}
        mean = mean_similarity(list(self.slices.values()))
        found = {"repeatability-ssim": mean.ssim, "repeatability-rank": mean.rank_correlation}
        if self.baseline is not None:
            found["repeatability-baseline-ssim"] = self.baseline.ssim
            found["repeatability-baseline-rank"] = self.baseline.rank_correlation
        return found

    def reason(self) -> str:
        """Return the reason why there are no figures; empty where there are some."""
        return "" if self.slices else "one of the maps is empty or the same on every slice"


def repeating(
    prepared: Prepared,
    other: Prepared,
    recipe: MapRecipe,
    target: Target,
    slices: Sequence[int],
    *,
    into: Repeatability | None = None,
) -> Generator[Progress, None, Repeatability]:
    """Compare a method's maps by two networks.

    Parameters
    ----------
    prepared, other : Prepared
        The same case with two bundles, such as two seeds of one recipe.
    recipe : MapRecipe
        The method.
    target : Target
        Tumour, core or edema.
    slices : sequence of int
        Slices of the case that show brain.
    into : Repeatability, optional
        Takes what is found; a new one by default.
    """
    into = into or Repeatability(target)
    if slices:
        first = yield from recipe.making(prepared, (target,), slices)
        second = yield from recipe.making(other, (target,), slices)
        # Both on the grid of the first: bundles may differ in their pixels.
        a, b = (planes_of(maps, target, prepared.stack, slices) for maps in (first, second))
        into.slices.update(
            {i: compare_planes(a[i], b[i]) for i in slices if not (a[i].is_flat or b[i].is_flat)}
        )
        into.baseline = unrelated(a)
    yield Progress(1, 1, f"repeatability, {target}")
    return into


repeat = finished(repeating, "repeat")
