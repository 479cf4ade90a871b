"""From a request to a bundle: the whole of a training, in one call.

Window and command line both come here; everything that happens is an event
(`napari_gliocam.train.run.events`), which goes through a pipe or into a file.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.progress import Progress, finish
from napari_gliocam.train.run.checkpoints import BEST, WEIGHTS
from napari_gliocam.train.run.events import BetterWeights, Emit, Note, TrainingReport
from napari_gliocam.train.run.finish import BEST_SO_FAR, finishing
from napari_gliocam.train.run.fit import Machine, first_process
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.run.map_training import gathering_maps
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.segmenter_training import gathering_segmenter
from napari_gliocam.train.run.work_folder import full_disk, locked, remove_parts

#: Lightning's words for devices.
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def run_request(request: TrainingRequest, emit: Emit) -> Path | None:
    """Train as a request says, from any point where it was broken off.

    Parameters
    ----------
    request : TrainingRequest
        The training.
    emit : callable
        Takes every event.

    Returns
    -------
    Path or None
        The bundle's folder; None if the training was stopped: the folder then holds the best
        weights so far, and the same request goes on.

    Raises
    ------
    GliocamError
        If anything stands in the way; one sentence, with the remedy.
    """
    request = request.absolute()
    first = first_process()
    if first:
        request.check_folders()
    alone: AbstractContextManager[None] = locked(request.out_dir) if first else nullcontext()
    with alone, full_disk(request.out_dir):
        if request.finished:
            raise TrainingError(
                f'"{request.out_dir}" holds a finished bundle; choose another folder for a new one.'
            )
        if first:
            request.stop_file.unlink(missing_ok=True)
            remove_parts(request.out_dir)
            remove_parts(request.work_dir)
        given = finish(gathering(request), emit)
        for sentence in given.warnings:
            emit(Note(sentence))
        if first:  # a request that was refused leaves nothing behind
            request.save()
        emit(given.plan)
        watch = _Watch(given, emit)
        done = given.train(machine_of(request), watch.report)
        if first and not done and watch.write_best(request.out_dir):
            emit(Note("Stopped; the best weights so far are kept."))
        if first and done:
            compared = finish(finishing(given), emit)
            for problem in compared.problems:
                emit(Note(problem))
            emit(compared)
        return request.out_dir if done else None


def gathering(
    request: TrainingRequest, *, draw: bool = True
) -> Generator[Progress, None, Gathered]:
    """Prepare and count the cases and labels of a training; nothing is trained.

    Parameters
    ----------
    request : TrainingRequest
        The training: of a segmentation network where it has masks, else of the maps' networks.
    draw : bool
        As in `gathering_segmenter`.

    Yields
    ------
    Progress
        Cases found and prepared.

    Returns
    -------
    Gathered

    Raises
    ------
    GliocamError
        If anything stands in the way of the training.
    """
    given: Gathered
    if request.masks:
        given = yield from gathering_segmenter(request, draw=draw)
    else:
        given = yield from gathering_maps(request)
    return given


def machine_of(request: TrainingRequest) -> Machine:
    """Return the devices of a request in Lightning's words; raise `DeviceError` without them."""
    choose_device(request.device)
    return Machine(
        _ACCELERATORS[request.device],
        request.devices,
        request.nodes,
        strategy="ddp" if request.devices * request.nodes > 1 else "auto",
        workers=request.workers,
    )


class _Watch:
    """Accompanies a training: emits reports, looks for the stop file, keeps the best bundle."""

    def __init__(self, given: Gathered, emit: Emit) -> None:
        self.given, self.emit = given, emit
        self._seen: dict[Path, int] = {}

    def report(self, report: TrainingReport) -> bool:
        """Emit a report; return True if the training is to stop."""
        self.emit(report)
        request = self.given.request
        if first_process() and self._better():
            folder = request.work_dir / BEST_SO_FAR
            if self.write_best(folder):
                self.emit(BetterWeights(str(folder)))
        return request.stop_file.exists()

    def write_best(self, folder: Path) -> bool:
        """Write the best networks so far as a bundle; return False if there are none yet."""
        best, about = self.given.best_so_far(), self.given.about
        if best is None:
            return False
        net, segmenter = best
        info = replace(about, **asdict(net.design), name=f"{about.name} (unfinished)")
        save_bundle(net.eval(), info, folder, segmenter=segmenter)
        return True

    def _better(self) -> bool:
        """Return True if a stage has written better weights since the last call."""
        work = self.given.request.work_dir
        files = [*work.glob(f"*/{BEST}"), *work.glob(f"*/{WEIGHTS}")]
        now = {file: file.stat().st_mtime_ns for file in files}
        changed, self._seen = now != self._seen, now
        return changed and bool(now)
