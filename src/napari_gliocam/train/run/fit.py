"""Run one stage to its end with Lightning, from any checkpoint."""

from __future__ import annotations

import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Fabric, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.batches import Batched, StageData
from napari_gliocam.train.data.slice_set import Images
from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.run.checkpoints import (
    BEST,
    LAST,
    WEIGHTS,
    DurableCheckpointIO,
    load_weights,
    readable,
    save_weights,
)
from napari_gliocam.train.run.events import Reporter, TrainingReport
from napari_gliocam.train.stages.stage import LossError, Stage

#: The average forgets faster in the first steps, when the weights change most.
_FIRST_STEPS = 20
#: Weights of one type.
Tensors = tuple[Tensor, ...] | list[Tensor]
#: Marks a stage whose batches were halved because the device ran out of memory.
_HALVED = "halved"


class StoppedError(Exception):
    """The training was asked to stop; the checkpoint is written."""


@dataclass(frozen=True)
class Machine:
    """The devices of a training, in Lightning's own words.

    Parameters
    ----------
    accelerator : {"auto", "cpu", "gpu", "mps"}
        Kind of device.
    devices, num_nodes : int
        Devices of each node, and number of nodes; more than one train with DDP.
    strategy : str
        Lightning's strategy.
    workers : int
        Loading processes of each device.
    hold : bool or None
        Whether slices are kept and augmented on the device; None: where one CUDA device trains
        and a quarter of its free memory has room for them.
    at_once : int or None
        Networks of a round that learn at the same time, each in a process of its own; None: as many
        as have two cores and room for the slices each, where the device holds them.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    workers: int = 0
    hold: bool | None = None
    at_once: int | None = None

    @property
    def device(self) -> torch.device:
        """One device of this kind."""
        return choose_device("cpu" if self.accelerator == "cpu" else "auto")

    def holds(self, images: Images) -> bool:
        """Return True if slices are to be kept on the device."""
        return self._copies(images) > 4 if self.hold is None else self.hold

    def together(self, networks: int, images: Images) -> int:
        """Return how many networks of a round learn at the same time.

        Parameters
        ----------
        networks : int
            Networks of the round.
        images : Images
            The slices, which each of them and this process keep; half of the memory is left to
            learn in.
        """
        if self.at_once is not None:
            return min(networks, self.at_once)
        if not self.holds(images):
            return 1
        cores, room = (os.cpu_count() or 1) // 2, int(self._copies(images) / 2) - 1
        return max(1, min(networks, cores, room))

    def _copies(self, images: Images) -> float:
        """Return how often the slices fit into the free memory of a CUDA device that is alone."""
        if self.world > 1 or self.device.type != "cuda":
            return 0.0
        free, _ = torch.cuda.mem_get_info(self.device)
        return free / max(2 * math.prod(images.shape), 1)

    @property
    def words(self) -> str:
        """A description such as ``"2 x gpu on 1 node"``."""
        nodes = f"{self.num_nodes} node{'s' if self.num_nodes > 1 else ''}"
        return f"{self.devices} x {self.accelerator} on {nodes}"

    @property
    def world(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.num_nodes


def first_process() -> bool:
    """Return True in the first of all processes that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


def launched(machine: Machine) -> Fabric | None:
    """Start all processes that train together, so that one can wait for another.

    Parameters
    ----------
    machine : Machine
        The devices; None is returned where one process trains alone.
    """
    if machine.world == 1:
        return None
    fabric = Fabric(
        accelerator=machine.accelerator,
        strategy=machine.strategy,
        devices=machine.devices,
        num_nodes=machine.num_nodes,
    )
    fabric.launch()
    return fabric


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Seed torch for first weights, and leave its own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.default_rng(list(seed)).integers(2**62)))
        yield


def run_stage(
    name: str,
    stage: Stage,
    train: Batched,
    validation: Batched,
    folder: Path,
    machine: Machine,
    *,
    seed: int = 0,
    report: Reporter | None = None,
) -> None:
    """Train a stage, with half batches where the device has too little memory.

    Parameters
    ----------
    name : str
        Name of the stage, for reports.
    stage : Stage
        The stage; its network is trained in place, or loaded where the stage is done already.
    train, validation : Batched
        The two data sets; the second may be empty.
    folder : Path
        Folder of this stage alone: checkpoints, csv logs, and at the end the weights.
    machine : Machine
        The devices.
    seed : int
        Seed of the order of the slices.
    report : Reporter, optional
        Called after each step; a result of True stops the training.

    Raises
    ------
    StoppedError
        If ``report`` asked to stop; calling again goes on.
    TrainingError
        If the loss is no longer a number before there is a checkpoint, or the memory does not
        suffice for half batches either.
    """
    whole, halved = stage.fit, folder / _HALVED
    for attempt in range(2):
        stage.fit = _half(whole) if halved.exists() else whole
        stage.train()
        data = StageData(train, validation, stage.fit, seed=seed, workers=machine.workers)
        try:
            fit_stage(name, stage, data, folder, machine, report)
            return
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if attempt or stage.fit.batch == 1 or halved.exists():
                raise TrainingError(
                    f"The device has too little memory for {name} even with batches of "
                    f"{stage.fit.batch}; lower the batch, or train on another device."
                ) from error
            torch.cuda.empty_cache()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            halved.touch()
            note(
                report,
                name,
                f"The device ran out of memory; {name} begins again with batches of "
                f"{_half(whole).batch}, two a step.",
            )
        except LossError as error:
            if not _restore(stage, folder, BEST, LAST):
                raise
            if first_process():
                save_weights(stage.network, folder / WEIGHTS)
            note(report, name, str(error))
            return


def out_of_memory(error: RuntimeError) -> bool:
    """Return True if torch found too little memory, on a GPU or for the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def fit_stage(
    name: str,
    stage: Stage,
    data: StageData,
    folder: Path,
    machine: Machine,
    report: Reporter | None = None,
) -> None:
    """Train ``stage.network`` in place, or load it where the stage is done already.

    Parameters
    ----------
    name, stage, folder, machine, report
        As in `run_stage`.
    data : StageData
        The batches.

    Raises
    ------
    StoppedError
        If ``report`` asked to stop; calling again goes on.
    LossError
        If the loss is no longer a number.
    """
    if load_weights(stage.network, folder / WEIGHTS):
        return
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / LAST
    start = readable(last)
    if start != last and last.exists():
        how = "goes on from the one before" if start else "begins again"
        note(report, name, f'The checkpoint "{last}" is damaged; {name} {how}.')
    with quiet_lightning():
        reporter = ReportEachStep(name, report, last) if report else None
        trainer = _trainer(stage, data, folder, machine, reporter)
        trainer.fit(stage, data, ckpt_path=start, weights_only=True)
    if stage.fit.keep == "best" and not _restore(stage, folder, BEST):
        note(report, name, f"The best weights of {name} cannot be read; it ends with the last.")
    if trainer.is_global_zero:
        save_weights(stage.network, folder / WEIGHTS)
    trainer.strategy.barrier()
    load_weights(stage.network, folder / WEIGHTS)
    if reporter is not None and reporter.asked:
        raise StoppedError


def note(report: Reporter | None, stage: str, sentence: str = "") -> None:
    """Report something that has no steps; it is not stopped there, the next stage is."""
    if report is not None:
        report(TrainingReport(stage, 0, 1, 0, 1, note=sentence))


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's tips and tables, and its warnings about intended settings."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in (
                "Checkpoint directory .* exists and is not empty",  # it goes on from there
                ".* available but not used",  # the user chose the device
                "It is recommended to use .*sync_dist=True",  # stages take the mean themselves
                "torch.distributed.nn.functional.all_gather is deprecated",  # in torch 2.15
                "Found .* in eval mode at the start of training",  # frozen norms are meant
                "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning's own, torch 2.15
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)


class ReportEachStep(Callback):
    """Report after each step and epoch; on the first process only, but all must have one.

    Parameters
    ----------
    stage : str
        Name of the stage.
    report : Reporter
        Takes the reports.
    checkpoint : Path
        File that is written when the training is stopped.
    """

    def __init__(self, stage: str, report: Reporter, checkpoint: Path) -> None:
        self.stage, self.report, self.checkpoint = stage, report, checkpoint
        #: Whether the training was asked to stop.
        self.asked = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report a step; after the last of an epoch its validation still belongs to it."""
        self._report(trainer, 0)
        if self.asked and not trainer.is_last_batch:
            trainer.save_checkpoint(self.checkpoint)
            raise StoppedError

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report an epoch, judged on the validation patients."""
        self._report(trainer, 1)

    def _report(self, trainer: Trainer, ended: int) -> None:
        metrics = trainer.callback_metrics  # every process takes part in their mean
        if trainer.is_global_zero:
            values = {k: float(v) for k, v in metrics.items()}
            values["rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
            report = TrainingReport(
                stage=self.stage,
                epoch=trainer.current_epoch + ended,
                epochs=trainer.max_epochs or 0,
                step=trainer.global_step,
                steps=int(trainer.estimated_stepping_batches),
                values={k: v for k, v in values.items() if math.isfinite(v)},
            )
            self.asked = bool(self.report(report)) or self.asked
        if trainer.world_size > 1:
            self.asked = bool(trainer.strategy.broadcast(self.asked))


class _WithinEpochs(ModelCheckpoint):
    """Checkpoints between the steps of an epoch; after the last one it is not yet judged."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def _trainer(
    stage: Stage,
    data: StageData,
    folder: Path,
    machine: Machine,
    reporter: ReportEachStep | None,
) -> Trainer:
    fit = stage.fit
    callbacks: list[Callback] = []
    if fit.average:  # before the reporter, which writes a checkpoint where it stops
        callbacks.append(WeightAveraging(multi_avg_fn=_moving_average(fit.average)))
    if reporter is not None:
        callbacks.append(reporter)
    mode = "max" if fit.monitor == "val_auc" else "min"
    if fit.patience:
        callbacks.append(EarlyStopping(fit.monitor, patience=fit.patience, mode=mode))
    common: dict[str, Any] = {
        "dirpath": folder,
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    if fit.keep == "best":  # before the last one, which records what the best one is
        best = ModelCheckpoint(filename=Path(BEST).stem, monitor=fit.monitor, mode=mode, **common)
        callbacks.append(best)
    callbacks.append(ModelCheckpoint(filename=Path(LAST).stem, **common))
    if fit.checkpoint_steps:
        common["save_on_train_epoch_end"] = False
        often = _WithinEpochs(
            filename=Path(LAST).stem, every_n_train_steps=fit.checkpoint_steps, **common
        )
        callbacks.append(often)
    return Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.num_nodes,
        strategy=machine.strategy,
        precision=fit.precision,
        max_epochs=fit.epochs,
        accumulate_grad_batches=fit.accumulate,
        callbacks=callbacks,
        plugins=[DurableCheckpointIO()],
        logger=_loggers(folder),
        sync_batchnorm=machine.world > 1 and machine.accelerator != "cpu",
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        limit_val_batches=None if len(data.validation) else 0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return a step of the running mean of weights, which forgets faster in the first steps."""

    def move(kept: Tensors, learned: Tensors, count: Tensor | int) -> None:
        past = min(decay, (int(count) + 1) / (int(count) + _FIRST_STEPS))
        if kept[0].is_floating_point():
            torch._foreach_lerp_(kept, learned, 1 - past)  # all weights at once
        else:
            torch._foreach_copy_(kept, learned)

    return move


def _loggers(folder: Path) -> list[Logger]:
    """Return loggers for csv, and for TensorBoard where it is installed (extra "tensorboard")."""
    loggers: list[Logger] = [CSVLogger(folder, name="logs")]
    if find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    return loggers


def _half(fit: Fit) -> Fit:
    """Return the settings with half batches and as many slices a step."""
    return replace(fit, batch=max(1, fit.batch // 2), accumulate=2 * fit.accumulate)


def _restore(stage: Stage, folder: Path, *names: str) -> bool:
    """Load the first of some checkpoints that can be read; return False if none can."""
    file = next((f for f in (readable(folder / name) for name in names) if f is not None), None)
    if file is None:
        return False
    stage.load_state_dict(torch.load(file, map_location="cpu", weights_only=True)["state_dict"])
    return True
