"""The work behind the dock "Reading": measure the result, read voxels, draw, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QObject

from napari_gliocam.case import Case
from napari_gliocam.measure.classes.voxel import VoxelReading, read_voxel
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.reading import work as reading_work
from napari_gliocam.ui.reading.agreement_run import AgreementRun
from napari_gliocam.ui.reading.overlap_run import OverlapRun
from napari_gliocam.ui.reading.sequence_run import SequenceRun
from napari_gliocam.ui.reading.work import Measured
from napari_gliocam.ui.viewer import navigate
from napari_gliocam.ui.viewer.layer_data import PLANES, Drawing
from napari_gliocam.ui.viewer.session import DockSession

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from napari_gliocam.trust.sequences import CaseSequences, Shares

Depth = NDArray[np.float32] | None
#: A press that ends no further away, in pixels, is a click.
CLICK_PX = 3
#: Figures are made when nothing was changed for so long; the picture comes first.
REST_MS = 120


class ReadingSession(DockSession):
    """Keeps the figures of the case in work up to date."""

    measured = Signal(object)
    #: What runs, in a word or two; empty where the figures are those of the labels in view.
    status_changed = Signal(str)
    slice_changed = Signal(object)
    voxel_changed = Signal(object)
    drawings_changed = Signal()
    trust_changed = Signal(object)
    #: Number, class and `Shares` of each lesion.
    sequences_changed = Signal(object, str)
    #: The voxel that was clicked on; None outside the case.
    clicked = Signal(object)
    shares_messages = True

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(viewer, parent)
        self.overlap = OverlapRun(self.state, self.layers, self.jobs)
        self.agreement = AgreementRun(self.state, self.layers, self.jobs)
        self.sequences = SequenceRun(self.state, self.jobs)
        self.sequences.slices_changed.connect(self._show_voxel)
        self.overlap.overlaps.connect(self._on_settled)
        self.agreement.compared.connect(self._on_settled)
        self.opened: OpenCase | None = None
        self.last: Measured | None = None
        self._pointer: tuple[float, ...] = ()  # in the world, in mm
        self.divides_core = False
        self._depth: tuple[Case, Depth] | None = None
        self._rest = self.jobs.timer(REST_MS, self._measure)
        dims, layers = self.viewer.dims.events, self.viewer.layers.events
        self._connections = Connections(
            (self.state.events.current, self._on_current),
            (self.state.events.running, self._on_settled),
            (dims.point, self._on_dims),
            (dims.order, self._on_dims),
            (dims.ndisplay, self._on_dims),
            (layers.inserted, self._on_layers),
            (layers.removed, self._on_layers),
        )
        self._following = Connections()
        self.viewer.mouse_move_callbacks.append(self._on_move)
        self.viewer.mouse_drag_callbacks.append(self._on_press)

    def start(self) -> None:
        """Follow the case in work."""
        self._on_current(self.state.current)

    def on_close(self, restore: bool) -> None:
        """Take away what was drawn."""
        self.viewer.mouse_move_callbacks.remove(self._on_move)
        self.viewer.mouse_drag_callbacks.remove(self._on_press)
        self._follow(None)
        with suppress(RuntimeError):
            self.layers.remove_drawings()

    # ---- which case

    def _on_current(self, opened: OpenCase | None) -> None:
        self._follow(opened)
        self.last = None
        self.layers.remove_drawings()
        self.overlap.follow(opened)
        self.sequences.follow(opened)
        self.agreement.follow(opened)
        self.measured.emit(None)
        self._on_dims()
        self.refresh()

    def _follow(self, opened: OpenCase | None) -> None:
        self._following.close()
        self.opened = opened
        if opened is not None:
            events = opened.events
            self._following = Connections(
                (events.revision, self.refresh),
                (events.settings, self._on_settings),
                (events.result, self._on_result),
                (events.case, self._on_case),
                (events.trust, self._on_trust),
                (events.sequences, self._on_sequences),
            )
        self.trust_changed.emit(None if opened is None else opened.trust)
        self._on_sequences()

    def _on_trust(self, trust: object) -> None:
        self.trust_changed.emit(trust)

    def _on_settings(self, settings: Thresholds) -> None:
        self.overlap.follow_threshold(settings.class_threshold)
        self.overlap.draw(self.part())
        self.refresh()

    def _on_result(self, result: object) -> None:
        self.overlap.follow(self.opened)
        self.sequences.follow(self.opened)
        if self.opened is not None:
            self.opened.sequences = None
        self.refresh()

    def _on_case(self, case: object) -> None:
        self.agreement.follow_expert()
        self.refresh()

    def _on_layers(self, event: object = None) -> None:
        self.drawings_changed.emit()

    # ---- figures

    def refresh(self) -> None:
        """Make the figures anew when all is at rest; until then they are marked as old."""
        there = self.opened is not None and self.opened.result is not None
        self.status_changed.emit("Measuring…" if there else "")
        self._rest.start()

    @property
    def waiting(self) -> str:
        """A sentence for the time before there are figures."""
        opened = self.opened
        if opened is None:
            return "Open a case, then click Segment in the panel."
        if opened.result is None:
            running = self.state.running is opened
            return "Segment is running." if running else "Click Segment in the panel."
        return "Measuring…"

    def _on_settled(self, result: object = None) -> None:
        """Take the status away once nothing is to be measured."""
        kinds = ("measure", "table", "compare")
        if not self._rest.isActive() and not any(self.jobs.running(kind) for kind in kinds):
            self.status_changed.emit("")

    def _measure(self) -> None:
        opened = self.opened
        if opened is None or opened.result is None:
            self.status_changed.emit("")
            return
        if opened.result.thresholded.pending:
            self._rest.start()
            return
        self.overlap.draw()
        result, depth = opened.result.segmentation, self._known_depth(opened)
        divided = opened.result.case if self.divides_core else None
        self.jobs.run(
            "measure",
            lambda: reading_work.measuring(result, depth, divided),
            partial(self._on_measured, opened),
        )

    def _known_depth(self, opened: OpenCase) -> Depth:
        case = opened.case
        if self._depth is not None and self._depth[0] is case:
            return self._depth[1]
        if not self.jobs.running("depth"):
            self.jobs.run(
                "depth", partial(reading_work.depth_of, case), partial(self._on_depth, case)
            )
        return None

    def _on_depth(self, case: Case, depth: Depth) -> None:
        self._depth = case, depth
        self.refresh()

    def _on_measured(self, opened: OpenCase, made: Measured) -> None:
        if opened is not self.opened:
            return
        self.last = made
        self.measured.emit(made)
        if self.layers.drawing(opened, "diameters") is not None:
            self.layers.show_diameters(opened, made.measures)
        self.agreement.compare(made.result)
        self.overlap.tabulate()
        self._on_settled()

    # ---- slices and voxels

    def go_to(self, index: int) -> None:
        """Stand on a slice of the case."""
        if self.opened is not None:
            navigate.go_to_slice(self.viewer, self.opened.case.grid, index)

    def part(self) -> tuple[slice, ...] | None:
        """Return the part of the case in view."""
        opened = self.opened
        return None if opened is None else navigate.part_in_view(self.viewer, opened.case.grid)

    def _on_dims(self, event: object = None) -> None:
        index = None
        if self.opened is not None:
            index = navigate.slice_in_view(self.viewer, self.opened.case.grid)
        self.slice_changed.emit(index)

    def _on_move(self, viewer: ViewerModel, event: Event) -> None:
        self._pointer = tuple(event.position)
        self._show_voxel()

    def _show_voxel(self) -> None:
        """Read the voxel under the pointer, of the case and the result that are there now."""
        self.voxel_changed.emit(self.read(self._pointer))

    def _on_press(self, viewer: ViewerModel, event: Event) -> Iterator[None]:
        """Tell a click from a drag, which moves the picture."""
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - start).max() <= CLICK_PX:
            self.clicked.emit(self.read(tuple(event.position)))

    def read(self, position: tuple[float, ...]) -> VoxelReading | None:
        """Return the voxel at a place of the world, in mm; None outside the case."""
        opened = self.opened
        if opened is None or len(position) < 3:
            return None
        grid = opened.case.grid
        voxel = [
            round((at - origin) / mm)
            for at, origin, mm in zip(position[-3:], grid.origin, grid.spacing, strict=True)
        ]
        result = opened.result
        if result is None:
            return read_voxel(opened.case, voxel)
        refined = None if result.flipped else result.current
        return read_voxel(
            opened.case,
            voxel,
            labels=result.painted.labels,
            maps=result.maps,
            settings=opened.settings,
            refined=None if refined is None else refined.labels,
        )

    # ---- sequences

    def _on_sequences(self, sequences: CaseSequences | None = None) -> None:
        """Show the shares of each lesion of the labels in view."""
        opened = self.opened
        lines: list[tuple[int, Target, Shares]] = []
        caution = ""
        if opened is not None and opened.sequences is not None and opened.result is not None:
            lines = opened.sequences.by_lesion(opened.result.segmentation.labels)
            caution = opened.sequences.caution
        self.sequences_changed.emit(lines, caution)

    # ---- diameters, strokes, report

    def show_diameters(self, shown: bool) -> None:
        """Draw the diameters on their slices, or take them away."""
        if self.opened is not None and self.last is not None and shown:
            self.layers.show_diameters(self.opened, self.last.measures)
        elif self.opened is not None:
            self.layers.remove_drawing(self.opened, "diameters")

    def go_to_diameters(self) -> None:
        """Stand on the slice with the largest diameters."""
        index = None if self.last is None else self.last.measures.case.tumour.diameters.slice
        if index is not None:
            self.go_to(index)

    def drawings(self) -> set[str]:
        """Return the names of what is drawn now."""
        opened = self.opened
        if opened is None:
            return set()
        names: tuple[Drawing, ...] = (*PLANES, "diameters")
        return {name for name in names if self.layers.drawing(opened, name) is not None}

    def divide_core(self, divides: bool) -> None:
        """Measure the enhancing part of the core by a rule of intensity, or leave it out."""
        self.divides_core = divides
        self.refresh()

    def discard_strokes(self) -> None:
        """Forget what was painted by hand."""
        if self.opened is not None:
            self.layers.discard_strokes(self.opened)

    def report(self, folder: str | Path, heading: str = "") -> Job | None:
        """Write the report of the case into a folder."""
        opened = self.opened
        if opened is None or opened.result is None:
            return None
        result = opened.result.segmentation
        unpainted = opened.result.unpainted.labels if result.painted else None
        case, depth = opened.result.case, self._known_depth(opened)
        expert, enhancing = self.agreement.other, self.divides_core
        sequences = opened.sequences
        self.say("Writing the report…")
        return self.jobs.run(
            ("report", folder),
            lambda: reading_work.reporting(
                *(case, result, Path(folder), depth, expert, heading, unpainted),
                enhancing=enhancing,
                sequences=sequences,
            ),
            self._on_reported,
            name="Report",
        )

    def _on_reported(self, paths: list[Path]) -> None:
        self.say(f"Saved {paths[0].name}, csv and json in {paths[0].parent}.")
