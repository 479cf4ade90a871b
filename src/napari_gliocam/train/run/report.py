"""How a training tells of itself while it runs, and is stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer


@dataclass(frozen=True)
class TrainingReport:
    """Where a training stands, in plain values that go through any pipe.

    Parameters
    ----------
    stage : str
        Such as ``"classifier.tumour"``.
    epoch, epochs : int
        Epochs finished, of how many.
    step, steps : int
        Steps finished in the stage, of how many.
    values : dict of str to float
        Newest finite values by name: ``train_loss``, ``val_loss``, ``val_auc_core``, ``rate``;
        a stage's single terms, such as ``train_agree``.  Losses are means over the last epoch.
    note : str
        A sentence that a user should read, such as that memory ran out; mostly empty.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    values: dict[str, float] = field(default_factory=dict)
    note: str = ""


#: Takes every report; returning True stops the training there, to go on another time.
Reporter = Callable[[TrainingReport], bool | None]


class StoppedError(Exception):
    """Somebody asked to stop; the checkpoint is written."""


class ReportEachStep(Callback):
    """Report after each step and epoch; on the first process only, but all must have one.

    Parameters
    ----------
    stage : str
    report : Reporter
    checkpoint : Path
        Written when it is stopped.
    """

    def __init__(self, stage: str, report: Reporter, checkpoint: Path) -> None:
        self.stage, self.report, self.checkpoint = stage, report, checkpoint
        #: Whether somebody asked to stop.
        self.asked = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is done; after the last of an epoch its validation still belongs to it."""
        self._report(trainer, 0)
        if self.asked and not trainer.is_last_batch:
            trainer.save_checkpoint(self.checkpoint)
            raise StoppedError

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch is done, and judged on the validation patients."""
        self._report(trainer, 1)

    def _report(self, trainer: Trainer, ended: int) -> None:
        metrics = trainer.callback_metrics  # every process takes part in their mean
        if trainer.is_global_zero:
            values = {k: float(v) for k, v in metrics.items()}
            values["rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
            told = TrainingReport(
                stage=self.stage,
                epoch=trainer.current_epoch + ended,
                epochs=trainer.max_epochs or 0,
                step=trainer.global_step,
                steps=int(trainer.estimated_stepping_batches),
                values={k: v for k, v in values.items() if math.isfinite(v)},
            )
            self.asked = bool(self.report(told)) or self.asked
        if trainer.world_size > 1:
            self.asked = bool(trainer.strategy.broadcast(self.asked))
