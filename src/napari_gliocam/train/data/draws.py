"""Batches drawn by chance, with a share of real patients in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.maps import Sampling


@dataclass(frozen=True, eq=False)
class Draws:
    """The chance of each slice of a data set to be drawn.

    Parameters
    ----------
    chances : ndarray of float, (N,)
        Chance among the slices of its own kind, real or synthetic; the sum over each kind is 1.
    synthetic : ndarray of bool, (N,)
        Whether a slice is synthetic.
    real : float
        Part of each batch that is real.
    steps : int
        Batches an epoch.
    synthetic_augment : float
        As in `Sampling`.
    """

    chances: NDArray[np.float64]
    synthetic: NDArray[np.bool_]
    real: float
    steps: int
    synthetic_augment: float = 1.0

    def batches(self, size: int, seed: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return the places of the batches of one epoch, sorted in each.

        Parameters
        ----------
        size : int
            Slices a batch.
        seed : sequence of int
            Seed of the epoch.
        """
        rng = np.random.default_rng(list(seed))
        real = round(self.real * size)
        parts = []
        for count, kind in ((real, ~self.synthetic), (size - real, self.synthetic)):
            places = np.flatnonzero(kind)
            if count:
                parts.append(rng.choice(places, (self.steps, count), p=self.chances[places]))
        return list(np.sort(np.concatenate(parts, axis=1), axis=1))

    def real_alone(self) -> Draws:
        """Return the draws of batches without synthetic slices."""
        return replace(self, real=1.0)


def make_draws(slices: SliceSet, rows: NDArray[np.int64], sampling: Sampling) -> Draws | None:
    """Return the draws of a recipe, or None where it goes through all slices in turn.

    Parameters
    ----------
    slices : SliceSet
        All slices.
    rows : ndarray of int, (N,)
        The rows of ``slices`` to draw from.
    sampling : Sampling
        The recipe's shares.

    Raises
    ------
    TrainingError
        If ``sampling.often`` names a case that is not there.
    """
    if sampling.real == 0:
        return None
    unknown = sorted(set(sampling.often) - set(slices.names))
    if unknown:
        raise TrainingError(
            f"The recipe's data.sampling.often names {', '.join(unknown[:3])}, which "
            f"{'is' if len(unknown) == 1 else 'are'} not among the cases; correct the recipe."
        )
    case, labels = slices.case[rows], slices.labels[rows]
    synthetic = case < 0
    chances = np.ones(len(rows))
    kind = np.where(labels[:, 1] > 0, 0, np.where(labels[:, 2] > 0, 1, 2))
    shares = (sampling.core, sampling.edema, 1 - sampling.core - sampling.edema)
    for number in np.unique(case[~synthetic]):
        name = slices.names[number] if slices.names else ""
        for each, share in enumerate(shares):
            places = np.flatnonzero((case == number) & (kind == each))
            chances[places] = sampling.often.get(name, 1.0) * share / max(1, len(places))
    real = 1.0 if not synthetic.any() else 0.0 if synthetic.all() else sampling.real
    for part in (synthetic, ~synthetic):
        chances[part] /= max(chances[part].sum(), 1e-12)
    return Draws(chances, synthetic, real, sampling.steps, sampling.synthetic_augment)
