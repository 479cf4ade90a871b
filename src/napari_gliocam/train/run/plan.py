"""A summary of a training before it runs: counts, and concerns about small ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.case_set import CaseSet
from napari_gliocam.train.data.slice_set import split_cases
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.run.events import Plan

#: Fewer patients, and fewer slices that show a class, are a concern.
LITTLE_CASES, LITTLE_SHOWN = 5, 30
#: With fewer patients none is kept for validation.
CASES_TO_VALIDATE = 3


def fit_to_cases(recipe: Recipe, cases: int) -> Recipe:
    """Return the recipe, or one that validates with no patient where there are too few.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    cases : int
        Number of cases with labels.
    """
    if cases >= CASES_TO_VALIDATE or recipe.data.validation == 0:
        return recipe

    last = recipe.with_fits(lambda _, fit: replace(fit, keep="last", patience=0))
    return replace(last, data=replace(recipe.data, validation=0.0))


def make_plan(cases: CaseSet, recipe: Recipe, left_out: Mapping[str, str] | None = None) -> Plan:
    """Count the cases, slices and steps of a training.

    Parameters
    ----------
    cases : CaseSet
        The labelled slices.
    recipe : Recipe
        The recipe, as `fit_to_cases` returns it.
    left_out : mapping of str to str, optional
        Reason for each case that cannot be used.

    Returns
    -------
    Plan

    Raises
    ------
    TrainingError
        If a class is shown by no slice or by all: nothing could be learned.
    """
    slices, names = cases.slices, cases.names
    own = slices.case >= 0
    labels = slices.labels[own] > 0
    shown: dict[str, int] = dict(zip(TARGETS, labels.sum(axis=0).tolist(), strict=True))
    _refuse(labels.sum(axis=0).tolist(), len(labels))
    rows = split_cases(slices, recipe.data.validation, recipe.seed)
    train, validation = (
        tuple(names[c] for c in np.unique(slices.case[part]) if c >= 0) for part in rows
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
    without = {
        name
        for name, column in zip(TARGETS, slices.labels[rows[1]].T, strict=True)
        if len(rows[1]) and not (0 < column.sum() < len(column))
    }
    if without:
        concerns.append(
            f"The validation cases decide nothing about {' and '.join(sorted(without))}; "
            "label more cases."
        )
    rehearsal = int((~own).sum())
    return Plan(
        words=_words(len(train), len(validation), int(own.sum()), shown, rehearsal),
        train=train,
        validation=validation,
        slices=int(own.sum()),
        shown=shown,
        rehearsal=rehearsal,
        concerns=tuple(concerns),
        left_out=dict(left_out or {}),
        steps=_steps(recipe, len(rows[0]), slices.labels[rows[0]]),
    )


def _words(
    train: int, validation: int, slices: int, shown: Mapping[str, int], rehearsal: int
) -> str:
    counts = ", ".join(f"{n} {name}" for name, n in shown.items())
    besides = f", besides {rehearsal} synthetic ones" if rehearsal else ""
    return (
        f"{train + validation} cases with {slices} labelled slices ({counts}){besides}; {train} "
        f"cases to learn from, {validation} to judge with."
    )


def _refuse(shown: list[int], count: int) -> None:
    if shown[0] == 0:
        raise TrainingError(
            f"None of the {count} labelled slices shows a tumour; label some that do."
        )
    for name, number in zip(TARGETS, shown, strict=True):
        if number == 0:
            raise TrainingError(
                f"None of the {count} labelled slices shows {name}; label some that do, or "
                "check the column in the csv."
            )
        if number == count:
            raise TrainingError(
                f"All {count} labelled slices show {name}; label some that do not, too."
            )


def _steps(recipe: Recipe, count: int, labels: NDArray[np.float32]) -> dict[str, int]:
    """Return the number of steps of every stage that runs."""
    aggregated = int((labels[:, 0] > 0).sum()) if recipe.aggregate.slices == "tumour" else count
    if recipe.aggregate.max_slices:
        aggregated = min(aggregated, recipe.aggregate.max_slices)
    steps = {}
    for key, fit in recipe.fits().items():
        stage = key.removesuffix(".fit")
        network = "tumour" if stage.endswith("tumour") else "classes"
        if stage.startswith("pretrain") and getattr(recipe.pretrain, network).loss == "none":
            continue
        slices = aggregated if stage.startswith("aggregate") else count
        epochs, each = fit.epochs, max(1, slices // fit.batch)
        if stage.startswith("classifier"):
            each = recipe.data.sampling.steps if recipe.data.sampling.real else each
            epochs = recipe.seeds * sum(r.epochs for r in recipe.rounds) or epochs
        if epochs:
            steps[stage] = epochs * each
    return steps
