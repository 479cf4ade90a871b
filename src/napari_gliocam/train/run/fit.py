"""Run one stage to its end with Lightning, from wherever it stood."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file, save_file
from torch import nn

from napari_gliocam.train.data.batches import StageData
from napari_gliocam.train.run.report import ReportEachStep, Reporter, StoppedError
from napari_gliocam.train.stages.stage import Stage

#: Written when a stage is done.
WEIGHTS = "weights.safetensors"
#: Written after each epoch, to go on from.
LAST, BEST = "last.ckpt", "best.ckpt"


@dataclass(frozen=True)
class Machine:
    """Where and how a training runs; Lightning's own words.

    Parameters
    ----------
    accelerator : str
        ``"auto"``, ``"cpu"``, ``"gpu"``, ``"mps"``.
    devices, num_nodes : int
        Devices a node, and nodes; more than one train with DDP.
    strategy : str
    workers : int
        Loading processes a device.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    workers: int = 0

    @property
    def words(self) -> str:
        """Such as ``"2 x gpu on 1 node"``."""
        nodes = f"{self.num_nodes} node{'s' if self.num_nodes > 1 else ''}"
        return f"{self.devices} x {self.accelerator} on {nodes}"


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
    name : str
        For reports.
    stage : Stage
    data : StageData
    folder : Path
        Of this stage alone: checkpoints, csv logs, and at the end the weights.
    machine : Machine
    report : Reporter, optional

    Raises
    ------
    StoppedError
        If ``report`` asked for it; calling again goes on.
    TrainingError
        If the loss is no longer a number.
    """
    done = folder / WEIGHTS
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with quiet_lightning():
            reporter = ReportEachStep(name, report, folder / LAST) if report else None
            trainer = _trainer(stage, data, folder, machine, reporter)
            last = folder / LAST
            trainer.fit(stage, data, ckpt_path=last if last.exists() else None)
        only_once(done, lambda: _save_network(stage, folder))
        if reporter is not None and reporter.asked:
            raise StoppedError
    stage.network.load_state_dict(load_file(done))


def first_process() -> bool:
    """Whether this is the first of all processes that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


def only_once(file: Path, make: Callable[[], None]) -> None:
    """Let the first of all processes make a file that the others wait for."""
    if first_process() and not file.exists():
        make()
    while not file.exists():
        time.sleep(0.2)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """No tips, no tables, and none of the warnings about what is meant to be so."""
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
    callbacks: list[Callback] = [reporter] if reporter is not None else []
    mode = "max" if fit.monitor == "val_auc" else "min"
    if fit.patience:
        callbacks.append(EarlyStopping(fit.monitor, patience=fit.patience, mode=mode))
    common: dict[str, Any] = {
        "dirpath": folder,
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    if fit.keep == "best":  # before the last one, which holds what the best one knows
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
        logger=_loggers(folder),
        sync_batchnorm=machine.devices * machine.num_nodes > 1 and machine.accelerator != "cpu",
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        limit_val_batches=None if len(data.validation) else 0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _loggers(folder: Path) -> list[Logger]:
    """Figures as csv, and for TensorBoard where it is installed (the extra "tensorboard")."""
    loggers: list[Logger] = [CSVLogger(folder, name="logs")]
    if find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    return loggers


def stage_folder(work: Path, name: str) -> Path:
    """Where a stage keeps its files."""
    return work / name.replace(".", "_")


def keep_what_there_is(stage: Stage, folder: Path) -> bool:
    """End a stage that cannot go on with its best weights so far; False where there are none."""
    file = next((f for f in (folder / BEST, folder / LAST) if f.exists()), None)
    if file is None:
        return False
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    stage.load_state_dict(state)
    only_once(folder / WEIGHTS, lambda: save_network(stage.network, folder / WEIGHTS))
    return True


def _save_network(stage: Stage, folder: Path) -> None:
    """Write the weights that leave the stage, whole or not at all."""
    if stage.fit.keep == "best":
        checkpoint = torch.load(folder / BEST, map_location="cpu", weights_only=True)
        stage.load_state_dict(checkpoint["state_dict"])
    save_network(stage.network, folder / WEIGHTS)


def save_network(network: nn.Module, file: Path) -> None:
    """Write a network's weights (safetensors), whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, temporary)
    temporary.replace(file)
