"""What the Reading dock does: measures the result, reads voxels, draws, reports."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_gliocam.measure.voxel import VoxelReading, read_voxel
from napari_gliocam.ui import navigate, reading_work
from napari_gliocam.ui.agreement_run import AgreementRun
from napari_gliocam.ui.engine import Job
from napari_gliocam.ui.latest import Latest
from napari_gliocam.ui.layer_data import PLANES, Drawing
from napari_gliocam.ui.layers import LayerDesk
from napari_gliocam.ui.overlap_run import OverlapRun
from napari_gliocam.ui.reading_work import Measured
from napari_gliocam.ui.state import Record, State, state_of, unwrap

#: Figures are made when nothing was changed for so long; the picture comes first.
REST_MS = 120


class ReadingSession:
    """Carries out what the views of the Reading dock ask for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
        The dock; the timer dies with it.
    """

    measured = Signal(object)
    slice_changed = Signal(object)
    voxel_changed = Signal(object)
    drawings_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self.viewer = unwrap(viewer)
        self.state: State = state_of(viewer)
        self.desk = LayerDesk(viewer)
        self.latest = Latest(self.state)
        self.overlap = OverlapRun(self.state, self.desk, self.latest)
        self.agreement = AgreementRun(self.desk, self.latest)
        self.record: Record | None = None
        self.last: Measured | None = None
        self._depth: tuple[Any, Any] | None = None
        self._rest = QTimer(parent)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._measure)
        self._closed = False
        self.state.events.current.connect(self._on_current)
        for emitter, slot in self._viewer_events():
            emitter.connect(slot)
        self.viewer.mouse_move_callbacks.append(self._on_move)

    def _viewer_events(self) -> list[tuple[Any, Any]]:
        dims, layers = self.viewer.dims.events, self.viewer.layers.events
        return [
            (dims.point, self._on_dims),
            (dims.order, self._on_dims),
            (dims.ndisplay, self._on_dims),
            (layers.inserted, self._on_layers),
            (layers.removed, self._on_layers),
        ]

    def start(self) -> None:
        """Follow the case in work."""
        self._on_current(self.state.current)

    def close(self) -> None:
        """Take away what was drawn, and report nothing any more."""
        if self._closed:
            return
        self._closed = True
        with suppress(RuntimeError):
            self._rest.stop()
        self.latest.close()
        self.state.events.current.disconnect(self._on_current)
        for emitter, slot in self._viewer_events():
            emitter.disconnect(slot)
        if self._on_move in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_move)
        self._follow(None)
        with suppress(RuntimeError):
            self.desk.remove_drawings()

    # ---- which case

    def _on_current(self, record: Record | None) -> None:
        self._follow(record)
        self.last = None
        self.desk.remove_drawings()
        self.overlap.follow(record)
        self.agreement.follow(record)
        self.measured.emit(None)
        self._on_dims()
        self._rest.start()

    def _follow(self, record: Record | None) -> None:
        pairs = (
            ("edition", self._on_labels),
            ("settings", self._on_settings),
            ("maps", self._on_maps),
            ("case", self._on_case),
        )
        for name, slot in pairs:
            if self.record is not None:
                getattr(self.record.events, name).disconnect(slot)
            if record is not None:
                getattr(record.events, name).connect(slot)
        self.record = record

    def _on_labels(self, edition: int) -> None:
        self._rest.start()

    def _on_settings(self, settings: Any) -> None:
        self.overlap.follow_threshold(settings.class_threshold)
        self.overlap.draw(self.part())
        self._rest.start()

    def _on_maps(self, maps: Any) -> None:
        self.overlap.follow(self.record)
        self._rest.start()

    def _on_case(self, case: Any) -> None:
        self.agreement.follow_expert()
        self._rest.start()

    def _on_layers(self, event: Any = None) -> None:
        self.drawings_changed.emit()

    # ---- figures

    def refresh(self) -> None:
        """Make the figures anew when all is at rest."""
        self._rest.start()

    def _measure(self) -> None:
        record = self.record
        if record is None or record.live is None:
            return
        if record.live.pending:
            self._rest.start()
            return
        self.overlap.draw()
        result, depth = record.result, self._known_depth(record)
        self.latest.run(
            "measure",
            lambda: reading_work.measuring(result, depth),
            lambda made: self._on_measured(record, made),
        )

    def _known_depth(self, record: Record) -> Any:
        case = record.case
        if self._depth is not None and self._depth[0] is case:
            return self._depth[1]
        if not self.latest.running("depth"):
            self.latest.run(
                "depth",
                lambda: reading_work.depth_of(case),
                lambda made: self._on_depth(case, made),
            )
        return None

    def _on_depth(self, case: Any, depth: Any) -> None:
        self._depth = case, depth
        self._rest.start()

    def _on_measured(self, record: Record, made: Measured) -> None:
        if record is not self.record:
            return
        self.last = made
        self.measured.emit(made)
        if self.desk.drawing(record, "diameters") is not None:
            self.desk.show_diameters(record, made.measures)
        self.agreement.compare(made.result)
        self.overlap.tabulate()

    # ---- slices and voxels

    def go_to(self, index: int) -> None:
        """Stand on a slice of the case."""
        if self.record is not None:
            navigate.go_to_slice(self.viewer, self.record.case.grid, index)

    def part(self) -> tuple[slice, ...] | None:
        """What of the case is in view."""
        record = self.record
        return None if record is None else navigate.part_in_view(self.viewer, record.case.grid)

    def _on_dims(self, event: Any = None) -> None:
        index = None
        if self.record is not None:
            index = navigate.slice_in_view(self.viewer, self.record.case.grid)
        self.slice_changed.emit(index)

    def _on_move(self, viewer: Any, event: Any) -> None:
        self.voxel_changed.emit(self.read(tuple(event.position)))

    def read(self, position: tuple[float, ...]) -> VoxelReading | None:
        """The voxel at a place of the world, in mm."""
        record = self.record
        if record is None or len(position) < 3:
            return None
        grid = record.case.grid
        voxel = [
            round((at - origin) / mm)
            for at, origin, mm in zip(position[-3:], grid.origin, grid.spacing, strict=True)
        ]
        if record.shown is None or record.live is None:
            return read_voxel(record.case, voxel)
        refined = None if record.refined.flipped else record.refined.current
        return read_voxel(
            record.case,
            voxel,
            labels=record.shown.labels,
            maps=record.maps,
            settings=record.settings,
            refined=None if refined is None else refined.labels,
        )

    # ---- diameters, strokes, report

    def show_diameters(self, shown: bool) -> None:
        """Draw the diameters on their slices, or take them away."""
        if self.record is not None and self.last is not None and shown:
            self.desk.show_diameters(self.record, self.last.measures)
        elif self.record is not None:
            self.desk.remove_drawing(self.record, "diameters")

    def go_to_diameters(self) -> None:
        """Stand on the slice with the largest diameter."""
        index = None if self.last is None else self.last.measures.case.tumour.diameters.slice
        if index is not None:
            self.go_to(index)

    def drawings(self) -> set[str]:
        """What is drawn now."""
        record = self.record
        if record is None:
            return set()
        names: tuple[Drawing, ...] = (*PLANES, "diameters")
        return {name for name in names if self.desk.drawing(record, name) is not None}

    def discard_strokes(self) -> None:
        """Forget what was painted by hand."""
        if self.record is not None:
            self.desk.discard_strokes(self.record)

    def report(self, folder: str | Path, heading: str = "") -> Job | None:
        """Write the report of the case into a folder."""
        record = self.record
        if record is None or record.live is None:
            return None
        record.live.finish()
        result = record.result
        unpainted = record.refined.segmentation.labels if result.painted else None
        case, depth = record.segmented or record.case, self._known_depth(record)
        expert = self.agreement.other
        return self.latest.run(
            "report",
            lambda: reading_work.reporting(
                case, result, Path(folder), depth, expert, heading, unpainted
            ),
            self._on_reported,
        )

    def _on_reported(self, paths: list[Path]) -> None:
        self.state.say(f"Saved {paths[0].name}, csv and json in {paths[0].parent}.")
