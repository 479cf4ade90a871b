"""Networks of a round that learn at the same time, each in a process of its own.

A small network keeps a GPU waiting for Python; several fill the gaps.  Only the files of finished
stages come back: the caller then goes through the same stages and finds them done.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import torch

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.run.events import TrainingReport
from napari_gliocam.train.run.fit import StoppedError

if TYPE_CHECKING:
    from napari_gliocam.train.run.backbones import Backbones, Network

#: Seconds between two looks at the reports of the processes.
_INTERVAL = 0.1


class Part(NamedTuple):
    """One network of one seed in one round.

    Parameters
    ----------
    net : GliocamNet
        The networks of the seed before the round.
    number : int
        The round, from 1.
    seed : int
        Number of the seed, from 0.
    network : {"tumour", "classes"}
        The network that learns.
    maps : Path or None
        Folder of the soft maps.
    """

    net: GliocamNet
    number: int
    seed: int
    network: Network
    maps: Path | None


class SideBySide:
    """Processes that train parts of a round; a context manager.

    Parameters
    ----------
    run : Backbones
        The training.
    count : int
        Number of processes.
    """

    def __init__(self, run: Backbones, count: int) -> None:
        context = get_context("spawn")  # CUDA does not survive a fork
        self._report = run.report
        self._reports: Queue[TrainingReport] = context.Queue()
        self._stop = context.Event()
        # All do as this process does: each would find less free memory than the one before.
        machine = replace(run.machine, hold=run.held is not None)
        # Bytes: torch would send each tensor as an open file, and there are too many.
        plain = pickle.dumps(replace(run, report=None, fabric=None, machine=machine))
        given = (plain, self._reports, self._stop)
        self._pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=given)

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()  # whatever went wrong here, they end after their step
        self._pool.shutdown(cancel_futures=True)

    def train(self, parts: Sequence[Part]) -> None:
        """Train parts to their end and pass their reports on.

        Parameters
        ----------
        parts : sequence of Part
            The parts.

        Raises
        ------
        StoppedError
            If a report was answered with True.
        TrainingError
            If a process was ended from outside.  An error in one process ends the others after
            their step, and is raised.
        """
        jobs = [self._pool.submit(_train, pickle.dumps(part)) for part in parts]
        running = True
        while running:
            done, not_done = wait(jobs, _INTERVAL)
            running = bool(not_done)
            if any(job.exception() for job in done):
                self._stop.set()
            while not self._reports.empty():
                report = self._reports.get()
                if self._report is not None and self._report(report):
                    self._stop.set()
        errors = [error for job in jobs if (error := job.exception())]
        errors.sort(key=lambda error: isinstance(error, StoppedError))  # those only followed
        if errors and isinstance(errors[0], BrokenProcessPool):
            raise TrainingError(
                "A process of the training was ended from outside, as where memory runs out; "
                "start the training again, it goes on from its last checkpoint."
            ) from errors[0]
        if errors:
            raise errors[0]


_RUN: Backbones


def _begin(run: bytes, reports: Queue[TrainingReport], stop: Event) -> None:
    global _RUN
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)

    def report(event: TrainingReport) -> bool:
        reports.put(event)
        return stop.is_set()

    _RUN = replace(pickle.loads(run), report=report)  # noqa: S301 - from this program itself


def _end_with_parent() -> None:
    """End this process with the one that started it: a new run goes on in the same folder."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _train(part: bytes) -> None:
    _RUN.learn_part(pickle.loads(part))  # noqa: S301
