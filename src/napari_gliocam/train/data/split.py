"""Splits by patient: by seed, from a file, or in folds for cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.folds import read_parts
from napari_gliocam.train.data.slice_set import SliceSet

#: Parts of a split by name.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Cases of a training by name.

    Parameters
    ----------
    train, validation, test : frozenset of str
        Cases that are learned from, that are judged with, and that take no part.
    """

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str] = frozenset()


def read_split(file: Path, cases: Iterable[str], fold: int = 0) -> Split:
    """Read a split: columns ``case`` and ``split``, or ``case`` and ``fold``.

    Parameters
    ----------
    file : Path
        A csv in UTF-8; ``split`` is train, validation or test.
    cases : iterable of str
        Names of the cases at hand, each of which the file must name.
    fold : int
        Number of the fold that validates, from 1; 0 reads the column ``split``.

    Raises
    ------
    GliocamError
        The file cannot be read, a value is none of these, a case is missing, or nothing is left to
        train or to validate with.
    """
    column = "fold" if fold else "split"
    rows = read_parts(file, column)
    names = list(cases)
    missing = [name for name in names if name not in rows]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise TrainingError(
            f'"{file}" does not name {", ".join(missing[:3])}{more}; add a line for each case.'
        )
    parts: dict[str, set[str]] = {part: set() for part in PARTS}
    for name in names:
        value = rows[name]
        if fold:
            part = "validation" if value == str(fold) else "train"
        elif value in PARTS:
            part = value
        else:
            raise TrainingError(
                f'"{file}": the split of {name} is "{value}"; choose one of {", ".join(PARTS)}.'
            )
        parts[part].add(name)
    for part in PARTS[:2]:
        if not parts[part]:
            raise TrainingError(f'"{file}" leaves no case for {part}; move some there.')
    return Split(*(frozenset(parts[part]) for part in PARTS))


def make_folds(slices: SliceSet, folds: int, seed: int) -> dict[str, int]:
    """Deal the patients out to folds, in proportion to their labels.

    Parameters
    ----------
    slices : SliceSet
        All slices, with the names of their cases.
    folds : int
        Number of folds, 2 or more.
    seed : int
        Seed of the deal.

    Returns
    -------
    dict of str to int
        Fold of each case, from 1.

    Raises
    ------
    TrainingError
        There are fewer patients than folds.
    """
    cases = stratified_cases(slices, [seed, 17])
    if len(cases) < folds:
        raise TrainingError(
            f"{len(cases)} patients are too few for {folds} folds; add cases or take fewer folds."
        )
    return {slices.names[int(case)]: 1 + n % folds for n, case in enumerate(cases)}


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
    if slices.validated is not None:
        chosen = [n for n, name in enumerate(slices.names) if name in slices.validated]
        fixed = np.isin(slices.case, chosen)
        return np.flatnonzero(~fixed), np.flatnonzero(fixed)
    if fraction <= 0:
        return np.arange(len(slices)), np.arange(0)
    cases = stratified_cases(slices, [seed, 16])
    count = max(1, round(fraction * len(cases)))
    if count >= len(cases):
        raise TrainingError(
            f"{len(cases)} patients are too few to keep some for validation; add cases or set "
            "data.validation to 0."
        )
    every = ((np.arange(count) + 0.5) * len(cases) / count).astype(int)
    validates = np.isin(slices.case, cases[every])
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def stratified_cases(slices: SliceSet, seed: Sequence[int]) -> NDArray[np.int64]:
    """Return the numbers of the real cases sorted by labels, then by chance.

    Of every k-th each stratum of labels gets its share.

    Parameters
    ----------
    slices : SliceSet
        All slices.
    seed : sequence of int
        Seed of the order within a stratum.
    """
    own = np.flatnonzero(slices.case >= 0)
    cases, patient = np.unique(slices.case[own], return_inverse=True)
    shows = [np.bincount(patient, column > 0) > 0 for column in slices.labels[own].T]
    ordered: NDArray[np.int64] = cases[
        np.lexsort((np.random.default_rng(list(seed)).random(len(cases)), *shows))
    ]
    return ordered
