"""A training before it runs: counts, concerns about small ones, and the time of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.progress import Progress
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.common import AnyRecipe
from napari_gliocam.train.run.events import Plan
from napari_gliocam.train.run.fit import out_of_memory
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.stages.stage import Stage

R = TypeVar("R", bound=AnyRecipe)

#: Fewer patients, and fewer slices that show a class, are a concern.
LITTLE_CASES, LITTLE_SHOWN = 5, 30
#: With fewer patients none is kept for validation.
CASES_TO_VALIDATE = 3
#: Number of timed steps, after one that is not.
_TIMED = 2


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
    targets: Sequence[Target] = TARGETS,
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
    targets : sequence of Target
        Targets that are learned; the tumour first.

    Returns
    -------
    Plan
    """
    names, own = slices.names, slices.case >= 0
    labels = slices.labels[own] > 0
    shown: dict[str, int] = dict(zip(targets, labels.sum(axis=0).tolist(), strict=False))
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
        if count < LITTLE_SHOWN and (name != "tumour" or len(targets) == 1)
    ]
    undecided = [
        name
        for name, column in zip(targets, slices.labels[validation].T, strict=False)
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


def estimating_time(given: Gathered, device: str = "auto") -> Generator[Progress, None, float]:
    """Estimate the seconds that all steps of a training take here; no network is changed.

    Parameters
    ----------
    given : Gathered
        The input of the training.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to train on.

    Yields
    ------
    Progress
        Stages timed.

    Returns
    -------
    float
        Seconds, without preparing cases and without the comparison at the end.

    Raises
    ------
    TrainingError
        The memory of the device does not suffice for a step.
    """
    where, seconds = choose_device(device), 0.0
    for done, (name, steps) in enumerate(given.plan.steps.items()):
        yield Progress(done, len(given.plan.steps), "timing a few steps")
        stage, batch = given.trial(name, where)
        try:
            seconds += steps * _seconds_a_step(stage, batch, where)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise TrainingError(
                f"The device has too little memory for {name} with batches of {stage.fit.batch}; "
                "lower the batch, or choose another device."
            ) from error
    return seconds


def _seconds_a_step(stage: Stage, batch: Callable[[], object], device: torch.device) -> float:
    learned = [p for p in stage.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, 0.0)
    started = 0.0
    for step in range(1 + _TIMED):
        if step == 1:
            _wait(device)
            started = time.perf_counter()
        given = batch()
        with torch.autocast(
            device.type, torch.bfloat16, enabled=stage.fit.precision == "bf16-mixed"
        ):
            loss: Tensor = torch.stack(list(stage.terms(given).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    _wait(device)
    return (time.perf_counter() - started) / _TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
