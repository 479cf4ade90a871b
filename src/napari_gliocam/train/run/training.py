"""From a request to a bundle: the whole of a training, in one call.

Window and command line both come here; everything that happens is an event
(`napari_gliocam.train.run.events`), which goes through a pipe or into a file.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import BundleInfo, save_bundle
from napari_gliocam.progress import finish
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.checkpoints import BEST, WEIGHTS, load_best_so_far
from napari_gliocam.train.run.events import BetterWeights, Emit, Note, TrainingReport
from napari_gliocam.train.run.finish import BEST_SO_FAR, finishing
from napari_gliocam.train.run.fit import Machine, first_process
from napari_gliocam.train.run.gathering import Gathered, gathering
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.segmenter_training import train_segmenter
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
    alone: AbstractContextManager[None] = locked(request.out_dir) if first else nullcontext()
    with alone, full_disk(request.out_dir):
        if request.finished:
            raise TrainingError(
                f'"{request.out_dir}" holds a finished bundle; choose another folder for a new one.'
            )
        if first:
            request.save()
            request.stop_file.unlink(missing_ok=True)
            remove_parts(request.out_dir)
            remove_parts(request.work_dir)
        if request.masks:
            return train_segmenter(request, machine_of(request), emit)
        given = finish(gathering(request), emit)
        for sentence in given.warnings:
            emit(Note(sentence))
        emit(given.plan)
        watch = _Watch(request, given, emit)
        done = train_bundle(
            given.recipe,
            given.cases.slices,
            request.out_dir,
            work_dir=request.work_dir,
            about=watch.about,
            start=None if given.start is None else given.start.net,
            machine=machine_of(request),
            report=watch.report,
        )
        if not first:
            return done
        if done is None:
            if watch.write_best(request.out_dir):
                emit(Note("Stopped; the best weights so far are kept."))
            return None
        compared = finish(finishing(request, given), emit)
        for problem in compared.problems:
            emit(Note(problem))
        emit(compared)
        return done


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

    def __init__(self, request: TrainingRequest, given: Gathered, emit: Emit) -> None:
        self.request, self.given, self.emit = request, given, emit
        self.about = _about(request, given)
        self._seen: dict[Path, int] = {}

    def report(self, report: TrainingReport) -> bool:
        """Emit a report; return True if the training is to stop."""
        self.emit(report)
        if first_process() and self._better():
            folder = self.request.work_dir / BEST_SO_FAR
            if self.write_best(folder):
                self.emit(BetterWeights(str(folder)))
        return self.request.stop_file.exists()

    def write_best(self, folder: Path) -> bool:
        """Write the best networks so far as a bundle; return False if there are none yet."""
        net = self.given.new_networks()
        found = load_best_so_far(net, self.request.work_dir, self.given.recipe)
        if found:
            design = asdict(net.design)
            info = replace(self.about, **design, name=f"{self.about.name} (unfinished)")
            save_bundle(net.eval(), info, folder)
        return found

    def _better(self) -> bool:
        """Return True if a stage has written better weights since the last call."""
        work = self.request.work_dir
        files = [*work.glob(f"*/{BEST}"), *work.glob(f"*/{WEIGHTS}")]
        now = {file: file.stat().st_mtime_ns for file in files}
        changed, self._seen = now != self._seen, now
        return changed and bool(now)


def _about(request: TrainingRequest, given: Gathered) -> BundleInfo:
    """Return the description of the new bundle before it is trained."""
    name = request.name or request.out_dir.name
    name = name.encode(errors="replace").decode()  # a folder's name may be no text
    if given.start is None:
        return BundleInfo(
            name=name,
            origin="Trained from scratch on own cases with slice labels alone",
            licence="unknown",
            modalities=given.index.preparation.modalities,
            training={"request": _settings(request)},
        )
    before = given.start.info
    return replace(
        before,
        name=name,
        origin=f"{before.name}, fine-tuned on own cases with slice labels alone",
        path=None,
        training={
            "began_with": {"name": before.name, "origin": before.origin, "licence": before.licence},
            "request": _settings(request),
        },
    )


def _settings(request: TrainingRequest) -> dict[str, Any]:
    """Return the settings that may be shared with a bundle: no path, no name of a folder."""
    labels = "a table of slice labels" if request.labels else "derived from expert labels"
    names = ("device", "devices", "nodes", "workers", "threads", "compare")
    return {"labels": labels, **{name: getattr(request, name) for name in names}}
