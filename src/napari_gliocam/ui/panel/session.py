"""The work behind the panel: open cases, run Segment, follow thresholds, save."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels, Layer
from psygnal import Signal
from qtpy.QtCore import QObject

from napari_gliocam.case import Case, Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.volume import difference
from napari_gliocam.maps.class_maps import Row
from napari_gliocam.prepare import Examination
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.jobs.open_path import LabelsAlone, load_source, read_expert, read_path
from napari_gliocam.ui.jobs.tasks import begin_task
from napari_gliocam.ui.jobs.turns import Turns
from napari_gliocam.ui.model.assign import Source, assign, swapped
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import Message, OpenCase
from napari_gliocam.ui.panel.prepare_run import PrepareRun
from napari_gliocam.ui.panel.refine_run import RefineRun
from napari_gliocam.ui.panel.saving import Write, save_labels
from napari_gliocam.ui.panel.segment_run import SegmentRun
from napari_gliocam.ui.panel.trust_run import CaseTrust
from napari_gliocam.ui.panel.unsaved_run import UnsavedRun
from napari_gliocam.ui.plugin import preference
from napari_gliocam.ui.plugin.writer import write_labels
from napari_gliocam.ui.viewer import layer_data, navigate, planes
from napari_gliocam.ui.viewer.contours import ThresholdContours
from napari_gliocam.ui.viewer.contrast import ContrastDrag
from napari_gliocam.ui.viewer.layer_data import Overlay
from napari_gliocam.ui.viewer.live_update import LiveUpdate
from napari_gliocam.ui.viewer.painting import Painter
from napari_gliocam.ui.viewer.session import DockSession

if TYPE_CHECKING:
    from napari.components import ViewerModel

_END = object()


class Session(DockSession):
    """Works on the case that is current; it belongs to the panel, the state to the viewer."""

    maps_shown = Signal(OpenCase, object)
    slice_changed = Signal()
    layers_changed = Signal()
    saved = Signal(list)
    shares_messages = True

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(viewer, parent)
        ingredients = work.Ingredients()
        self.turns = Turns(parent)
        self.run = SegmentRun(self.state, self.layers, self.jobs, ingredients)
        self.run.finished.connect(self._on_segmented)
        self.prepare_run = PrepareRun(self.state, self.layers, self.jobs)
        self.prepare_run.prepared.connect(self._on_prepared)
        self.refine_run = RefineRun(self.state, self.layers, self.jobs, ingredients)
        self._trust = CaseTrust(self.state, self.jobs)
        self.unsaved_run = UnsavedRun(self.state, self.layers, self.jobs)
        self._contours = ThresholdContours(self.layers)
        self.painter = Painter(self.state, self.layers, self._watch_strokes)
        self._contrast = ContrastDrag(self.state, self.layers)
        self._live = LiveUpdate(self.viewer, self.layers, parent)
        self._activate = self.jobs.timer(0, self._on_activate)
        self._centring = False
        self._at_rest = True
        self._title = str(self.viewer.title)
        self._end_strokes: Callable[[], None] | None = None
        self._watched: set[int] = set()
        self._frozen: tuple[OpenCase, ...] = ()
        layers, dims = self.viewer.layers.events, self.viewer.dims.events
        self._connections = Connections(
            (layers.inserted, self._on_layers),
            (layers.removed, self._on_layers),
            (dims.point, self._on_dims),
            (dims.order, self._on_dims),
            (dims.ndisplay, self._on_dims),
            (self.viewer.events.reset_view, self._centre),
            (self.state.events.bundle, self._on_bundle),
        )
        self.state.panels += 1
        planes.keep_upright(self.viewer)
        self._on_layers()

    # ---- start and end

    def start(self) -> None:
        """Look up the bundle and the devices; the latter on the engine, they need torch."""
        layer_data.ready_for_threads()
        self.jobs.run("warm up", layer_data.warm_up)
        defaults = preference.get_defaults()
        if self.state.bundle is None:
            self.set_bundle(defaults.bundle or None)
            self.state.device = defaults.device
        if len(self.state.devices) == 1:
            self.jobs.run(
                "looking for devices",
                work.devices,
                partial(setattr, self.state, "devices"),
                torch=True,
            )
        self.jobs.run(
            "warm up networks", work.warm_up, self._spare_libraries, torch=True, quiet=True
        )

    def on_close(self, restore: bool) -> None:
        """Finish labels that follow a slider, and look away from the viewer."""
        self.turns.close()
        self._live.close()
        self.state.running = self.state.refining = None
        self.state.progress = self.state.refining_progress = None
        self._trust.close()
        self.unsaved_run.close()
        self.painter.close()
        self._contrast.close()
        self.state.panels -= 1
        self._thaw()
        if self._end_strokes is not None:
            self._end_strokes()
        self.viewer.title = self._title
        for layer, _ in self.layers.tagged(None, "map"):
            if id(layer) in self._watched:
                layer.events.visible.disconnect(self._on_map_visible)

    def _spare_libraries(self, _: object = None) -> None:
        """Keep the libraries, 650,000 objects that never go, out of garbage collections.

        A full collection holds up every thread for 0.3 s with them, and for 0.03 s without.
        """
        self._frozen = self.state.open_cases
        gc.freeze()

    def _thaw(self) -> None:
        self._frozen = ()
        gc.unfreeze()

    def set_bundle(self, folder: str | Path | None) -> None:
        """Use the weights of this folder from now on; None for those that ship."""
        from napari_gliocam.nets.bundle_info import read_bundle_info

        try:
            self.state.bundle = read_bundle_info(folder)
        except GliocamError as error:
            self.fail(str(error))

    def _on_bundle(self) -> None:
        for opened in self.state.open_cases:
            if opened.result is None:
                opened.follow(self.state.usual)

    # ---- cases

    def open(self, path: str | Path) -> Job:
        """Read a folder or a file of a case; its layers come when it is read."""
        opening = self.state.announce(f"Opening {Path(path).name}…")

        def read(found: tuple[OpenCase | LabelsAlone | Examination, list[Layer]]) -> None:
            self.turns.run(self._showing(*found, opening))

        return self.jobs.run(("open", path), lambda: _prepared(path), read, name="Open")

    def _showing(
        self, found: OpenCase | LabelsAlone | Examination, made: list[Layer], opening: Message
    ) -> Iterator[None]:
        """Show what was read: a case or labels, a layer in each step, or series to prepare."""
        if isinstance(found, LabelsAlone):
            self.layers.add_labels(made)
        elif isinstance(found, Examination):
            self.state.examination = found
        elif (same := self.layers.already_open(found)) is not None:
            self.select(same)
            self.say(f"{found.case.name} is open already.")
        else:
            yield from self._adding(found, made)
            if found.case.warnings and found in self.state.open_cases:
                self.say(" ".join(found.case.warnings), "warning")
        self.state.withdraw(opening)

    def _on_prepared(self, opened: OpenCase, made: list[Layer]) -> None:
        self.turns.run(self._adding(opened, made))

    def _adding(self, opened: OpenCase, made: list[Layer]) -> Iterator[None]:
        """Add a layer in one step and follow it in the next: both at once hold up the window."""
        steps = self.layers.adding_case(opened, made)
        more = True
        while more:
            self._at_rest = False
            try:
                more = next(steps, _END) is not _END
            finally:
                self._at_rest = True
            yield
            self._on_layers()
            yield

    def select(self, opened: OpenCase | None) -> None:
        """Work on this case."""
        before = self.state.current
        if opened is before:
            return
        self._live.settle()
        self.state.current = opened
        self._show_title()
        if opened is not None:
            self.layers.focus(opened)
            self.layers.activate(opened)
            if before is None or difference(before.case.grid, opened.case.grid):
                self._centre()

    def close_case(self) -> None:
        """Remove the case in work from the viewer."""
        if self.state.current is not None:
            self.unsaved_run.forget(self.state.current)
            self.layers.close_case(self.state.current)

    def _centre(self, event: object = None) -> None:
        """Have the case in work in view; also when Home has fitted all that is open."""
        opened = self.state.current
        if opened is None or self._centring:
            return
        self._centring = True
        try:
            navigate.stand_inside(self.viewer, opened.case.grid)
            if len(self.state.open_cases) > 1:
                navigate.fit_case(self.viewer, opened)
        finally:
            self._centring = False

    def _on_layers(self, event: object = None) -> None:
        if not self._at_rest:
            return
        open_cases, known = self.layers.open_cases(), self.state.open_cases
        self.state.open_cases = open_cases
        if set(self._frozen) - set(open_cases):
            self._thaw()
        fresh = [opened for opened in open_cases if opened not in known]
        for opened in fresh:
            if opened.result is None and opened.refinement == Refinement():
                opened.choose(preference.get_defaults().wanted)
            if opened.result is None:
                opened.follow(self.state.usual)
        if fresh:
            self.select(fresh[-1])
            if fresh[-1].to_prepare is not None:
                self.state.examination = fresh[-1].to_prepare
            self._activate.start()  # when the reader's other layers are in as well
        elif self.state.current not in (None, *open_cases):
            self.state.message = None  # it spoke of the case that is closed
            self.select(open_cases[-1] if open_cases else None)
        self.layers.name_apart()
        self._watch_strokes()
        self._show_title()
        for layer, _ in self.layers.tagged(None, "map"):
            if id(layer) not in self._watched:
                layer.events.visible.connect(self._on_map_visible)
                self._watched.add(id(layer))
        self._watched &= {id(layer) for layer in self.viewer.layers}
        self.painter.watch()
        self._contrast.watch()
        self._show_maps()
        self.layers_changed.emit()

    def _show_title(self) -> None:
        """Name the case in work in the window's title."""
        opened, base = self.state.current, self._title
        self.viewer.title = base if opened is None else f"{opened.case.name} – {base}"

    def _on_activate(self) -> None:
        if self.state.current is not None and not self._closed:
            self.layers.activate(self.state.current)
            if len(self.state.open_cases) > 1:
                self._centre()

    # ---- which volume is which

    def sources(self) -> tuple[Source, ...]:
        """Return the volumes to choose from: those of the case, then image layers of others."""
        opened = self.state.current
        pool = () if opened is None else opened.pool
        return (*pool, *self.layers.others.sources())

    def set_modality(self, modality: Modality, source: Source | None) -> None:
        """Say which volume a modality is."""
        opened = self.state.current
        try:
            if opened is None:
                if source is not None:
                    self.layers.adopt(source, modality)
                return
            if source is not None:
                source = self._taken(opened, source)
            case = assign(opened.case, swapped(opened.assignment(), modality, source))
        except GliocamError as error:
            self.fail(str(error))
            self.layers_changed.emit()  # the combo shows again what holds
            return
        opened.answered |= {modality}
        self._change_case(opened, case)
        if opened.result is not None:
            self.say("The modalities changed; click Segment to bring the result up to date.")

    def _taken(self, opened: OpenCase, source: Source) -> Source:
        """Return a source on the case's grid, read where it was only named."""
        loaded = load_source(source, opened.case)
        if source in opened.pool:
            opened.pool = tuple(loaded if s is source else s for s in opened.pool)
        else:
            self.layers.others.check_placement(source, opened.case.grid)
            opened.pool = (*opened.pool, loaded)
            self.layers.others.hand_over(source, opened)
        return loaded

    def set_scheme(self, name: str) -> None:
        """Read the expert labels with another label scheme."""
        opened = self.state.current
        if opened is None or opened.case.expert is None or opened.case.expert.scheme == name:
            return
        try:
            expert = read_expert(opened.case, name)
        except GliocamError as error:
            self.fail(str(error))
            self.layers_changed.emit()
            return
        self._change_case(opened, replace(opened.case, expert=expert))

    def _change_case(self, opened: OpenCase, case: Case) -> None:
        opened.case = case
        self.layers.update_case(opened)
        self.refine_run.measure(opened)

    # ---- Segment

    def segment(self) -> Job | None:
        """Run the networks on the case in work; None where one runs already."""
        opened = self.state.current
        if opened is None:
            return None
        if opened.open_choice:
            self.say(opened.open_choice, "warning")
            return None
        return self.run.start(opened)

    def _on_segmented(self, opened: OpenCase) -> None:
        self.refine_run.measure(opened)
        self.refine_run.look()
        if opened is not self.state.current:
            if self.state.current is not None:
                self.layers.focus(self.state.current)
            self.say(f"Segment finished {opened.case.name}; choose it to look at it.")
            return
        index = navigate.slice_in_view(self.viewer, opened.case.grid)
        best, result = navigate.largest_lesion_slice(opened), opened.result
        if best is None or result is None:
            self.say("No tumour was found at these thresholds.")
        elif index is None or not result.lesion_voxels()[index]:
            self.go_to(best)
        if result is not None and result.warnings:
            self.say(" ".join(result.warnings), "warning")

    # ---- work of before

    def restore(self) -> Job | None:
        """Restore what was kept of the case in work, and segment it where it has no result."""
        opened = self.state.current
        if opened is None or opened.unsaved is None:
            return None
        self.unsaved_run.restore(opened)
        return self.segment()

    def continue_result(self, path: str | Path) -> Job | None:
        """Make a saved result that of the case in work, live; its maps are made where not saved."""
        opened = self.state.current
        if opened is None or not opened.case.volumes:
            self.state.say("Open the case first, then continue its result.", "warning")
            return None
        job = self.run.continue_from(opened, Path(path))
        if job is None:
            self.say("Segment is under way; continue the saved result when it is done.", "warning")
        return job

    # ---- thresholds

    def set_settings(self, settings: Thresholds) -> None:
        """Follow the sliders."""
        opened = self.state.current
        if opened is not None and settings != opened.settings:
            self._live.change(opened, settings)
            self._contours.draw(opened)
            self.refine_run.changed()

    def settle(self) -> None:
        """Bring everything up to date at the end of a drag."""
        self._live.settle()

    # ---- refinement

    def set_refinement(self, refinement: Refinement) -> None:
        """Choose what is done after the thresholds."""
        opened = self.state.current
        if opened is not None:
            self.refine_run.choose(opened, refinement)

    def refine(self) -> Job | None:
        """Refine the case in work; None where there is nothing to do."""
        self.settle()
        opened = self.state.current
        return None if opened is None else self.refine_run.apply(opened)

    def flip_refinement(self) -> None:
        """Show the labels before refinement, or after it."""
        navigate.flip_refinement(self.viewer)

    def show_overlay(self, overlay: Overlay, shown: bool) -> None:
        """Show or hide the borders of BoundaryFit's pieces."""
        opened = self.state.current
        if opened is not None and opened.case.volumes:
            self.refine_run.overlay.show(opened, overlay, shown)
            self.refine_run.look()
            part = navigate.part_in_view(self.viewer, opened.case.grid)
            if shown and (part is None or len(part) != 1):
                self.say("Borders are drawn on axial slices; turn to the axial plane.")

    # ---- maps, slices

    def show_map(self, row: Row, target: Target, shown: bool) -> None:
        """Show or hide one map."""
        opened = self.state.current
        if opened is not None:
            self.layers.show_map(opened, row, target, shown)
            self._on_map_visible()

    def _on_map_visible(self, event: object = None) -> None:
        """Follow a map that was shown or hidden."""
        self._show_maps(add_contour=True)

    def _show_maps(self, *, add_contour: bool = False) -> None:
        self.layers.draw_outlines()
        opened = self.state.current
        if opened is not None:
            self._contours.draw(opened, add=add_contour)
            self.maps_shown.emit(opened, self.layers.shown_maps(opened))

    def _on_dims(self, event: object = None) -> None:
        if self.state.message is not None and self.state.message.of_slice:
            self.state.message = None
        self._live.look()
        if self.state.current is not None:
            self._contours.draw(self.state.current)
        self.refine_run.look()
        self.slice_changed.emit()

    def go_to(self, index: int) -> None:
        """Stand on an axial slice of the case in work."""
        if self.state.current is not None:
            navigate.go_to_slice(self.viewer, self.state.current.case.grid, index)

    # ---- saving

    def save(self, path: str | Path, write: Write = save_labels) -> Job | None:
        """Write the result; the old files stay if that fails.

        A refinement that is chosen and not applied yet is applied first.

        Parameters
        ----------
        path : str or Path
            Of the labels.
        write : callable
            What is written, see `saving.WayToSave`: labels and settings by default.
        """
        opened = self.state.current
        result = None if opened is None else opened.result
        if opened is None or result is None:
            return None
        self.settle()
        if opened.refinement.changes_something and result.current is None:
            return self._refine_and_save(opened, path, write)
        segmentation, case = result.segmentation, result.case
        strokes = result.painted.strokes_copy()
        self.say(f"Saving {Path(path).name}…")

        def saved(paths: list[Path]) -> None:
            result.painted.saved = strokes
            self._watch_strokes()
            self.unsaved_run.forget(opened)
            self._on_saved(paths)

        return self.jobs.run(
            ("save", path), lambda: write(segmentation, case, Path(path)), saved, name="Save"
        )

    def _watch_strokes(self, event: object = None) -> None:
        """Have napari ask before it closes a window with strokes that are not saved."""
        unsaved = any(opened.unsaved_strokes for opened in self.state.open_cases)
        if unsaved and self._end_strokes is None:
            sentence = "Strokes painted by hand are not saved"
            self._end_strokes = begin_task(self.viewer, sentence)
        elif not unsaved and self._end_strokes is not None:
            self._end_strokes()
            self._end_strokes = None

    def selected_labels(self) -> Labels | None:
        """Return the labels layer that is selected, None where another layer is."""
        layer = self.viewer.layers.selection.active
        return layer if isinstance(layer, Labels) else None

    def save_layer(self, layer: Labels, path: str | Path) -> Job:
        """Write a labels layer that is no result on its own grid."""
        data, meta, _ = layer.as_layer_data_tuple()
        return self.jobs.run(
            ("save", path),
            lambda: [Path(written) for written in write_labels(str(path), data, meta)],
            self._on_saved,
            name="Save",
        )

    def _refine_and_save(self, opened: OpenCase, path: str | Path, write: Write) -> Job | None:
        job = self.refine_run.apply(opened)
        if job is None:
            self.say("A refinement is under way; save again when it is done.", "warning")
            return None

        def save(_: object) -> None:
            result = opened.result
            if opened is self.state.current and result is not None and result.current is not None:
                self.save(path, write)
            else:
                self.say("Nothing was saved: the choices changed meanwhile.", "warning")

        job.succeeded.connect(save)  # after the run has taken the result
        return job

    def _on_saved(self, paths: list[Path]) -> None:
        names = " and ".join(path.name for path in paths)
        self.say(f"Saved {names} in {paths[0].parent}.")
        self.saved.emit(list(paths))


def _prepared(path: str | Path) -> tuple[OpenCase | LabelsAlone | Examination, list[Layer]]:
    """Read a path and make its layers, which the window only has to add."""
    found = read_path(path)
    if isinstance(found, Examination):
        return found, []
    return found, layer_data.make_layers(layer_data.data_of(found))
