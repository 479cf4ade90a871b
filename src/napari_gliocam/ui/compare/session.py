"""The work behind the dock "Compare CAMs": run methods, follow thresholds."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from psygnal import Signal
from qtpy.QtCore import QObject

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.cams.compare.threshold_grid import ThresholdGrid, search_thresholds
from napari_gliocam.case import Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target, mask_of
from napari_gliocam.ui.compare.distances import Distances
from napari_gliocam.ui.compare.ensemble import LiveEnsemble
from napari_gliocam.ui.compare.figures import (
    THRESHOLD,
    Figures,
    MethodRow,
    PairRow,
    as_csv,
)
from napari_gliocam.ui.compare.grid import CompareGrid
from napari_gliocam.ui.compare.result import take_result, undo_result
from napari_gliocam.ui.compare.run import CompareRun
from napari_gliocam.ui.compare.trust_run import TrustRun
from napari_gliocam.ui.compare.trust_work import Direction, TrustRow
from napari_gliocam.ui.compare.work import Comparing
from napari_gliocam.ui.jobs.engine import Job
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer import navigate
from napari_gliocam.ui.viewer.layer_data import tag_of
from napari_gliocam.ui.viewer.session import DockSession

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from napari_gliocam.trust.fills import Fill

#: Figures follow a threshold when it has rested for so long.
_REST_MS = 200


class CompareSession(DockSession):
    """Runs comparisons, and shows them."""

    tables_changed = Signal(object, object)
    ready_changed = Signal()
    #: The two methods, and the grid of their thresholds or None.
    searched = Signal(object, object)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(viewer, parent)
        self.grid = CompareGrid(self.layers, self._on_waiting)
        self.runs = CompareRun(self.state, self.jobs)
        self.runs.brought.connect(self._on_brought)
        self.runs.ended.connect(self._on_ended)
        self.runs.said.connect(lambda message: self.said.emit(message))
        self.trust = TrustRun(self.jobs)
        self.trust.found.connect(self._on_tested)
        self.comparing: Comparing | None = None
        self.figures: Figures | None = None
        self.maps: list[ClassMaps] = []
        self.ensemble: LiveEnsemble | None = None
        self._rule: Ensemble | None = None
        self._distances = Distances(self.jobs, self._on_distances)
        self._following = Connections()
        self._moved: set[str] = set()
        self._rest = self.jobs.timer(_REST_MS, self._on_rest)
        self._tidy = self.jobs.timer(0, self._on_tidy)
        self._soon = self.jobs.timer(0, lambda: self.runs.get_ready(self.opened))
        layers, dims, state = self.viewer.layers.events, self.viewer.dims.events, self.state.events
        self._connections = Connections(
            (layers.inserted, self._on_case),
            (layers.removed, self._on_removed),
            (dims.point, self._on_slice),
            (dims.order, self._on_plane),
            (dims.ndisplay, self._on_slice),
            (state.current, self._on_case),
            (state.bundle, self._on_case),
            (state.device, self._on_case),
            (state.under, self._on_under),
        )

    # ---- start and end

    def start(self) -> None:
        """Look at the case in work."""
        self._on_case()

    def on_close(self, restore: bool) -> None:
        """Remove the comparison from a viewer that lives on."""
        self._follow(None)
        if restore:
            self.grid.close()

    # ---- the case

    @property
    def opened(self) -> OpenCase | None:
        """The case in work."""
        return navigate.case_in_work(self.viewer)

    @property
    def slice(self) -> int | None:
        """The slice in view."""
        opened = self.opened
        return None if opened is None else navigate.slice_in_view(self.viewer, opened.case.grid)

    def _on_case(self, event: object = None) -> None:
        """Close the comparison of a case when another one is in work."""
        if self.runs.opened not in (None, self.opened):
            self.runs.leave()
        compared = self.grid.opened
        if compared is not None and compared is not self.opened:
            if compared in self.layers.open_cases():
                self.close_comparison()
            else:  # its layers are being removed: not while napari counts them
                self._tidy.start()
        self._soon.start()
        self.ready_changed.emit()

    def _on_removed(self, event: Event) -> None:
        tag = tag_of(event.value)
        if tag is not None and tag.role == "cell":
            self._tidy.start()
        else:
            self._on_case()

    def _on_tidy(self) -> None:
        """Remove the rest of a cell, or of a comparison, whose layers have gone."""
        if self.grid.opened is None:
            return
        if self.grid.opened is not self.opened:
            self.close_comparison()
            return
        keys = [(maps.name, target) for maps in self._all_maps() for target in maps.targets]
        torn = [key for key in keys if not self.grid.is_whole(key)]
        for key in torn:
            self.grid.remove(key)
            if self.figures is not None:
                self.figures.remove(key)
        if not torn:
            return
        self.maps = [
            replace(maps, targets=left)
            for maps in self.maps
            if (left := tuple(t for t in maps.targets if (maps.name, t) not in torn))
        ]
        if not self.maps:
            self.close_comparison()
            return
        title = "" if self.ensemble is None else self.ensemble.maps.name
        self.set_ensemble(None if title in {method for method, _ in torn} else self._rule)

    def _on_slice(self, event: object = None) -> None:
        self._write_captions()
        self.ready_changed.emit()

    def _on_plane(self, event: object = None) -> None:
        self._on_slice()
        made = [np.count_nonzero(maps.spoken_slices) == 1 for maps in self.maps]
        if made and all(made) and self._axial_slice is None:
            self.say("The maps are of one axial slice; turn to the axial plane to see them.")

    @property
    def _axial_slice(self) -> int | None:
        """The slice in view; None in another plane, in 3-D or outside the case."""
        opened = self.opened
        part = None if opened is None else navigate.part_in_view(self.viewer, opened.case.grid)
        return part[0].start if part is not None and len(part) == 1 else None

    def _on_waiting(self, layer: Layer) -> None:
        self.say(f"{layer.name} waits behind the comparison; Close comparison shows it.")

    # ---- running

    def run(self, request: CompareRequest, *, this_slice: bool = False) -> Job | None:
        """Run methods on the case in work; None where that cannot be.

        Parameters
        ----------
        request : CompareRequest
            What was asked for.
        this_slice : bool
            Look at the slice in view, whatever the scope of the request.
        """
        opened = self.opened
        if opened is None:
            return None
        if not request.methods or not request.targets or not request.layers:
            self.say("Nothing is chosen; choose methods, classes and layers.", "error")
            return None
        if this_slice:
            index = self.slice
            if index is None:
                self.say("The slice in view lies outside the case; go to one of its slices.")
                return None
            request = replace(request, scope=index)
        return self.runs.start(opened, request)

    def _on_brought(self, opened: OpenCase, comparing: Comparing, fresh: list[ClassMaps]) -> None:
        """Show new maps."""
        if opened is not self.opened:
            return  # the case left the viewer meanwhile
        with self.grid.at_once():
            if fresh[0] is comparing.maps[0]:
                self._begin(opened, fresh[0], comparing)
            assert self.figures is not None
            for maps in fresh:
                self.figures.add(maps)
                self.maps.append(maps)
            self.grid.add(fresh, self.figures.threshold)
            self.measure()

    def _begin(self, opened: OpenCase, maps: ClassMaps, comparing: Comparing) -> None:
        """Put a run in the place of the comparison before."""
        known, self.figures = self.figures, Figures(opened.case, maps.asked_slices)
        if known is not None:
            for method in known.methods:
                self.figures.set_threshold(method, known.threshold(method))
        self.maps, self.ensemble = [], None
        self.comparing = comparing
        self.trust.clear()
        self._forget_search()
        self.grid.open(opened, comparing.keys)
        self._follow(opened)

    def _on_ended(self) -> None:
        """Finish the comparison at the end of a run: remove old maps, combine the new ones."""
        self.grid.drop_stale()
        self.set_ensemble(self._rule)

    # ---- the comparison that is shown

    def _all_maps(self) -> list[ClassMaps]:
        return self.maps + ([self.ensemble.maps] if self.ensemble is not None else [])

    def _lay_out(self) -> None:
        self.grid.lay_out([(m.name, target) for m in self._all_maps() for target in m.targets])

    def close_comparison(self) -> None:
        """Remove the comparison; the viewer is as it was before."""
        self._rest.stop()
        self._distances.stop()
        self._follow(None)
        self.grid.close()
        self.figures = self.ensemble = self.comparing = None
        self.maps = []
        self.trust.clear()
        self._forget_search()
        self.tables_changed.emit([], [])

    def set_modality(self, modality: Modality | None) -> None:
        """Lay the maps over another modality."""
        self.state.under = modality

    def _on_under(self, modality: Modality | None) -> None:
        self.grid.show_under()
        self.ready_changed.emit()

    def threshold(self, method: str) -> float:
        """Return the threshold of a method, in [0, 1]."""
        return THRESHOLD if self.figures is None else self.figures.threshold(method)

    def set_threshold(self, method: str, threshold: float) -> None:
        """Follow a slider: the slice in view now, the rest and the figures when it rests."""
        if self.figures is None:
            return
        self.figures.set_threshold(method, threshold)
        self._moved.add(method)
        self.grid.cut(method, threshold, in_view=True)
        if self.ensemble is not None and self.slice is not None:
            self.ensemble.update(self.threshold, [self.slice])
            self.grid.cut(self.ensemble.maps.name, THRESHOLD, in_view=True)
        self._rest.start()

    def set_ensemble(self, rule: Ensemble | None) -> None:
        """Show the methods combined by a rule as one more of them; None for none."""
        self._rule = rule
        figures = self.figures
        if figures is None:
            return
        if rule is None and self.ensemble is None:
            self._lay_out()
            self.measure()
            return
        with self.grid.at_once():
            if self.ensemble is not None:
                for target in self.ensemble.maps.targets:
                    figures.remove((self.ensemble.maps.name, target))
                    self.grid.remove((self.ensemble.maps.name, target))
            self.ensemble = None
            if rule is not None and len(self.maps) > 1:
                self.ensemble = LiveEnsemble(rule, self.maps)
                self.ensemble.update(self.threshold)
                figures.add(self.ensemble.maps)
                self.grid.add([self.ensemble.maps], self.threshold)
            self._lay_out()
            self.measure()

    def _on_rest(self) -> None:
        figures = self.figures
        if figures is None:
            return
        if self.ensemble is not None:
            self.ensemble.update(self.threshold)
            figures.add(self.ensemble.maps)
            self._moved.add(self.ensemble.maps.name)
        for method in self._moved:
            self.grid.cut(method, figures.threshold(method))
        self._moved.clear()
        self.measure()

    def measure(self, event: object = None) -> None:
        """Compute the figures at the present thresholds for tables and pictures."""
        figures, opened = self.figures, self.grid.opened
        if figures is None or opened is None:
            return
        result = opened.result
        made = None if result is None else result.current or result.thresholded
        figures.set_result(None if made is None else made.labels)
        self.tables_changed.emit(*figures.tables())
        self._write_captions()
        if not self.runs.busy:
            self._distances.measure(figures)

    def _write_captions(self) -> None:
        """Write on each picture what is known of the axial slice in view, else of all slices."""
        if self.figures is None or self.grid.opened is None:
            return
        index = self._axial_slice
        tested = {(row.method, row.target): row for row in self.trust.rows}
        for key in self.figures.keys:
            verdict = tested[key].verdict if key in tested else ""
            self.grid.set_caption(key, self.figures.caption(key, index), verdict)
        self.grid.show_shares({key: row.portions(index) for key, row in tested.items()})

    def _on_distances(self) -> None:
        if self.figures is not None:
            self.tables_changed.emit(*self.figures.tables())

    def _follow(self, opened: OpenCase | None) -> None:
        """Measure again when the result of the case changes."""
        self._following.close()
        if opened is not None:
            self._following = Connections((opened.events.revision, self.measure))

    # ---- thresholds by pixel masks

    def _forget_search(self) -> None:
        self.jobs.drop("search")
        self.searched.emit((), None)

    def search(self, target: Target) -> Job | None:
        """Try every pair of thresholds of the first two methods against the expert's outline.

        Parameters
        ----------
        target : {"tumour", "core", "edema"}
            The class whose maps are combined.
        """
        opened, rule = self.grid.opened, self._rule
        maps = [one for one in self.maps if target in one.targets][:2]
        if opened is None or opened.case.expert is None or len(maps) < 2:
            self.say(f"Run two methods with the class {target}, on a case with expert labels.")
            return None
        truth = mask_of(opened.case.expert.labels, target)
        made = np.logical_and(*(one.spoken_slices for one in maps))
        chosen = Ensemble() if rule is None or rule.rule == "vote" else rule

        def searching() -> Generator[Progress, None, ThresholdGrid]:
            yield Progress(0, 1, "searching")
            return search_thresholds(
                [([one.of(target)[made] for one in maps], truth[made])], chosen
            )

        names = tuple(one.name for one in maps)
        return self.jobs.run(
            "search", searching, lambda grid: self.searched.emit(names, grid), name="Searching"
        )

    # ---- tests

    def test(self, scope: str, fill: Fill = "mean") -> Job | None:
        """Put the maps of the comparison to the test.

        Parameters
        ----------
        scope : {"slice", "lesion", "case"}
            The slice in view, the slices with lesion, or all.
        fill : {"mean", "blur", "mirror"}
            Content that takes the place of deleted pixels.
        """
        comparing, index = self.comparing, self.slice
        if comparing is None or self.runs.busy:
            return None
        if scope != "slice":
            return self.trust.start(comparing, self._all_maps(), scope, fill)
        if index is None:
            self.say("The slice in view lies outside the case; go to one of its slices.")
            return None
        maps = [one for one in self._all_maps() if one.spoken_slices[index]]
        if not maps:
            self.say(f"No map of the comparison speaks of slice {index}; go to one of its slices.")
            return None
        return self.trust.start(comparing, maps, index, fill)

    def look(self, method: str, target: Target, direction: Direction, fraction: float) -> None:
        """Show the slice in view at a point of a curve, see `TrustRun.look`."""
        self.trust.look(method, target, direction, fraction, self.slice)

    def _on_tested(self, rows: list[TrustRow], where: str) -> None:
        """Mark the maps that random networks draw, too, and draw the shares of the sequences."""
        self._write_captions()

    # ---- a method as the result

    def can_use(self, method: str) -> bool:
        """Return True if a method has a map; an ensemble may have none, of no class."""
        return any(maps.name == method and maps.targets for maps in self._all_maps())

    @property
    def can_undo(self) -> bool:
        """Whether the networks' own result was replaced."""
        opened = self.opened
        return opened is not None and opened.kept is not None

    def use_as_result(self, method: str) -> None:
        """Make a method's maps, cut at its threshold, the result of the case."""
        opened = self.grid.opened
        if opened is None or not self.can_use(method):
            return
        self._on_rest()  # an ensemble follows its members
        maps = next(maps for maps in self._all_maps() if maps.name == method)
        threshold = self.threshold(method)
        take_result(opened, maps, threshold, self.layers)
        self.measure()
        at = "" if maps.is_mask else f" at {threshold:.2f}"
        self.say(f"{method}{at} is the result now; Close comparison shows it.")

    def undo_result(self) -> None:
        """Bring back what Segment found."""
        opened = self.opened
        if opened is not None and opened.kept is not None:
            self.say(undo_result(opened, self.layers))
            self.measure()

    # ---- export

    def export(self, path: str | Path, rows: list[MethodRow], pairs: list[PairRow]) -> Job:
        """Write the figures as csv, whole or not at all."""
        from napari_gliocam.io.atomic import write_files

        path = Path(path)
        content = as_csv(rows, pairs).encode()
        write = lambda: write_files({path: content}, overwrite=True)  # noqa: E731

        def saved(result: object) -> None:
            self.say(f"Saved {path.name} in {path.parent}.")

        return self.jobs.run(("export", path), write, saved, name="Export")
