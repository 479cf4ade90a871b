"""A summary of a training before it runs: counts, and concerns about small ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.common import AnyRecipe
from napari_gliocam.train.run.events import Plan

R = TypeVar("R", bound=AnyRecipe)

#: Fewer patients, and fewer slices that show a class, are a concern.
LITTLE_CASES, LITTLE_SHOWN = 5, 30
#: With fewer patients none is kept for validation.
CASES_TO_VALIDATE = 3


def fit_to_cases(recipe: R, cases: int) -> R:
    """Return the recipe, or one that validates with no patient where there are too few.

    Parameters
    ----------
    recipe : AnyRecipe
        The recipe.
    cases : int
        Number of cases with labels.
    """
    if cases >= CASES_TO_VALIDATE or recipe.data.validation == 0:
        return recipe
    return recipe.without_validation()


def make_plan(
    slices: SliceSet,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    steps: Mapping[str, int],
    left_out: Mapping[str, str] | None = None,
    *,
    kind: str = "labelled slices",
    undrawn: tuple[int, int] = (0, 0),
) -> Plan:
    """Count the cases and slices of a training.

    Parameters
    ----------
    slices : SliceSet
        The slices, with the names of their cases.
    train, validation : ndarray of int
        Rows of ``slices`` to learn from and to validate with.
    steps : mapping of str to int
        Number of steps of each stage.
    left_out : mapping of str to str, optional
        Reason for each case that cannot be used.
    kind : str
        Kind of the slices, in words.
    undrawn : tuple of 2 int
        Synthetic cases and slices that are not drawn yet.

    Returns
    -------
    Plan
    """
    names, own = slices.names, slices.case >= 0
    labels = slices.labels[own] > 0
    shown: dict[str, int] = dict(zip(TARGETS, labels.sum(axis=0).tolist(), strict=True))
    learned, judged = (
        tuple(names[c] for c in np.unique(slices.case[rows]) if c >= 0)
        for rows in (train, validation)
    )
    concerns = []
    if len(names) < CASES_TO_VALIDATE:
        concerns.append(
            f"{len(names)} cases are too few to keep one for judging: the last weights are kept, "
            "good or bad."
        )
    elif len(names) < LITTLE_CASES:
        concerns.append(f"{len(names)} cases are few; {LITTLE_CASES} or more teach better.")
    concerns += [
        f"Only {count} slices show {name}; {LITTLE_SHOWN} or more teach better."
        for name, count in shown.items()
        if count < LITTLE_SHOWN and name != "tumour"
    ]
    undecided = [
        name
        for name, column in zip(TARGETS, slices.labels[validation].T, strict=True)
        if len(validation) and not 0 < column.sum() < len(column)
    ]
    if undecided:
        concerns.append(
            f"The validation cases decide nothing about {' and '.join(sorted(undecided))}; "
            "label more cases."
        )
    counts = ", ".join(f"{number} {name}" for name, number in shown.items())
    synthetic = len(np.unique(slices.case[~own])) + undrawn[0]
    besides = f", besides {synthetic} synthetic cases" if synthetic else ""
    return Plan(
        words=(
            f"{len(learned) + len(judged)} cases with {len(labels)} {kind} ({counts}){besides}; "
            f"{len(learned)} cases to learn from, {len(judged)} to judge with."
        ),
        train=learned,
        validation=judged,
        slices=len(labels),
        shown=shown,
        rehearsal=int((~own).sum()) + undrawn[1],
        concerns=tuple(concerns),
        left_out=dict(left_out or {}),
        steps=dict(steps),
    )
