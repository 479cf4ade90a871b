"""The time that a training would take, from a few timed steps of each of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.progress import Progress
from napari_gliocam.train.run.fit import out_of_memory
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.stages.stage import Stage

#: Number of timed steps, after one that is not.
_TIMED = 2


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
