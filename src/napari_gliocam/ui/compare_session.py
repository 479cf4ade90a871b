"""What the dock "Compare CAMs" does: runs methods, follows thresholds, hands over a result.

As `Session` for the other panel: the views know no viewer, this knows no widget.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_gliocam.cams.volume import TARGETS, CamVolume
from napari_gliocam.case import Modality
from napari_gliocam.progress import Progress
from napari_gliocam.settings import Settings
from napari_gliocam.ui import compare_work, navigate
from napari_gliocam.ui.compare_figures import THRESHOLD, Figures, MethodRow, PairRow, as_csv
from napari_gliocam.ui.compare_grid import CompareGrid
from napari_gliocam.ui.compare_work import Cell, Comparing, Request
from napari_gliocam.ui.engine import Job, engine, files
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.live import LiveLabels
from napari_gliocam.ui.state import Message, Networks, Record, State, state_of, unwrap

#: Figures follow a threshold when it has rested for so long.
_REST_MS = 120
#: Longer than this, and a user is told before most of it has gone by.
_LONG_SECONDS = 30.0


class CompareSession:
    """Carries out what the views of the dock ask for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
        The dock; the timer dies with it.
    """

    methods_known = Signal(object)
    running = Signal(bool)
    progressed = Signal(object)
    said = Signal(object)
    tables_changed = Signal(object, object)
    ready_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self.viewer = unwrap(viewer)
        self.state: State = state_of(viewer)
        self.desk = LayerDesk(viewer)
        self.grid = CompareGrid(self.desk)
        self.figures: Figures | None = None
        self.cells: list[Cell] = []
        self._comparing: Comparing | None = None
        self._record: Record | None = None
        self._prepared: Any = None
        self._job: Job | None = None
        self._jobs: list[Job] = []
        self._followed: Record | None = None
        self._taken = 0
        self._told = False
        self._closed = False
        self._rest = QTimer(parent)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._on_rest)
        self._tidy = QTimer(parent)
        self._tidy.setSingleShot(True)
        self._tidy.timeout.connect(self._on_tidy)
        for emitter, slot in self._connections():
            emitter.connect(slot)

    def _connections(self) -> list[tuple[Any, Any]]:
        layers = self.viewer.layers.events
        return [
            (layers.inserted, self._on_case),
            (layers.removed, self._on_case),
            (self.state.events.current, self._on_case),
        ]

    # ---- start and end

    def start(self) -> None:
        """Look up the methods; on the engine, they need torch."""
        job = self._keep(engine().submit(compare_work.methods, "Looking for methods"))
        job.succeeded.connect(self._on_methods)
        job.failed.connect(self._on_failed_quietly)

    def _on_methods(self, methods: Any) -> None:
        self.methods_known.emit(methods)

    def close(self, *, restore: bool) -> None:
        """Stop everything that would report to the dock, which may be gone already."""
        if self._closed:
            return
        self._closed = True
        with suppress(RuntimeError):  # they die with the dock
            self._rest.stop()
            self._tidy.stop()
        for job in self._jobs:
            job.forget()
        self._jobs.clear()
        for emitter, slot in self._connections():
            emitter.disconnect(slot)
        if restore:
            self._follow(None)
            self.grid.close()

    def _keep(self, job: Job) -> Job:
        self._jobs = [j for j in self._jobs if not j.ended]
        self._jobs.append(job)
        return job

    def say(self, text: str, level: Any = "info") -> None:
        """Show a sentence in the dock."""
        self.said.emit(Message(text, level))

    def _on_failed_quietly(self, sentence: str) -> None:
        self.say(sentence, "error")

    # ---- the case

    @property
    def record(self) -> Record | None:
        """The case in work."""
        return navigate.case_in_work(self.viewer)

    def _on_case(self, event: Any = None) -> None:
        """Another case is in work, or none: a comparison of this one would be in its way."""
        compared = self.grid.record
        if compared is not None and compared is not self.record:
            if compared in self.desk.records():
                self.close_comparison()
            else:  # its layers are being removed: not while napari counts them
                self._tidy.start()
        self.ready_changed.emit()

    def _on_tidy(self) -> None:
        if self.grid.record not in (None, self.record):
            self.close_comparison()

    # ---- running

    @property
    def busy(self) -> bool:
        """Whether methods run, or are about to stop."""
        return self._job is not None

    def run(self, request: Request, *, this_slice: bool = False) -> Job | None:
        """Run methods on the case in work; None where that cannot be.

        Parameters
        ----------
        request : Request
        this_slice : bool
            Look at the slice in view, whatever the scope of the request.
        """
        record = self.record
        if self.busy or record is None:
            return None
        if not request.methods or not request.targets:
            self.say("Nothing is chosen; choose one or more methods and classes.", "error")
            return None
        if this_slice:
            index = navigate.slice_in_view(self.viewer, record.case.grid)
            if index is None:
                self.say("The slice in view lies outside the case; go to one of its slices.")
                return None
            request = replace(request, scope=index)
        bundle = None if self.state.bundle is None else self.state.bundle.path
        comparing = Comparing(record.case, bundle, self.state.device, request, self._prepared)
        job = self._keep(engine().submit(comparing.run, "Compare CAMs"))
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._job, self._comparing, self._record = job, comparing, record
        self._told, self._taken = False, 0
        self.said.emit(None)
        self.running.emit(True)
        return job

    def cancel(self) -> None:
        """Stop at the next step; what there is by then is kept."""
        if self._job is not None:
            self._job.cancel()

    def _end(self) -> int:
        """The run is over; how many maps it brought."""
        self._take()
        comparing, self._comparing, self._job, self._record = self._comparing, None, None, None
        assert comparing is not None
        self._prepared = comparing.prepared
        self.running.emit(False)
        return len(comparing.cells)

    def _on_progress(self, progress: Progress) -> None:
        comparing = self._comparing
        if comparing is None:
            return
        self._take()
        left = comparing.seconds_left
        self.progressed.emit((progress, comparing.unit, left))
        if not self._told and left is not None and left > _LONG_SECONDS:
            self._told = True
            words = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
            self.say(
                f"{progress.what} takes about {words}, measured on what is done; "
                "Cancel stops it and keeps that."
            )

    def _on_finished(self, result: Any) -> None:
        if not self._end():
            self.say("No slice that was asked for shows the class; choose another scope.")

    def _on_failed(self, sentence: str) -> None:
        self._end()
        self.say(sentence, "error")

    def _on_cancelled(self) -> None:
        made = self._end()
        kept = "what was done by then is shown" if made else "nothing changed"
        self.say(f"The comparison was cancelled; {kept}.")

    def _take(self) -> None:
        """Show the maps that have come since the last look."""
        comparing, record = self._comparing, self._record
        assert comparing is not None
        fresh = comparing.cells[self._taken :]
        self._taken += len(fresh)
        if not fresh or record is None or record is not self.record:
            return  # the case left the viewer meanwhile
        for cell in fresh:
            if self.figures is None or cell is comparing.cells[0]:
                self._begin(record, cell)
            assert self.figures is not None
            self.figures.add(cell)
            self.cells.append(cell)
            self.grid.add(cell, self.figures.threshold(cell.method), "")
        self._measure()

    def _begin(self, record: Record, cell: Cell) -> None:
        """The first map of a run takes the place of the comparison before."""
        thresholds = {m: self.threshold(m) for m in (self.figures.methods if self.figures else ())}
        self.close_comparison()
        self.figures = Figures(record.case, cell.asked)
        for method, threshold in thresholds.items():
            self.figures.set_threshold(method, threshold)
        self.grid.open(record)
        self._follow(record)

    # ---- the comparison that is shown

    def close_comparison(self) -> None:
        """The viewer as it was before."""
        self._rest.stop()
        self._follow(None)
        self.grid.close()
        self.figures = None
        self.cells = []
        self.tables_changed.emit([], [])

    def set_modality(self, modality: Modality | None) -> None:
        """Lay the maps over another modality."""
        self.grid.set_modality(modality)

    def threshold(self, method: str) -> float:
        """Where the maps of a method are cut."""
        return THRESHOLD if self.figures is None else self.figures.threshold(method)

    def set_threshold(self, method: str, threshold: float) -> None:
        """Follow a slider: the slice in view now, the rest and the figures when it rests."""
        if self.figures is None:
            return
        self.figures.set_threshold(method, threshold)
        self.grid.cut(method, threshold, in_view=True)
        self._rest.start()

    def _on_rest(self) -> None:
        if self.figures is None:
            return
        for method in self.figures.methods:
            self.grid.cut(method, self.figures.threshold(method))
        self._measure()

    def _measure(self, event: Any = None) -> None:
        """Figures at the present thresholds, in the tables and on the pictures."""
        figures, record = self.figures, self.grid.record
        if figures is None or record is None:
            self.tables_changed.emit([], [])
            return
        result = record.refined.current or record.live
        figures.set_result(None if result is None else result.labels)
        rows, pairs = figures.tables()
        for cell, row in zip(self.cells, rows, strict=True):
            self.grid.set_caption(cell, row.caption)
        self.tables_changed.emit(rows, pairs)

    def _follow(self, record: Record | None) -> None:
        """Measure again when the result of the case changes."""
        if self._followed is not None:
            self._followed.events.volumes_ml.disconnect(self._measure)
        if record is not None:
            record.events.volumes_ml.connect(self._measure)
        self._followed = record

    # ---- a method as the result

    def can_use(self, method: str) -> bool:
        """Whether a method has a map of core or of edema."""
        return any(c.method == method and c.target != "tumour" for c in self.cells)

    def use_as_result(self, method: str) -> None:
        """Make a method's core and edema, cut at its threshold, the result of the case."""
        record = self.grid.record
        if record is None or not self.can_use(method):
            return
        volumes = {c.target: c.volume for c in self.cells if c.method == method}
        empty = np.zeros(record.case.grid.shape, dtype=np.float32)
        core, edema = volumes.get("core", empty), volumes.get("edema", empty)
        cell = next(c for c in self.cells if c.method == method)
        own = record.maps
        if record.networks is None:
            refined = record.refined
            record.networks = Networks(record.settings, own, refined.applied, refined.change)
        maps = CamVolume(
            grid=record.case.grid,
            frame=cell.frame if own is None else own.frame,
            tumour=np.maximum(core, edema),
            core=core,
            edema=edema,
            probabilities=(
                np.zeros((len(cell.asked), len(TARGETS)), np.float32)
                if own is None
                else own.probabilities
            ),
            exits={} if own is None else own.exits,
            guided={} if own is None else own.guided,
            provenance=cell.provenance,
        )
        threshold = self.threshold(method)
        settings = replace(
            record.settings, tumour_threshold=threshold, class_threshold=threshold, gate=False
        )
        self._show_result(record, maps, settings)
        self.say(f"{method} at {threshold:.2f} is the result now; Close comparison shows it.")

    @property
    def can_undo(self) -> bool:
        """Whether the networks' own result was replaced."""
        record = self.record
        return record is not None and record.networks is not None

    def undo_result(self) -> None:
        """Back to what Segment found."""
        record = self.record
        if record is None or record.networks is None:
            return
        own, record.networks = record.networks, None
        if own.maps is None:
            self.desk.remove_result(record)
            record.refined.stop()
            record.settings, record.live, record.maps = own.settings, None, None
            record.segmented = record.volumes_ml = None
            self.say("There is no result again; Segment makes one.")
            return
        self._show_result(record, own.maps, own.settings, own)
        self.say("The result is that of Segment again.")

    def _show_result(
        self, record: Record, maps: CamVolume, settings: Settings, own: Networks | None = None
    ) -> None:
        """Make these maps the result; a refinement was of others, unless it was kept with them."""
        live = LiveLabels(maps, settings)
        live.finish()
        if record.segmented is None:
            record.segmented = record.case
        record.settings, record.live = settings, live
        record.refined.start(live)
        if own is not None:
            record.refined.resume(own.applied, own.change)
        record.maps = maps
        self.desk.show_result(record)
        record.volumes_ml = record.refined.volumes_ml

    # ---- export

    def export(self, path: str | Path, rows: list[MethodRow], pairs: list[PairRow]) -> Job:
        """Write the figures as csv, whole or not at all."""
        from napari_gliocam.io.atomic import write_files

        path = Path(path)
        content = as_csv(rows, pairs).encode()
        write = lambda: write_files({path: content}, overwrite=True)  # noqa: E731
        job = self._keep(files().submit(write, "Export"))
        job.succeeded.connect(lambda result: self.say(f"Saved {path.name} in {path.parent}."))
        job.failed.connect(self._on_failed_quietly)
        return job
