"""What the panel does: opens cases, runs Segment, follows thresholds, saves.

Between the views (which know no viewer) and state, engine and layers.  It belongs to the
panel; the state belongs to the viewer and outlives it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_gliocam.cams.volume import CamVolume, Row, Target
from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.settings import Settings
from napari_gliocam.ui import navigate, work
from napari_gliocam.ui.assign import Source, assign, swapped
from napari_gliocam.ui.engine import Job, engine, files
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.live import LiveLabels
from napari_gliocam.ui.reading import LabelsAlone, load_source, read_expert, read_path
from napari_gliocam.ui.state import Record, State, state_of, unwrap


class Session:
    """Carries out what the panel's views ask for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
        The panel; its timer dies with it.
    """

    maps_shown = Signal(Record, object)
    slice_changed = Signal()
    saved = Signal(list)

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self.viewer = unwrap(viewer)
        self.state: State = state_of(viewer)
        self.desk = LayerDesk(viewer)
        self._segmenting: Job | None = None
        self._segment_record: Record | None = None
        self._jobs: list[Job] = []
        self._rest = QTimer(parent)
        self._rest.setInterval(0)
        self._rest.timeout.connect(self._compute_rest)
        layers = self.viewer.layers
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        self.viewer.dims.events.point.connect(self._on_dims)
        self.viewer.dims.events.order.connect(self._on_dims)
        self.viewer.dims.events.ndisplay.connect(self._on_dims)
        self._watched: set[int] = set()
        self._on_layers()

    # ---- start and end

    def start(self) -> None:
        """Look up the bundle and the devices; the latter on the engine, they need torch."""
        from napari_gliocam.nets.bundle import read_bundle_info

        if self.state.bundle is None:
            try:
                self.state.bundle = read_bundle_info()
            except GliocamError as error:
                self.state.say(str(error), "error")
        if len(self.state.devices) == 1:
            job = self._keep(engine().submit(work.devices, "Looking for devices"))
            job.succeeded.connect(self._on_devices)

    def close(self) -> None:
        """Stop everything that would report to this panel, which may be gone already."""
        with suppress(RuntimeError):
            self._rest.stop()
        for job in (*self._jobs, *([self._segmenting] if self._segmenting else [])):
            job.cancel()
            for signal in (job.progressed, job.succeeded, job.failed, job.cancelled):
                signal.disconnect()
        self._jobs.clear()
        self._segmenting = None
        self.state.running = self.state.progress = None
        self.state.panels -= 1
        layers, dims = self.viewer.layers, self.viewer.dims
        layers.events.inserted.disconnect(self._on_layers)
        layers.events.removed.disconnect(self._on_layers)
        dims.events.point.disconnect(self._on_dims)
        dims.events.order.disconnect(self._on_dims)
        dims.events.ndisplay.disconnect(self._on_dims)
        for layer, tag in self.desk.tagged():
            if tag.role == "map":
                layer.events.visible.disconnect(self._on_map_visible)

    def _keep(self, job: Job) -> Job:
        self._jobs = [j for j in self._jobs if not j.ended]
        self._jobs.append(job)
        return job

    def set_bundle(self, folder: str | Path) -> None:
        """Use the weights of this folder from now on."""
        from napari_gliocam.nets.bundle import read_bundle_info

        try:
            self.state.bundle = read_bundle_info(folder)
        except GliocamError as error:
            self.state.say(str(error), "error")

    def _on_devices(self, devices: tuple[tuple[str, str], ...]) -> None:
        self.state.devices = devices

    # ---- cases

    def open(self, path: str | Path) -> Job:
        """Read a folder or a file of a case; its layers come when it is read."""
        self.state.message = None
        job = self._keep(files().submit(lambda: read_path(path), "Open"))
        job.succeeded.connect(self._on_opened)
        job.failed.connect(self._on_failure)
        return job

    def _on_opened(self, found: Record | LabelsAlone) -> None:
        if isinstance(found, LabelsAlone):
            self.desk.add_labels(found)
        else:
            self.desk.add_case(found)
            self.warn(found.case)

    def warn(self, case: Case) -> None:
        """Show what the reader found odd."""
        if case.warnings:
            self.state.say(" ".join(case.warnings), "warning")

    def select(self, record: Record | None) -> None:
        """Work on this case."""
        if record is self.state.current:
            return
        self.state.current = record
        if record is not None:
            self.desk.focus(record)
            if navigate.slice_in_view(self.viewer, record.case.grid) is None:
                self.go_to(record.case.grid.shape[0] // 2)
            self._rest.start()

    def _on_layers(self, event: Any = None) -> None:
        records = self.desk.records()
        known = self.state.records
        self.state.records = records
        fresh = [record for record in records if record not in known]
        if fresh:
            self.select(fresh[-1])
        elif self.state.current not in records:
            self.select(records[-1] if records else None)
        self.desk.name_apart()
        for layer, tag in self.desk.tagged():
            if tag.role == "map" and id(layer) not in self._watched:
                layer.events.visible.connect(self._on_map_visible)
                self._watched.add(id(layer))
        self._watched &= {id(layer) for layer in self.viewer.layers}
        self._on_map_visible()

    def set_modality(self, modality: Modality, source: Source | None) -> None:
        """Say which volume a modality is."""
        record = self.state.current
        if record is None:
            return
        try:
            if source is not None and source.volume is None:
                loaded = load_source(source, record.case)
                record.pool = tuple(loaded if s is source else s for s in record.pool)
                source = loaded
            case = assign(record.case, swapped(record.assignment(), modality, source))
        except GliocamError as error:
            self.state.say(str(error), "error")
            record.events.case.emit(record.case, record.case)  # the combo shows what holds
            return
        self._change_case(record, case)
        if record.maps is not None:
            self.state.say("The modalities changed; click Segment to bring the result up to date.")

    def set_scheme(self, name: str) -> None:
        """Read the expert labels with another label scheme."""
        record = self.state.current
        if record is None or record.case.expert is None or record.case.expert.scheme == name:
            return
        try:
            expert = read_expert(record.case, name)
        except GliocamError as error:
            self.state.say(str(error), "error")
            record.events.case.emit(record.case, record.case)
            return
        self._change_case(record, replace(record.case, expert=expert))

    def _change_case(self, record: Record, case: Case) -> None:
        record.case = case
        self.desk.update_case(record)

    # ---- Segment

    @property
    def busy(self) -> bool:
        """Whether Segment runs."""
        return self._segmenting is not None

    def segment(self) -> Job | None:
        """Run the networks on the case in work."""
        record = self.state.current
        if record is None or self.busy:
            return None
        bundle = None if self.state.bundle is None else self.state.bundle.path
        case, device = record.case, self.state.device
        job = engine().submit(lambda: work.segment(case, bundle, device), "Segment")
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_maps)
        job.failed.connect(self._on_segment_failed)
        job.cancelled.connect(self._on_segment_cancelled)
        self._segmenting, self._segment_record = job, record
        self._segment_case = case
        self.state.message = None
        self.state.progress = None
        self.state.running = record
        return job

    def cancel(self) -> None:
        """Stop Segment at its next step."""
        if self._segmenting is not None:
            self._segmenting.cancel()

    def _on_progress(self, progress: Progress) -> None:
        self.state.progress = progress

    def _on_maps(self, maps: CamVolume) -> None:
        record, case = self._segment_record, self._segment_case
        self._segment_ended()
        if record is None or record not in self.desk.records():
            return  # the case left the viewer meanwhile
        if record.case.grid is not case.grid:
            return
        record.segmented = case
        record.maps = maps
        record.live = LiveLabels(maps, record.settings)
        record.live.finish()
        self.desk.show_result(record)
        if self.state.current is not record:
            self._set_aside(record)
        record.volumes_ml = record.live.volumes_ml
        if self.state.current is record:
            self._look_at_lesion(record)
            self.slice_changed.emit()

    def _set_aside(self, record: Record) -> None:
        if self.state.current is not None:
            self.desk.focus(self.state.current)
        self.state.say(f"Segment finished {record.case.name}; choose it above to look at it.")

    def _look_at_lesion(self, record: Record) -> None:
        """Go to the largest lesion slice where the slice in view shows none."""
        assert record.live is not None
        index = navigate.slice_in_view(self.viewer, record.case.grid)
        best = navigate.largest_lesion_slice(record)
        if best is None:
            self.state.say("No tumour was found at these thresholds.")
        elif index is None or not record.live.lesion_voxels()[index]:
            self.go_to(best)

    def _on_segment_failed(self, sentence: str) -> None:
        self._segment_ended()
        self._on_failure(sentence)

    def _on_segment_cancelled(self) -> None:
        self._segment_ended()
        self.state.say("Segment was cancelled; nothing changed.")

    def _segment_ended(self) -> None:
        self._segmenting = self._segment_record = None
        self.state.running = None
        self.state.progress = None

    def _on_failure(self, sentence: str) -> None:
        self.state.say(sentence, "error")

    # ---- thresholds

    def set_settings(self, settings: Settings) -> None:
        """Follow the sliders: the slice in view now, the rest when there is time."""
        record = self.state.current
        if record is None or settings == record.settings:
            return
        record.settings = settings
        if record.live is None:
            return
        part = navigate.part_in_view(self.viewer, record.case.grid)
        record.live.change(settings, part)
        if self.desk.result(record) is None:
            self.desk.show_labels(record)
        elif part is not None:
            self.desk.repaint_labels(record)
        self._rest.start()

    def _compute_rest(self) -> None:
        record = self.state.current
        if record is None or record.live is None or not record.live.pending:
            self._rest.stop()
        elif not record.live.step():
            self._rest.stop()
            self._rest_done(record)

    def _rest_done(self, record: Record) -> None:
        assert record.live is not None
        record.volumes_ml = record.live.volumes_ml
        if self.viewer.dims.ndisplay == 3:
            self.desk.repaint_labels(record)

    def settle(self) -> None:
        """After a drag: every slice up to date, the thumbnail too."""
        record = self.state.current
        if record is None or record.live is None:
            return
        record.live.finish()
        self._rest.stop()
        self.desk.show_labels(record)
        record.volumes_ml = record.live.volumes_ml

    # ---- maps and slices

    def show_map(self, row: Row, target: Target, shown: bool) -> None:
        """Show or hide one map."""
        record = self.state.current
        if record is not None:
            self.desk.show_map(record, row, target, shown)
            self._on_map_visible()

    def _on_map_visible(self, event: Any = None) -> None:
        record = self.state.current
        if record is not None:
            self.maps_shown.emit(record, self.desk.shown_maps(record))

    def _on_dims(self, event: Any = None) -> None:
        record = self.state.current
        if record is not None and record.live is not None and record.live.pending:
            part = navigate.part_in_view(self.viewer, record.case.grid)
            if part is not None:
                record.live.show(part)
                self.desk.repaint_labels(record)
        self.slice_changed.emit()

    def go_to(self, index: int) -> None:
        """Stand on an axial slice of the case in work."""
        if self.state.current is not None:
            navigate.go_to_slice(self.viewer, self.state.current.case.grid, index)

    # ---- saving

    def save(self, path: str | Path) -> Job | None:
        """Write the labels and, beside them, the settings; the old file stays if that fails."""
        from napari_gliocam.io import save_segmentation

        record = self.state.current
        if record is None or record.live is None:
            return None
        segmentation = record.live.segmentation()
        case = record.segmented or record.case
        job = self._keep(
            files().submit(
                lambda: save_segmentation(segmentation, Path(path), case=case, overwrite=True),
                "Save",
            )
        )
        job.succeeded.connect(self._on_saved)
        job.failed.connect(self._on_failure)
        return job

    def _on_saved(self, paths: list[Path]) -> None:
        names = " and ".join(path.name for path in paths)
        self.state.say(f"Saved {names} in {paths[0].parent}.")
        self.saved.emit(list(paths))
