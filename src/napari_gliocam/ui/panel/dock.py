"""The dock "Gliocam": puts the views together and connects them to a session.

Views emit what is asked for and show what they are told; the session does the work; this
module is the wiring between the two and the shared state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_gliocam.cams.methods.registry import SEGMENTER
from napari_gliocam.case import Modality
from napari_gliocam.io import suggested_name
from napari_gliocam.io.foreign import READABLE_SUFFIXES
from napari_gliocam.io.naming import NIFTI_SUFFIXES, safe_name
from napari_gliocam.io.schemes import SCHEMES
from napari_gliocam.io.unsaved import UnsavedWork
from napari_gliocam.maps.class_maps import Row
from napari_gliocam.nets.library import list_bundles
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Networks, Thresholds
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.compare.dock import CompareDock
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.model.assign import Source
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.result import Result, gate_limit, hidden_by_gate, sentence_of
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.panel.case_view import CaseView
from napari_gliocam.ui.panel.maps_view import MapsView
from napari_gliocam.ui.panel.prepare_run import compared
from napari_gliocam.ui.panel.prepare_view import PrepareView
from napari_gliocam.ui.panel.refine_view import RefineView
from napari_gliocam.ui.panel.results_view import ResultsView
from napari_gliocam.ui.panel.run_view import RunView
from napari_gliocam.ui.panel.saving import LABELS, WayToSave, ways_to_save
from napari_gliocam.ui.panel.session import Session
from napari_gliocam.ui.panel.threshold_view import ThresholdView
from napari_gliocam.ui.plugin import commands, preference
from napari_gliocam.ui.viewer import navigate, planes
from napari_gliocam.ui.viewer.side_views import toggle_side_views
from napari_gliocam.ui.widgets.dock import Dock
from napari_gliocam.ui.widgets.question import confirms

if TYPE_CHECKING:
    import napari

WIDTH = 340
_NIFTI_FILTER = "NIfTI (*.nii *.nii.gz)"
_ENDS = " ".join(f"*{end}" for end in (*NIFTI_SUFFIXES, *READABLE_SUFFIXES))
_IMAGE_FILTER = f"Images ({_ENDS});;All files (*)"


class Workspace(Dock):
    """The panel of one viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("gliocam", WIDTH)
        self.setAcceptDrops(True)
        commands.bind_keys()
        preference.prefer_case_reader()
        self.case_view = CaseView(commands.CYCLE_MODALITY)
        self.prepare_view = PrepareView()
        self.run_view = RunView()
        self.threshold_view = ThresholdView()
        self.refine_view = RefineView(commands.FLIP_REFINEMENT)
        self.maps_view = MapsView()
        self.results_view = ResultsView(
            commands.NEXT_LESION,
            commands.PREVIOUS_LESION,
            commands.TOGGLE_OVERLAY,
            commands.TOGGLE_OUTLINE,
            commands.NEXT_DOUBT,
        )
        self.lay_out(
            self.case_view,
            self.prepare_view,
            self.run_view,
            self.threshold_view,
            self.refine_view,
            self.maps_view,
            foot=self.results_view,
        )
        self.session = Session(viewer, self)
        self.state = self.session.state
        self._opened: OpenCase | None = None
        self._beside = False
        self._result: Result | None = None
        self._following, self._refining = Connections(), Connections()
        self._sources: tuple[Source, ...] = ()
        self._connect_views()
        self._connect_state()
        self.begin(self.session)
        self._show_everything()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take files and folders."""
        data = None if event is None else event.mimeData()
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Open what was dropped on the panel."""
        data = None if event is None else event.mimeData()
        if event is None or data is None:
            return
        for url in data.urls():
            if url.isLocalFile():
                self.open(url.toLocalFile())
        event.acceptProposedAction()

    # ---- what the views ask for

    def _connect_views(self) -> None:
        session, state = self.session, self.state
        case = self.case_view
        case.open_folder_requested.connect(self.ask_folder)
        case.open_file_requested.connect(self._ask_file)
        case.continue_requested.connect(self.ask_result)
        case.restore_requested.connect(session.restore)
        case.case_requested.connect(self._on_case_requested)
        case.modality_requested.connect(self._on_modality_requested)
        case.scheme_requested.connect(session.set_scheme)
        case.close_requested.connect(self.ask_close)
        case.plane_requested.connect(partial(planes.show_plane, session.viewer))
        case.side_views_requested.connect(partial(toggle_side_views, session.viewer))
        case.one_contrast_requested.connect(partial(setattr, state, "one_contrast"))
        prepare, preparing = self.prepare_view, session.prepare_run
        prepare.series_requested.connect(preparing.choose)
        prepare.prepare_requested.connect(preparing.start)
        prepare.cancel_requested.connect(lambda: session.jobs.cancel("prepare"))
        prepare.dismissed.connect(partial(setattr, state, "examination", None))
        prepare.checkerboard_requested.connect(self._on_checkerboard_requested)
        prepare.head_requested.connect(self._on_head_requested)
        preparing.progressed.connect(prepare.set_progress)
        run = self.run_view
        run.device_requested.connect(partial(setattr, state, "device"))
        run.set_bundles({i.info.name: i.path for i in list_bundles() if i.ships})
        run.bundle_requested.connect(self._choose_bundle)
        run.networks_requested.connect(self._on_networks)
        run.segment_requested.connect(self.segment)
        session.run.finished.connect(self._on_segmented)
        run.cancel_requested.connect(partial(session.jobs.cancel, "segment"))
        self.threshold_view.settings_requested.connect(session.set_settings)
        self.threshold_view.drag_ended.connect(session.settle)
        refine = self.refine_view
        refine.refinement_requested.connect(session.set_refinement)
        refine.refused.connect(partial(state.say, level="warning"))
        refine.apply_requested.connect(session.refine)
        refine.cancel_requested.connect(partial(session.jobs.cancel, "refine"))
        refine.flip_requested.connect(self._on_flip_requested)
        refine.overlay_requested.connect(session.show_overlay)
        self.maps_view.map_requested.connect(session.show_map)
        self.maps_view.compare_requested.connect(lambda: CompareDock.show_in(session.viewer))
        self.results_view.outline_requested.connect(lambda: navigate.toggle_outline(session.viewer))
        self.results_view.save_requested.connect(self.ask_save)
        self.results_view.reading_requested.connect(self._open_reading)
        self.results_view.doubt_step_requested.connect(
            lambda step: navigate.step_doubt(session.viewer, step)
        )
        self.results_view.lesion_step_requested.connect(
            lambda step: navigate.step_lesion(session.viewer, step)
        )

    def open(self, path: str | Path) -> Job:
        """Open a case; its layers come when it is read."""
        return self.session.open(path)

    def segment(self) -> Job | None:
        """Run Segment on the case in work."""
        return self.session.segment()

    def save(self, path: str | Path) -> Job | None:
        """Save the result, overwriting what was saved there before."""
        return self.session.save(path)

    def _open_reading(self) -> None:
        from napari_gliocam.ui.reading.dock import ReadingDock  # needs pyqtgraph

        ReadingDock.show_in(self.session.viewer)

    def ask_folder(self) -> None:
        """Ask for the folder of a case and open it."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a case")
        if folder:
            self.open(folder)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "File of a case", "", _IMAGE_FILTER)
        if path:
            self.open(path)

    def ask_result(self) -> None:
        """Ask for labels that were saved and continue that result on the case in work."""
        path, _ = QFileDialog.getOpenFileName(self, "Saved result of the case", "", _NIFTI_FILTER)
        if path:
            self.session.continue_result(path)

    def _choose_bundle(self, folder: str) -> None:
        folder = folder or QFileDialog.getExistingDirectory(self, "Folder of a bundle")
        if folder:
            self.session.set_bundle(folder)

    def _on_networks(self, place: int) -> None:
        self.state.networks, self._beside = list(self._networks().values())[place]
        if self._result is not None:
            self.state.say("Click Segment to see what this choice finds.")

    def _networks(self) -> dict[str, tuple[Networks, bool]]:
        """Return what can segment by its title, and whether both are then shown side by side."""
        bundle = self.state.bundle
        if bundle is None or bundle.segmenter is None:
            return {}
        offered: dict[str, tuple[Networks, bool]] = {
            "Both, mixed": ("bundle", False),
            "Segmentation network": ("segmenter", False),
            "Maps": ("maps", False),
            "Both, side by side": ("bundle", True),
        }
        if bundle.segmenter.alone:
            del offered["Both, mixed"]
        return offered

    def _on_segmented(self, opened: OpenCase) -> None:
        """Compare the segmentation network and the maps of the case, if that was chosen."""
        if self._beside and self._networks() and opened is self.state.current:
            compare = CompareDock.show_in(self.session.viewer)
            compare.choice_view.choose(SEGMENTER, "guided")
            compare.run()

    def ask_save(self) -> None:
        """Ask for a file and save the result, else the labels layer that is selected."""
        opened = self._opened
        layer = self.session.selected_labels()
        if opened is None or opened.result is None:
            if layer is None:
                self.state.say("There are no labels to save; click Segment first.")
            else:
                default = Path.home() / f"{safe_name(layer.name)}.nii.gz"
                path, _ = self._ask_path(default, (LABELS,))
                if path:
                    self.session.save_layer(layer, path)
            return
        source = next(iter(opened.case.sources.values()), None)
        folder = source.parent if source is not None else Path.home()
        ways = ways_to_save(opened.case)
        path, way = self._ask_path(folder / suggested_name(opened.case), ways)
        if path:
            self.session.save(path, way.write)

    def _ask_path(self, default: Path, ways: Sequence[WayToSave]) -> tuple[str, WayToSave]:
        by_filter = {way.filter: way for way in ways}
        asked, chosen = QFileDialog.getSaveFileName(
            self, "Save labels", str(default), ";;".join(by_filter)
        )
        way = by_filter.get(chosen, ways[0])
        path = way.named(asked) if asked else ""
        if path != asked:  # the dialog asked about another name
            question = f"{Path(path).name} exists. Replace it?"
            if Path(path).exists() and not confirms(self, "Save labels", question):
                return "", way
        return path, way

    def ask_close(self) -> None:
        """Close the case in work; where it was painted in and not saved, ask first."""
        opened = self._opened
        if opened is None or (opened.unsaved_strokes and not self._may_lose(opened)):
            return
        self.session.close_case()

    def _may_lose(self, opened: OpenCase) -> bool:
        sentence = f"{opened.case.name} has strokes painted by hand that are not saved. Close it?"
        return confirms(self, "Close case", sentence)

    def _on_case_requested(self, index: int) -> None:
        if index < len(self.state.open_cases):
            self.state.message = None  # it spoke of the case before
            self.session.select(self.state.open_cases[index])

    def _on_modality_requested(self, modality: Modality, index: int) -> None:
        self.session.set_modality(modality, self._sources[index] if index >= 0 else None)

    def _on_checkerboard_requested(self, other: Modality | None) -> None:
        if self._opened is not None:
            self.session.prepare_run.show_checkerboard(self._opened, other)

    def _on_head_requested(self, shown: bool) -> None:
        if self._opened is not None:
            self.session.prepare_run.show_head(self._opened, shown)

    def _on_flip_requested(self) -> None:
        self.session.flip_refinement()
        self._show_refined()  # the button has turned by itself

    # ---- what the state says

    def _connect_state(self) -> None:
        events = self.state.events
        events.open_cases.connect(self._show_cases)
        events.current.connect(self._on_current)
        events.examination.connect(self.prepare_view.set_examination)
        events.devices.connect(self._show_run)
        events.bundle.connect(self._on_bundle)
        events.bundle.connect(self._show_case)
        events.device.connect(self._show_run)
        events.progress.connect(self._show_progress)
        events.refining_progress.connect(self.refine_view.run.set_progress)
        events.outline.connect(self.results_view.set_outline)
        events.side_views.connect(self.case_view.set_side_views)
        self.session.maps_shown.connect(self._show_shown_maps)
        self.session.slice_changed.connect(self._show_slice)
        self.session.layers_changed.connect(self._show_case)

    def _show_everything(self) -> None:
        self.results_view.set_outline(self.state.outline)
        self.case_view.set_side_views(self.state.side_views)
        self.prepare_view.set_examination(self.state.examination)
        self._show_run()
        self.refine_view.run.set_progress(self.state.refining_progress)
        self._on_current(self.state.current)

    def _on_current(self, opened: OpenCase | None) -> None:
        """Another case is in work: follow it instead of the one before."""
        self._following.close()
        self._opened = opened
        if opened is not None:
            events = opened.events
            self._following = Connections(
                (events.case, self._show_case),
                (events.settings, self._show_settings),
                (events.usual, self._show_usual),
                (events.refinement, self._show_refined),
                (events.result, self._on_result),
                (events.revision, self._show_volumes),
                (events.trust, self.results_view.set_trust),
                (events.unsaved, self._show_unsaved),
            )
        self._show_settings(self.state.usual if opened is None else opened.settings)
        self.results_view.set_trust(None if opened is None else opened.trust)
        self._show_unsaved(None if opened is None else opened.unsaved)
        made = None if opened is None else opened.case.preparation
        self.prepare_view.set_prepared(made, compared(opened) if opened and made else ())
        self._show_progress(self.state.progress)
        self._show_cases()
        self._show_case()
        self._on_result(None if opened is None else opened.result)

    def _on_result(self, result: Result | None) -> None:
        """Another result is that of the case: follow its refinement."""
        self._refining.close()
        self._result = result
        if result is not None:
            self._refining = Connections((result.events, self._show_refined))
        self._show_result()

    def _show_unsaved(self, work: UnsavedWork | None) -> None:
        self.case_view.set_unsaved(f"{work.when:%d %b, %H:%M}" if work else "")

    def _show_cases(self) -> None:
        self.case_view.one_contrast.setChecked(self.state.one_contrast)
        open_cases = self.state.open_cases
        index = open_cases.index(self._opened) if self._opened in open_cases else 0
        self.case_view.set_cases([opened.case.name for opened in open_cases], index)

    def _show_case(self) -> None:
        opened, bundle, view = self._opened, self.state.bundle, self.case_view
        needed = set(Modality) if bundle is None else set(bundle.modalities)
        optional = set(Modality) - needed
        if bundle is not None:
            optional |= set(bundle.optional_modalities)
        self._sources = self.session.sources()
        held = {} if opened is None else opened.assignment()
        chosen = {m: self._sources.index(s) for m, s in held.items() if s is not None}
        view.set_modalities([s.title for s in self._sources], chosen, optional)
        expert = None if opened is None else opened.case.expert
        scheme = expert.scheme if expert is not None and expert.scheme in SCHEMES else None
        view.set_schemes(list(SCHEMES), [s.title for s in SCHEMES.values()], scheme)
        self.refine_view.set_overlays(
            [] if opened is None else self.session.layers.overlays(opened)
        )
        grid = None if opened is None else opened.case.grid
        view.set_geometry(*((), ()) if grid is None else (grid.shape, grid.spacing))
        self._show_plane()
        ready = opened is not None and bool(opened.case.volumes)
        volumes = None if opened is None else opened.case.volumes
        self.run_view.set_worse(bundle.worse_without(volumes) if bundle and volumes else "")
        self.run_view.set_ready(ready, "" if opened is None else opened.open_choice)

    def _show_progress(self, progress: Progress | None) -> None:
        """Show how far Segment is, with the name of its case where another one is in view."""
        running = self.state.running
        if progress is not None and running not in (None, self._opened):
            progress = replace(progress, what=f"{progress.what} ({running.case.name})")
        self.run_view.set_progress(progress)

    def _show_run(self) -> None:
        names, titles = zip(*self.state.devices, strict=True)
        self.run_view.set_devices(names, titles, self.state.device)
        bundle = self.state.bundle
        if bundle is None:
            self.run_view.set_bundle("none", "Choose a bundle of weights.", "")
        else:
            self.run_view.set_bundle(bundle.name, bundle.origin, bundle.licence)
        offered, now = self._networks(), (self.state.networks, self._beside)
        place = list(offered.values()).index(now) if now in offered.values() else 0
        self.run_view.set_networks(list(offered), place)

    def _on_bundle(self) -> None:
        """Segment as the new bundle was made."""
        self.state.networks, self._beside = "bundle", False
        self._show_run()
        self._show_targets()

    def _show_usual(self) -> None:
        if self._opened is not None:
            self._show_settings(self._opened.settings)

    def _show_settings(self, settings: Thresholds) -> None:
        usual = None if self._opened is None else self._opened.usual
        if settings != self.threshold_view.settings() or usual != self.threshold_view.usual:
            self.threshold_view.set_settings(settings, usual)
        self._show_refined()

    def _show_result(self) -> None:
        opened = self._opened
        maps = None if self._result is None else self._result.maps
        self._show_targets()
        self.maps_view.set_available(None if maps is None else maps.has)
        shown = set() if opened is None else self.session.layers.shown_maps(opened)
        self.maps_view.set_shown(shown)
        self._show_volumes()
        can_step = maps is not None or (opened is not None and opened.case.expert is not None)
        self.results_view.set_ready(maps is not None, can_step)
        self._show_slice()

    def _show_targets(self) -> None:
        """Show the targets of the result, or of the bundle that will make one."""
        known = self.state.bundle if self._result is None else self._result.maps
        targets = TARGETS if known is None else known.targets
        for view in (self.threshold_view, self.maps_view, self.results_view):
            view.set_targets(targets)

    def _show_volumes(self) -> None:
        self.results_view.set_volumes(None if self._result is None else self._result.volumes_ml)
        self._show_refined()

    def _show_refined(self, event: object = None) -> None:
        opened, result = self._opened, self._result
        refinement = Refinement() if opened is None else opened.refinement
        if refinement != self.refine_view.refinement():
            self.refine_view.set_refinement(refinement)
        index = None
        if opened is not None:
            index = navigate.slice_in_view(self.session.viewer, opened.case.grid)
        if result is None:
            settings = Thresholds() if opened is None else opened.settings
            self.threshold_view.set_gate(settings.gate_probability)
        else:
            hidden = () if index is None else hidden_by_gate(result, index)
            self.threshold_view.set_gate(gate_limit(result, index), hidden)
        there = result is not None and result.current is not None
        self.refine_view.set_result(
            sentence_of(refinement, result, index, commands.FLIP_REFINEMENT),
            can_apply=result is not None and not there,
            can_flip=there or (result is not None and result.previewed is not None),
            flipped=result is not None and result.flipped,
        )
        self._show_figures()

    def _show_figures(self) -> None:
        opened, result, view = self._opened, self._result, self.results_view
        view.set_rows(
            expert=opened is not None and opened.case.expert is not None,
            refines=(Refinement() if opened is None else opened.refinement).changes_something,
        )
        if result is None:
            view.set_figures(None, None)
        else:
            view.set_figures(result.dice, None if result.current is None else result.change)
        used = None if opened is None or opened.kept is None else opened.result
        view.set_origin("" if used is None else f"Result of {used.maps.name}, not of Segment")

    def _show_plane(self) -> None:
        order = tuple(self.session.viewer.dims.order)
        self.case_view.set_plane(None if len(order) != 3 else planes.plane_of(order))

    def _show_shown_maps(self, opened: OpenCase, shown: set[tuple[Row, Target]]) -> None:
        if opened is self._opened:
            self.maps_view.set_shown(shown)

    def _show_slice(self) -> None:
        opened = self._opened
        index = values = None
        if opened is not None:
            index = navigate.slice_in_view(self.session.viewer, opened.case.grid)
            maps = None if self._result is None else self._result.maps
            if maps is not None and maps.probabilities.any() and index is not None:
                values = maps.probabilities[index]
        self.results_view.set_probabilities(index, values)
        self._show_refined()
        self._show_plane()
