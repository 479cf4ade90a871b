"""The dock "Compare CAMs": puts the views together and connects them to a session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_gliocam.case import Modality
from napari_gliocam.io.naming import safe_name
from napari_gliocam.targets import TARGETS
from napari_gliocam.ui.compare.choice_view import ChoiceView
from napari_gliocam.ui.compare.figures import MethodRow, PairRow
from napari_gliocam.ui.compare.session import CompareSession
from napari_gliocam.ui.compare.table_view import FiguresView
from napari_gliocam.ui.compare.threshold_view import MethodThresholds
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.plugin import commands
from napari_gliocam.ui.widgets.dock import Dock

if TYPE_CHECKING:
    import napari

WIDTH = 380


class CompareDock(Dock):
    """Explanation methods side by side, for the case in work.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    TITLE = "Compare CAMs"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("gliocam-compare", WIDTH)
        commands.bind_keys()
        self.choice_view = ChoiceView()
        self.thresholds_view = MethodThresholds()
        self.figures_view = FiguresView()
        self.lay_out(
            self.choice_view, self.thresholds_view, self.figures_view, growing=self.figures_view
        )
        self.session = CompareSession(viewer, self)
        self._connect()
        self.begin(self.session)
        self._show_ready()

    def _connect(self) -> None:
        session, choice = self.session, self.choice_view
        thresholds, figures = self.thresholds_view, self.figures_view
        choice.run_requested.connect(self.run)
        choice.cancel_requested.connect(partial(session.jobs.cancel, "compare"))
        choice.modality_requested.connect(session.set_modality)
        choice.scope_chosen.connect(self._show_ready)
        thresholds.threshold_requested.connect(session.set_threshold)
        thresholds.ensemble_requested.connect(session.set_ensemble)
        thresholds.use_requested.connect(session.use_as_result)
        thresholds.undo_requested.connect(session.undo_result)
        figures.close_requested.connect(session.close_comparison)
        figures.export_requested.connect(self._ask_export)
        figures.search.search_requested.connect(session.search)
        figures.search.threshold_requested.connect(thresholds.set_threshold)
        session.searched.connect(figures.search.set_result)
        self._connect_trust()
        session.runs.progressed.connect(choice.set_progress)
        session.tables_changed.connect(self._on_tables)
        session.ready_changed.connect(self._show_ready)

    def _connect_trust(self) -> None:
        view, run = self.figures_view.trust, self.session.trust
        view.test_requested.connect(self.session.test)
        view.cancel_requested.connect(partial(self.session.jobs.cancel, "test"))
        view.step_requested.connect(self.session.look)
        run.progressed.connect(view.run.set_progress)
        run.found.connect(view.set_rows)
        run.pictured.connect(view.set_picture)

    def run(self) -> Job | None:
        """Run what is chosen."""
        choice = self.choice_view
        return self.session.run(choice.request(), this_slice=choice.this_slice)

    def export(self, path: str | Path) -> Job:
        """Write the figures as csv."""
        view = self.figures_view
        return self.session.export(path, view.rows, view.pair_rows)

    def _ask_export(self) -> None:
        opened = self.session.opened
        name = "comparison" if opened is None else safe_name(opened.case.name)
        default = str(Path.home() / f"{name}_explain.csv")
        path, _ = QFileDialog.getSaveFileName(self, "Export figures", default, "Table (*.csv)")
        if path:
            self.export(path if path.lower().endswith(".csv") else path + ".csv")

    def _on_tables(self, rows: list[MethodRow], pairs: list[PairRow]) -> None:
        session = self.session
        thresholds = {row.method: row.threshold for row in rows if row.threshold is not None}
        ensemble = session.ensemble.maps.name if session.ensemble is not None else ""
        self.thresholds_view.set_methods(thresholds, ensemble, session.can_use, session.can_undo)
        self.figures_view.set_tables(rows, pairs)
        self.figures_view.trust.set_ready(bool(rows))

    def _show_ready(self) -> None:
        session, opened = self.session, self.session.opened
        volumes = () if opened is None else tuple(m for m in Modality if m in opened.case.volumes)
        self.choice_view.set_modalities(volumes, session.state.under)
        bundle = session.state.bundle
        self.choice_view.set_segmenter(bundle is not None and bundle.segmenter is not None)
        self.choice_view.set_targets(TARGETS if bundle is None else bundle.targets)
        self.choice_view.set_ready(bool(volumes), session.slice)
