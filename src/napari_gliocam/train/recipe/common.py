"""The part that the recipes of all trainings have in common: optimisation, validation, seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self


def number(default: Any, low: float, high: float = float("inf")) -> Any:
    """Return a field with a range, which `napari_gliocam.train.recipe.toml_file` checks."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The optimisation of one stage.

    Parameters
    ----------
    epochs : int
        Number of passes over the slices; 0 leaves the stage out, its networks stay as they are.
    batch : int
        Slices a step, over all devices.
    rate : float
        Learning rate; the peak where the schedule has one.
    optimiser : {"adam", "adamw", "sgd"}
        Optimiser; "adamw" decays the weights apart from the gradient.
    momentum : float
        Momentum of SGD.
    weight_decay : float
        Weight decay of the optimiser.
    schedule : {"one-cycle", "cosine", "poly", "constant"}
        Course of the learning rate; "poly" is ``(1 - step / steps)`` to the power of 0.9.
    warm_up : float
        One-cycle: the part of the steps in which the rate rises.
    hold : int
        Cosine: epochs before the rate begins to fall.
    floor : float
        Cosine: the last rate.
    precision : {"32-true", "bf16-mixed"}
        Number format of the training.
    keep : {"last", "best"}
        Weights that leave the stage; "best" by ``monitor`` on the validation patients.
    monitor : {"val_loss", "val_auc"}
        Figure that decides which weights are the best.
    patience : int
        Number of epochs without a better ``monitor`` after which the stage ends; 0 never ends it
        early.
    average : float
        Decay of a running mean of the weights over the steps, which leaves the stage in their
        place (a mean teacher, Tarvainen & Valpola 2017); it forgets faster in the first steps.
        0 keeps the last weights.
    accumulate : int
        Batches a step of the optimiser.
    checkpoint_steps : int
        Number of steps between checkpoints within an epoch; 0 writes them after each epoch alone.
    """

    epochs: int = number(5, 0)
    batch: int = number(32, 1)
    rate: float = number(1e-3, 0.0)
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float = number(0.0, 0.0, 1.0)
    weight_decay: float = number(0.0, 0.0)
    schedule: Literal["one-cycle", "cosine", "poly", "constant"] = "one-cycle"
    warm_up: float = number(0.15, 0.0, 1.0)
    hold: int = number(0, 0)
    floor: float = number(0.0, 0.0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    keep: Literal["last", "best"] = "last"
    monitor: Literal["val_loss", "val_auc"] = "val_loss"
    patience: int = number(0, 0)
    average: float = number(0.0, 0.0, 0.9999)
    accumulate: int = number(1, 1)
    checkpoint_steps: int = number(0, 0)


@dataclass(frozen=True, kw_only=True)
class AnyData:
    """The part of the choice of slices that all trainings have in common.

    Parameters
    ----------
    validation : float
        [16] Part of the patients kept for validation, by seed, in proportion to their labels.
    """

    validation: float = number(0.1, 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class AnyRecipe(ABC):
    """The part that the recipes of all trainings have in common.

    Parameters
    ----------
    name : str
        Name of the recipe.
    seed : int
        Seed of everything: first weights, split, order, augmentation.
    start : {"random", "bundle"}
        First weights: random, or those of a bundle, whose networks keep their design whatever the
        recipe says.
    data : AnyData
        Choice of slices.
    """

    name: str = "unnamed"
    seed: int = number(0, 0)
    start: Literal["random", "bundle"] = "random"
    data: AnyData = AnyData()

    def __post_init__(self) -> None:
        for stage, fit in self.fits().items():
            validates = fit.keep == "best" or fit.patience
            if self.data.validation == 0 and fit.epochs and validates:
                key = f"{stage}.fit" if "." in stage else "fit"
                raise ValueError(
                    f'{key}.keep "{fit.keep}" with patience {fit.patience}, which need validation '
                    'patients, and data.validation is 0: choose "last" and 0, or keep some'
                )

    @abstractmethod
    def fits(self) -> dict[str, Fit]:
        """Return the `Fit` of each stage by its name, in the order in which the stages run."""

    @abstractmethod
    def with_fits(self, change: Callable[[str, Fit], Fit]) -> Self:
        """Return the recipe with other settings of its stages.

        Parameters
        ----------
        change : callable
            Takes the name of a stage, as in `fits`, and its `Fit`; returns the new one.
        """

    def without_validation(self) -> Self:
        """Return the recipe that judges with no patient and keeps the last weights."""
        last = self.with_fits(lambda _, fit: replace(fit, keep="last", patience=0))
        return replace(last, data=replace(self.data, validation=0.0))
