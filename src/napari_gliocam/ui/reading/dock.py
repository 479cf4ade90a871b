"""The dock "Reading": chart, measures, overlap, agreement, voxel, report.

The views emit requests and show values; this module connects them with the session.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QLineEdit, QTabWidget

from napari_gliocam.measure.classes.voxel import VoxelReading
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.plugin import commands
from napari_gliocam.ui.reading.agreement_view import AgreementView
from napari_gliocam.ui.reading.measures_view import MeasuresView
from napari_gliocam.ui.reading.overlap_run import addable
from napari_gliocam.ui.reading.overlap_view import OverlapView
from napari_gliocam.ui.reading.session import ReadingSession
from napari_gliocam.ui.reading.slice_chart import SliceChart
from napari_gliocam.ui.reading.voxel_view import VoxelView
from napari_gliocam.ui.reading.work import Measured
from napari_gliocam.ui.viewer import navigate
from napari_gliocam.ui.widgets.dock import Dock
from napari_gliocam.ui.widgets.pieces import Section, in_row, plain_label, push_button, tooltip
from napari_gliocam.ui.widgets.question import confirms

if TYPE_CHECKING:
    import napari

    from napari_gliocam.nets.bundle_info import BundleInfo

WIDTH = 360
_NIFTI_FILTER = "NIfTI (*.nii *.nii.gz)"


class ReadingDock(Dock):
    """The dock of one viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    TITLE = "Reading"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("gliocam-reading", WIDTH)
        commands.bind_keys()
        self.chart = SliceChart()
        self.measures_view = MeasuresView()
        self.overlap_view = OverlapView()
        self.agreement_view = AgreementView()
        self.voxel_view = VoxelView()
        self._make_frame()
        self.session = ReadingSession(viewer, self)
        self.state = self.session.state
        self._connect()
        self.begin(self.session)

    def _make_frame(self) -> None:
        slices = Section("Slices", "Areas on each slice, and image-level probabilities")
        self.status = plain_label()
        self.status.setToolTip(
            tooltip("Chart and tables are those of the labels before, until this goes")
        )
        slices.head.addWidget(self.status)
        self.step_buttons = {}
        for what, step, text, key in (
            ("lesion", -1, "◂ Lesion", commands.PREVIOUS_LESION),
            ("lesion", 1, "Lesion ▸", commands.NEXT_LESION),
            ("conflict", -1, "◂ Overlap", commands.PREVIOUS_CONFLICT),
            ("conflict", 1, "Overlap ▸", commands.NEXT_CONFLICT),
        ):
            meaning = "tumour" if what == "lesion" else "overlap of core and edema"
            way = "next" if step > 0 else "previous"
            self.step_buttons[what, step] = push_button(
                text,
                partial(self._step, what, step),
                f"Go to the {way} slice with {meaning} (key {key})",
            )
        slices.add(self.chart, in_row(*self.step_buttons.values()))
        self.tabs = QTabWidget()
        for title, view in (
            ("Measures", self.measures_view),
            ("Overlap", self.overlap_view),
            ("Agreement", self.agreement_view),
            ("Voxel", self.voxel_view),
        ):
            self.tabs.addTab(view, title)
        self.tabs.setDocumentMode(True)
        report = Section("Report", "A page to print, with csv and json beside it")
        self.heading = QLineEdit()
        self.heading.setPlaceholderText("Heading (optional)")
        self.heading.setToolTip(tooltip("On top of the report; nothing else in it names a person"))
        self.report_button = push_button(
            "Report…", self._ask_report, "Write html, csv and json into a folder"
        )
        report.add(in_row(self.heading, self.report_button, grow=self.heading))
        self.lay_out(slices, self.tabs, report, growing=self.tabs)

    def _connect(self) -> None:
        session = self.session
        self.state.events.bundle.connect(self._show_addable)
        self._show_addable(self.state.bundle)
        self.chart.slice_requested.connect(session.go_to)
        self._connect_measures()
        self._connect_overlap()
        self._connect_agreement()
        session.measured.connect(self._show_measured)
        session.trust_changed.connect(self.measures_view.set_trust)
        session.status_changed.connect(self._show_status)
        session.slice_changed.connect(self.chart.set_slice)
        session.voxel_changed.connect(self._show_voxel)
        session.clicked.connect(self._on_click)
        session.drawings_changed.connect(self._show_drawings)

    def _show_addable(self, bundle: BundleInfo | None) -> None:
        self.overlap_view.set_addable(list(addable(bundle)))

    def _connect_measures(self) -> None:
        view, session = self.measures_view, self.session
        view.diameters_requested.connect(session.show_diameters)
        view.diameters_slice_requested.connect(session.go_to_diameters)
        view.discard_requested.connect(session.discard_strokes)
        view.sequences.requested.connect(session.sequences.start)
        view.sequences.cancel_requested.connect(partial(session.jobs.cancel, "sequences"))
        session.sequences.progressed.connect(view.sequences.set_progress)
        session.sequences_changed.connect(view.set_sequences)
        view.enhancing_requested.connect(session.divide_core)

    def _connect_overlap(self) -> None:
        view, run = self.overlap_view, self.session.overlap
        view.method_requested.connect(run.choose)
        view.threshold_requested.connect(self._on_threshold)
        view.shown_requested.connect(run.show)
        view.add_requested.connect(run.add)
        view.cancel_requested.connect(partial(self.session.jobs.cancel, "explain"))
        view.slice_requested.connect(self.session.go_to)
        run.methods_changed.connect(lambda: view.set_methods(run.methods(), run.method))
        run.threshold_changed.connect(view.set_threshold)
        run.stage_changed.connect(view.set_stage)
        run.overlaps.connect(view.set_rows)

    def _connect_agreement(self) -> None:
        view, run = self.agreement_view, self.session.agreement
        view.other_requested.connect(run.choose)
        view.file_requested.connect(self._ask_other)
        view.shown_requested.connect(run.show)
        view.target_requested.connect(run.set_target)
        run.others_changed.connect(self._show_others)
        run.compared.connect(view.set_comparison)

    # ---- what the views ask for

    def _step(self, what: str, step: int, clicked: bool = False) -> None:
        go = navigate.step_lesion if what == "lesion" else navigate.step_conflict
        go(self.session.viewer, step)

    def _on_threshold(self, threshold: float) -> None:
        self.session.overlap.set_threshold(threshold, self.session.part())
        self.session.refresh()

    def _ask_other(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Labels to compare with", "", _NIFTI_FILTER)
        if path:
            self.session.agreement.open(path)

    def _ask_report(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the report")
        if folder and self._may_replace(Path(folder)):
            self.report(folder)

    def _may_replace(self, folder: Path) -> bool:
        """Return True if no earlier report of the case is there, or the user replaces it."""
        from napari_gliocam.report.save import report_files

        opened = self.session.opened
        files = [] if opened is None else report_files(folder, opened.case.name)
        earlier = [path.name for path in files if path.exists()]
        if not earlier:
            return True
        sentence = f"{', '.join(earlier)} in {folder} will be replaced."
        return confirms(self, "Replace the report?", sentence)

    def report(self, folder: str | Path) -> Job | None:
        """Write the report."""
        return self.session.report(folder, self.heading.text().strip())

    # ---- what is shown

    def _show_measured(self, made: Measured | None) -> None:
        self.measures_view.set_measures(
            None if made is None else made.measures, self.session.waiting
        )
        self.measures_view.set_painted(0 if made is None else made.result.painted)
        self.measures_view.set_enhancing(None if made is None else made.enhancing)
        classes = made is None or made.result.maps.targets != TUMOUR_ALONE
        self.tabs.setTabVisible(self.tabs.indexOf(self.overlap_view), classes)
        self.measures_view.enhancing.setVisible(classes)
        for (what, _), button in self.step_buttons.items():
            button.setVisible(classes or what != "conflict")
        if made is None:
            self.chart.set_areas(None)
        else:
            maps = made.result.maps
            self.chart.set_areas(made.areas, made.overlap, maps.probabilities, maps.targets)
        for button in (*self.step_buttons.values(), self.report_button):
            button.setEnabled(made is not None)
        self.overlap_view.set_methods(self.session.overlap.methods(), self.session.overlap.method)
        self._show_others()

    def _show_voxel(self, voxel: VoxelReading | None) -> None:
        shares = self.session.sequences.at(voxel)
        note = "" if voxel is None or shares else self.session.sequences.note(voxel)
        self.voxel_view.set_voxel(voxel, shares, note)

    def _on_click(self, voxel: VoxelReading | None) -> None:
        if voxel is not None and self.tabs.currentWidget() is self.voxel_view:
            self.session.sequences.ask(voxel)

    def _show_status(self, status: str) -> None:
        self.status.setText(status)
        if self.session.last is None:
            self.measures_view.set_measures(None, self.session.waiting)

    def _show_others(self) -> None:
        run, opened = self.session.agreement, self.session.opened
        there = opened is not None and opened.result is not None
        self.agreement_view.set_others(run.names(), run.index, there=there)

    def _show_drawings(self) -> None:
        drawn = self.session.drawings()
        self.measures_view.diameters_button.setChecked("diameters" in drawn)
        self.overlap_view.show_button.setChecked("claims" in drawn)
        self.agreement_view.show_button.setChecked("agreement" in drawn)
