"""Faithfulness of maps to the networks.

Does the networks' answer change where the map says that it comes from?
Deletion and insertion (Petsiuk et al. 2018, RISE), ROAD (Rong et al. 2022), average drop and
increase in confidence (Chattopadhay et al. 2018), on pixels of the brain alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finished
from napari_gliocam.targets import Target
from napari_gliocam.trust.fills import FILLS, Fill, fill_of, impute
from napari_gliocam.trust.scoring import (
    ImageScore,
    MappedSlice,
    Score,
    mapped_slices,
    scored,
)

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.maps.class_maps import ClassMaps

Direction = Literal["deletion", "insertion"]

#: Parts of the brain that ROAD removes.
ROAD_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class FaithfulnessSettings:
    """Choices that change the figures.

    Parameters
    ----------
    steps : int
        Most intervals of the curves of deletion and insertion, 1 or more.
    fill : {"mean", "blur", "mirror"}
        Content that takes the place of deleted pixels, see `napari_gliocam.trust.fills.fill_of`.
    noise : float
        Of ROAD's imputation, see `napari_gliocam.trust.fills.impute`.
    seed : int
        Of that noise.
    road : bool
        Whether ROAD is measured, which takes about as long as deletion and insertion.
    """

    steps: int = 100
    fill: Fill = "mean"
    noise: float = 0.01
    seed: int = 0
    road: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise GliocamError(f"{self.steps} steps are too few; choose 1 or more.")
        if self.fill not in FILLS:
            raise GliocamError(
                f'There is no baseline "{self.fill}"; choose one of {", ".join(FILLS)}.'
            )


@dataclass(frozen=True, eq=False)
class Curve:
    """A score over the part of the brain's pixels that were changed.

    Parameters
    ----------
    fractions : ndarray of float64, (K,)
        Rising, in [0, 1].
    scores : ndarray of float64, (K,)
        Image-level probability at each.
    """

    fractions: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve, by trapezoids."""
        return float(np.trapezoid(self.scores, self.fractions))

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return float(self.scores.mean())


@dataclass(frozen=True, eq=False)
class SliceFaithfulness:
    """Every figure of one slice.

    Parameters
    ----------
    deletion, insertion : Curve
        Pixels replaced, or restored, from the highest map value down.
    road_most, road_least : Curve or None
        Pixels imputed, the most or the least relevant first; the fractions are the removed parts.
    probability : float
        Image-level probability of the slice as it is.
    masked : float
        That of the slice with each pixel faded into the baseline as far as the map is below 1.
    """

    deletion: Curve
    insertion: Curve
    road_most: Curve | None
    road_least: Curve | None
    probability: float
    masked: float

    @property
    def drop(self) -> float:
        """Part of the probability that is lost where only the map's pixels stay, in [0, 1]."""
        if self.probability <= 0:
            return 0.0
        return max(0.0, self.probability - self.masked) / self.probability

    def figures(self) -> dict[str, float]:
        """Return each figure by the name of its test."""
        found = {"deletion": self.deletion.area, "insertion": self.insertion.area}
        if self.road_most is not None and self.road_least is not None:
            found["road-most"] = self.road_most.mean - self.probability
            found["road-least"] = self.road_least.mean - self.probability
        found["average-drop"] = self.drop
        found["increase-in-confidence"] = float(self.masked > self.probability)
        return found


@dataclass(eq=False)
class Faithfulness:
    """Faithfulness of a method's map of one target, slice by slice.

    Parameters
    ----------
    target : Target
        The target of the map and of the probability.
    slices : dict of int to SliceFaithfulness
        By slice of the case; those that are finished.
    flat : list of int
        Slices on which the map is the same everywhere, so that it ranks no pixel.
    """

    target: Target
    slices: dict[int, SliceFaithfulness] = field(default_factory=dict)
    flat: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return the mean of each figure over the finished slices; empty without any."""
        every = [one.figures() for one in self.slices.values()]
        return {name: float(np.mean([f[name] for f in every])) for name in (every or [{}])[0]}

    def curve(self, direction: Direction) -> Curve | None:
        """Return the mean curve at 101 fractions; None without a finished slice."""
        if not self.slices:
            return None
        at = np.linspace(0, 1, 101)
        curves: list[Curve] = [getattr(one, direction) for one in self.slices.values()]
        return Curve(at, np.mean([np.interp(at, c.fractions, c.scores) for c in curves], axis=0))

    def reason(self) -> str:
        """Return the reason why there are no figures; empty where there are some."""
        if self.slices:
            return ""
        if self.flat:
            return "the map is empty or the same everywhere, so it ranks no pixel"
        return f"the networks see no {self.target} on these slices"


def measuring_faithfulness(
    prepared: Prepared,
    maps: ClassMaps,
    target: Target,
    slices: Sequence[int],
    settings: FaithfulnessSettings | None = None,
    *,
    into: Faithfulness | None = None,
) -> Generator[Progress, None, Faithfulness]:
    """Measure how faithful a map is to the networks.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    maps : ClassMaps
        Any maps of the case: of an explanation method, of the networks, of an ensemble.
    target : Target
        One that has a map.
    slices : sequence of int
        Slices of the case, see `napari_gliocam.trust.scoring.choose_slices`.
    settings : FaithfulnessSettings, optional
        Steps and baseline.
    into : Faithfulness, optional
        Takes each slice as soon as it is finished; a new one by default.
    """
    into, settings = into or Faithfulness(target), settings or FaithfulnessSettings()
    score, total = ImageScore(prepared.bundle.net, target), len(slices)
    for done, one in enumerate(mapped_slices(prepared, maps, target, slices)):
        yield Progress(done, total, f"faithfulness, {target}")
        if one.is_flat:
            into.flat.append(one.index)
            continue
        work = measuring_slice(one, score, settings)
        while True:
            try:
                next(work)
            except StopIteration as end:
                into.slices[one.index] = end.value
                break
            yield Progress(done, total, f"faithfulness, {target}")
    yield Progress(total, total, f"faithfulness, {target}")
    return into


measure_faithfulness = finished(measuring_faithfulness, "measure_faithfulness")


def measuring_slice(
    slice_: MappedSlice, score: Score, settings: FaithfulnessSettings
) -> Generator[None, None, SliceFaithfulness]:
    """Measure one slice, with a pause after each chunk of versions.

    Parameters
    ----------
    slice_ : MappedSlice
        With a map that is not flat.
    score : Score
        Answer of the networks.
    settings : FaithfulnessSettings
        Steps and baseline.
    """
    fill = fill_of(slice_, settings.fill)
    order = ranked(slice_)
    counts = interval_counts(len(order), settings.steps)
    inner = [(d, c) for d in ("deletion", "insertion") for c in counts[1:-1]]
    map_ = torch.from_numpy(slice_.map_).to(slice_.image)
    versions = _Versions(
        slice_,
        fill,
        [("deletion", 0), ("deletion", len(order)), *inner],  # type: ignore[list-item]
        order,
    )
    masked = fill + map_ * (slice_.image - fill)
    scores = np.empty(len(versions))
    for start, values in scored(score, versions, slice_.brain):
        scores[start : start + len(values)] = values.double().cpu().numpy()
        yield
    ((_, last),) = scored(score, [masked], slice_.brain)
    whole, gone, parts = scores[0], scores[1], scores[2:].reshape(2, -1)
    fractions = np.array(counts, dtype=np.float64) / len(order)
    deletion = Curve(fractions, np.array([whole, *parts[0], gone]))
    insertion = Curve(fractions, np.array([gone, *parts[1], whole]))
    most = least = None
    if settings.road:
        most = yield from _road(slice_, score, order, settings)
        least = yield from _road(slice_, score, order[::-1], settings)
    return SliceFaithfulness(deletion, insertion, most, least, float(whole), float(last[0]))


def _road(
    slice_: MappedSlice, score: Score, order: NDArray[np.int64], settings: FaithfulnessSettings
) -> Generator[None, None, Curve]:
    """Impute a growing part of the pixels, in an order, and score what is left."""
    images = []
    for fraction in ROAD_FRACTIONS:
        removed = np.zeros(slice_.map_.shape, dtype=np.bool_)
        removed.flat[order[: road_count(len(order), fraction)]] = True
        images.append(impute(slice_, removed, noise=settings.noise, seed=settings.seed))
        yield
    scores = [values for _, values in scored(score, images, slice_.brain)]
    return Curve(np.array(ROAD_FRACTIONS), torch.cat(scores).double().cpu().numpy())


def ranked(slice_: MappedSlice) -> NDArray[np.int64]:
    """Return the brain's pixels from the highest map value down, as numbers in the flat slice.

    Of equal values the first comes first.
    """
    inside = np.flatnonzero(slice_.inside.ravel())
    return inside[np.argsort(-slice_.map_.ravel()[inside], kind="stable")]


def interval_counts(pixels: int, steps: int) -> list[int]:
    """Return how many pixels are changed at each point of a curve, 0 and all of them included."""
    return [*range(0, pixels, -(-pixels // steps)), pixels]


def road_count(pixels: int, fraction: float) -> int:
    """Return how many pixels lie at or above a percentile, so that this part is removed."""
    return pixels - int(np.ceil((1 - fraction) * (pixels - 1) - 1e-9))


def altered_slice(
    slice_: MappedSlice, fraction: float, direction: Direction = "deletion", fill: Fill = "mean"
) -> Tensor:
    """Return the slice as the networks see it at a point of a curve, (C, H, W).

    Parameters
    ----------
    slice_ : MappedSlice
        The slice with its map.
    fraction : float
        Part of the brain's pixels that are deleted, or restored, in [0, 1].
    direction : {"deletion", "insertion"}
        Which curve.
    fill : {"mean", "blur", "mirror"}
        The baseline.
    """
    order = ranked(slice_)
    count = round(fraction * len(order))
    return _Versions(slice_, fill_of(slice_, fill), [(direction, count)], order)[0]


class _Versions(Sequence[Tensor]):
    """Versions of a slice with some pixels replaced, made when they are asked for."""

    def __init__(
        self,
        slice_: MappedSlice,
        fill: Tensor,
        jobs: list[tuple[Direction, int]],
        order: NDArray[np.int64],
    ) -> None:
        self.image, self.fill, self.jobs = slice_.image, fill, jobs
        rank = np.full(slice_.map_.size, order.size, dtype=np.int64)
        rank[order] = np.arange(order.size)
        self.rank = torch.from_numpy(rank.reshape(slice_.map_.shape)).to(slice_.image.device)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        direction, count = self.jobs[number]
        first = self.rank < count
        before, after = (self.image, self.fill)[:: 1 if direction == "deletion" else -1]
        return torch.where(first, after, before)
