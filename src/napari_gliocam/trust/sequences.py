"""Which sequence said so: exact Shapley values of the sequences (Shapley 1953; Jin et al. 2023).

A sequence that takes no part is 0 all over the slice, which is what the networks learned as
missing: the mean of the brain after normalisation.  With three sequences there are eight subsets,
so nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gliocam.cams.run.batch import Batch
from napari_gliocam.case import Modality
from napari_gliocam.measure.lesion.lesions import find_lesions
from napari_gliocam.progress import Progress, finished
from napari_gliocam.slices import SliceFrame, area_matrix
from napari_gliocam.targets import Target, mask_of
from napari_gliocam.trust.scoring import ImageScore
from napari_gliocam.wording import percent

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.trust.randomisation import MapRecipe

Subset = tuple[Modality, ...]
Floats = NDArray[np.floating]

#: Shares of a sum that is smaller than this are not given: nothing is shared out.
_NOTHING = 1e-6


def shapley_values(
    worth: Mapping[Subset, Floats],
) -> dict[Modality, NDArray[np.float64]]:
    """Return the exact Shapley value of each sequence.

    Parameters
    ----------
    worth : mapping of tuple of Modality to ndarray
        The answer with each subset of the sequences, the empty one and the whole included; the
        tuples are in the order of the whole.

    Returns
    -------
    dict of Modality to ndarray
        They add up to the answer with all sequences less that with none.
    """
    every = max(worth, key=len)
    count = len(every)
    values = {}
    for one in every:
        value = np.zeros_like(np.asarray(worth[()], dtype=np.float64))
        for subset in worth:
            if one in subset:
                continue
            weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
            joined = tuple(m for m in every if m in subset or m == one)
            value = value + weight * (np.asarray(worth[joined], dtype=np.float64) - worth[subset])
        values[one] = value
    return values


def subsets_of(sequences: Sequence[Modality]) -> list[Subset]:
    """Return every subset, the empty one first, each in the order of the sequences."""
    return [s for size in range(len(sequences) + 1) for s in combinations(sequences, size)]


@dataclass(frozen=True)
class Shares:
    """What each sequence contributes to one number.

    Parameters
    ----------
    values : dict of Modality to float
        Shapley values; below 0 where a sequence speaks against the class.
    """

    values: Mapping[Modality, float]

    @property
    def shares(self) -> dict[Modality, float]:
        """Each value as part of the sum of their sizes, in [-1, 1]; 0 where nothing is shared."""
        whole = sum(abs(value) for value in self.values.values())
        if whole < _NOTHING:
            return dict.fromkeys(self.values, 0.0)
        return {modality: value / whole for modality, value in self.values.items()}

    @property
    def words(self) -> str:
        """The shares as a reader sees them, such as ``"FLAIR 71 %, T2 24 %, T1ce 5 %"``."""
        if not any(self.shares.values()):
            return "no sequence contributes"
        ordered = sorted(self.shares.items(), key=lambda item: -item[1])
        return ", ".join(f"{m.title} {percent(s)}" for m, s in ordered)


@dataclass(eq=False)
class SequenceShares:
    """Contributions of the sequences to a class, slice by slice.

    Parameters
    ----------
    target : Target
        The class.
    sequences : tuple of Modality
        Those that the case has, in the order of the network's channels.
    never_missing : tuple of Modality
        Among them those that the networks never learned to do without: their values come from
        slices unlike any that were learned.
    logits : dict of int to dict of Modality to float
        Shapley values of the image-level logit, by slice of the case.
    maps : dict of int to dict of Modality to ndarray of float64, (h, w)
        Shapley values of the method's raw map, by slice of the case.
    marked : dict of int to ndarray of float64, (h, w)
        The raw map itself, where it is above 0.
    """

    target: Target
    sequences: tuple[Modality, ...]
    never_missing: tuple[Modality, ...] = ()
    logits: dict[int, dict[Modality, float]] = field(default_factory=dict)
    maps: dict[int, dict[Modality, NDArray[np.float64]]] = field(default_factory=dict)
    marked: dict[int, Floats] = field(default_factory=dict)

    @property
    def slices(self) -> tuple[int, ...]:
        """Slices that are finished."""
        return tuple(self.logits)

    def of_logit(self, slices: Sequence[int] | None = None) -> Shares | None:
        """Return the mean contributions to the logit over slices; None where none is finished."""
        chosen = [self.logits[i] for i in slices or self.logits if i in self.logits]
        if not chosen:
            return None
        return Shares({m: float(np.mean([one[m] for one in chosen])) for m in self.sequences})

    def of_map(
        self,
        slices: Sequence[int] | None = None,
        where: Mapping[int, Floats] | None = None,
    ) -> Shares | None:
        """Return the contributions to what the map marks, summed over slices or a part of them.

        Parameters
        ----------
        slices : sequence of int, optional
            Slices of the case; all by default.
        where : mapping of int to ndarray, (h, w), optional
            Weight of each pixel of a slice's map, such as the part of it that is lesion; by
            default the map itself: elsewhere a sequence only keeps the map low.
        """
        where = self.marked if where is None else where
        chosen = [i for i in slices or self.maps if i in self.maps and i in where]
        if not chosen:
            return None
        totals = dict.fromkeys(self.sequences, 0.0)
        for index in chosen:
            for modality in self.sequences:
                totals[modality] += float((self.maps[index][modality] * where[index]).sum())
        return Shares(totals)

    def figures(self) -> dict[str, float]:
        """Return the share of each sequence by the name of its test; empty without any slice."""
        found: dict[str, float] = {}
        for prefix, one in (("sequence", self.of_logit()), ("sequence-map", self.of_map())):
            if one is not None:
                found |= {f"{prefix}-{m.value}": share for m, share in one.shares.items()}
        return found

    def reason(self) -> str:
        """Return the reason why there are no figures; empty where there are some."""
        return "" if self.logits else f"the networks see no {self.target} on these slices"

    @property
    def caution(self) -> str:
        """What a reader must know of the values, or nothing."""
        if len(self.sequences) == 1:
            return f"{self.sequences[0].title} is the only sequence, so it contributes everything."
        if not self.never_missing:
            return ""
        if set(self.never_missing) == set(self.sequences):
            return "The networks never learned to do without a sequence; read shares with caution."
        names = " or ".join(m.title for m in self.never_missing)
        what = "its share" if len(self.never_missing) == 1 else "their shares"
        return (
            f"The networks never learned to do without {names}; read {what} with more caution "
            "than the others."
        )


def sequence_shares(prepared: Prepared, target: Target) -> SequenceShares:
    """Return an empty result for a case: which sequences it has, and which never were missing."""
    info = prepared.bundle.info
    present = tuple(m for m in info.modalities if m not in prepared.stack.missing)
    never = tuple(m for m in present if m not in info.optional_modalities)
    return SequenceShares(target, present, never)


def attributing(
    prepared: Prepared,
    recipe: MapRecipe,
    target: Target,
    slices: Sequence[int],
    *,
    into: SequenceShares | None = None,
) -> Generator[Progress, None, SequenceShares]:
    """Share out a class's image-level logit and a method's map among the sequences.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    recipe : MapRecipe
        The method whose raw map is shared out.
    target : Target
        Tumour, core or edema.
    slices : sequence of int
        Slices of the case that show brain.
    into : SequenceShares, optional
        Takes each slice as soon as it is finished; a new one by default.
    """
    into, what = into or sequence_shares(prepared, target), f"sequences, {target}"
    channels = prepared.bundle.info.modalities
    score = ImageScore(prepared.bundle.net, target, logit=True)
    indices = prepared.stack.frame.indices
    yield Progress(0, max(len(slices), 1), what)
    for done, index in enumerate(slices, start=1):
        whole = prepared.batch([indices.index(index)])
        logits: dict[Subset, Floats] = {}
        maps: dict[Subset, Floats] = {}
        for subset in subsets_of(into.sequences):
            there = torch.tensor([m in subset for m in channels], device=whole.images.device)
            batch = Batch(whole.net, whole.images * there[:, None, None], whole.brain)
            logits[subset] = score(batch.images, batch.brain).double().cpu().numpy()
            steps = recipe.method.steps(batch, (target,), recipe.explained)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    maps[subset] = end.value[0, 0].detach().double().cpu().numpy()
                    break
                yield Progress(done - 1, len(slices), what)
            yield Progress(done - 1, len(slices), what)
        into.logits[index] = {m: float(v[0]) for m, v in shapley_values(logits).items()}
        into.marked[index] = np.maximum(maps[into.sequences], 0.0)
        into.maps[index] = shapley_values(maps)
        yield Progress(done, len(slices), what)
    return into


attribute = finished(attributing, "attribute")


def shares_by_lesion(
    shares: SequenceShares, labels: NDArray[np.uint8], frame: SliceFrame, voxel_ml: float
) -> list[tuple[int, Shares]]:
    """Return number and contributions to the map of each lesion, the largest first.

    Parameters
    ----------
    shares : SequenceShares
        Lesions on none of its slices, or without its class, are left out.
    labels : ndarray of uint8, (S, P, L)
        Whose lesions they are, see `napari_gliocam.measure.lesion.lesions.find_lesions`.
    frame : SliceFrame
        Where the slices lie in the case.
    voxel_ml : float
        Volume of a voxel in ml.
    """
    lesions = find_lesions(labels, voxel_ml=voxel_ml)
    if lesions is None:
        return []
    numbers = lesions.case_numbers(labels.shape)
    shown = mask_of(labels, shares.target)
    found = []
    for number in range(1, lesions.count + 1):
        lesion = numbers == number
        one = shares.of_map(where=lesion_weights(lesion, shares, frame))
        if one is not None and shown[lesion].any():
            found.append((number, one))
    return found


def lesion_weights(
    lesion: NDArray[np.bool_], shares: SequenceShares, frame: SliceFrame
) -> dict[int, Floats]:
    """Return how much of each pixel of the shares' maps lies in a lesion, by slice of the case.

    Parameters
    ----------
    lesion : ndarray of bool, (S, P, L)
        Voxels of the lesion.
    shares : SequenceShares
        Slices without any of the lesion are left out.
    frame : SliceFrame
        Where the slices lie in the case.
    """
    slices = [i for i in shares.maps if lesion[i].any()]
    taken = replace(frame, indices=tuple(slices)).take(lesion)
    weights = {}
    for index, plane in zip(slices, taken, strict=True):
        height, width = next(iter(shares.maps[index].values())).shape
        down = area_matrix(plane.shape[0], height)
        weights[index] = down @ plane @ area_matrix(plane.shape[1], width).T
    return weights


@dataclass(frozen=True, eq=False)
class CaseSequences:
    """Contributions of the sequences to the networks' guided maps of a case.

    Parameters
    ----------
    frame : SliceFrame
        Where the slices lie in the case.
    voxel_ml : float
        Volume of a voxel in ml.
    classes : dict of Target to SequenceShares
        Core and edema, or the tumour alone, on the slices that are done.
    asked : dict of Target to sequence of int
        Slices that were asked for.
    """

    frame: SliceFrame
    voxel_ml: float
    classes: Mapping[Target, SequenceShares]
    asked: Mapping[Target, Sequence[int]]

    @classmethod
    def of(cls, prepared: Prepared, asked: Mapping[Target, Sequence[int]]) -> CaseSequences:
        """Return contributions without any slice yet, which `sharing_case` fills."""
        classes = {target: sequence_shares(prepared, target) for target in asked}
        return cls(prepared.stack.frame, prepared.case.grid.voxel_ml, classes, asked)

    @property
    def is_empty(self) -> bool:
        """Whether no slice is done."""
        return not any(shares.logits for shares in self.classes.values())

    @property
    def caution(self) -> str:
        """What a reader must know of the shares, or nothing."""
        done = {target: len(shares.logits) for target, shares in self.classes.items()}
        stopped = ""
        if any(done[target] < len(slices) for target, slices in self.asked.items()):
            parts = (f"{t} from {done[t]} of {len(slices)}" for t, slices in self.asked.items())
            stopped = f"Stopped early, slices that count: {', '.join(parts)}."
        known = next((shares.caution for shares in self.classes.values()), "")
        return " ".join(filter(None, (stopped, known)))

    def at(self, voxel: Sequence[int]) -> dict[Target, Shares]:
        """Return the contributions to the map at a voxel (S, P, L); empty where none are known."""
        index, *place = voxel
        found = {}
        for target, shares in self.classes.items():
            maps = shares.maps.get(index)
            if maps is None:
                continue
            size = next(iter(maps.values())).shape
            spans = zip(place, (self.frame.rows, self.frame.columns), size, strict=True)
            row, column = ((at - low) * n // (high - low) for at, (low, high), n in spans)
            if 0 <= row < size[0] and 0 <= column < size[1]:
                found[target] = Shares({m: float(v[row, column]) for m, v in maps.items()})
        return found

    def by_lesion(self, labels: NDArray[np.uint8]) -> list[tuple[int, Target, Shares]]:
        """Return number, class and contributions of each lesion of labels, (S, P, L)."""
        found = [
            (number, target, one)
            for target, shares in self.classes.items()
            for number, one in shares_by_lesion(shares, labels, self.frame, self.voxel_ml)
        ]
        return sorted(found, key=lambda line: line[:2])


def sharing_case(prepared: Prepared, *, into: CaseSequences) -> Generator[Progress, None, None]:
    """Share out the classes of a case; can be closed at any yield.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    into : CaseSequences
        Takes each slice that it asks for as soon as that is finished.
    """
    from napari_gliocam.cams.methods.registry import make_method
    from napari_gliocam.trust.randomisation import MapRecipe

    recipe = MapRecipe(make_method("guided"))
    for target, shares in into.classes.items():
        yield from attributing(prepared, recipe, target, into.asked[target], into=shares)
