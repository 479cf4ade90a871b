"""Overlap of the classes in a viewer: three colours on the slice, a table by method."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from psygnal import Signal

from napari_gliocam.cams.methods.registry import METHODS, OF_SEGMENTER, SEGMENTER
from napari_gliocam.maps.class_maps import ClassMaps, Row
from napari_gliocam.measure.classes.class_overlap import claims_of
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.progress import Progress
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.painted_labels import EVERYWHERE
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.reading import work as reading_work
from napari_gliocam.ui.reading.work import OWN, own_rows
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.session import CaseRun

_FIRST = next(iter(OWN.values()))


def addable(bundle: BundleInfo | None) -> dict[str, str]:
    """Return the methods that need the networks of a bundle: their names by their titles."""
    methods = {METHODS[n].title: n for n in ("gradcam", "layercam", "scorecam", "amecam")}
    there = bundle is not None and bundle.segmenter is not None
    return {OF_SEGMENTER.title: SEGMENTER, **methods} if there else methods


class OverlapRun(CaseRun):
    """Draws core, edema and overlap of one method, and counts the overlap of every method."""

    overlaps = Signal(object)
    methods_changed = Signal()
    threshold_changed = Signal(float)
    stage_changed = Signal(str)

    def __init__(self, state: State, layers: CaseLayers, jobs: Jobs) -> None:
        super().__init__(state, layers, jobs)
        self._opened: OpenCase | None = None
        self._added: dict[str, ClassMaps] = {}
        self._drawn: ClassMaps | None = None
        self.method = _FIRST
        self.threshold = 0.5

    def follow(self, opened: OpenCase | None) -> None:
        """Work on another case, or on other maps of the same."""
        self._jobs.drop("explain")
        self._jobs.drop("table")
        self._jobs.drop("row")
        self._opened, self._drawn, self.method = opened, None, _FIRST
        self._added.clear()
        if opened is not None:
            self.follow_threshold(opened.settings.class_threshold)
        self.methods_changed.emit()
        self.overlaps.emit(())

    def follow_threshold(self, threshold: float) -> None:
        """Take the threshold of the result."""
        if threshold != self.threshold:
            self.threshold = threshold
            self.threshold_changed.emit(threshold)

    @property
    def _maps(self) -> ClassMaps | None:
        result = None if self._opened is None else self._opened.result
        return None if result is None or result.maps.targets == TUMOUR_ALONE else result.maps

    def methods(self) -> list[str]:
        """Return the methods whose overlap can be drawn."""
        maps = self._maps
        return [] if maps is None else [*(OWN[row] for row in own_rows(maps)), *self._added]

    def choose(self, title: str) -> None:
        """Draw another method; its maps are enlarged on another thread."""
        self.method, self._drawn = title, self._added.get(title)
        maps, there = self._maps, self._drawn is not None or title == _FIRST
        if maps is None or there:
            self.draw()
            return
        row = self._row
        self._jobs.run("row", lambda: maps.row(row), partial(self._on_row, maps, title))

    @property
    def _row(self) -> Row:
        return next(row for row, title in OWN.items() if title == self.method)

    def _on_row(self, maps: ClassMaps, title: str, enlarged: ClassMaps) -> None:
        if self._maps is maps and self.method == title:
            self._drawn = enlarged
            self.draw()

    def set_threshold(self, threshold: float, part: tuple[slice, ...] | None) -> None:
        """Cut the class maps elsewhere, the part in view at once; the result stays as it is."""
        self.threshold = round(threshold, 3)
        self.draw(part)

    def show(self, shown: bool) -> None:
        """Show or hide core only, edema only and both."""
        if self._opened is None or self._maps is None:
            return
        if shown:
            self._layers.add_drawing(self._opened, "claims")
            self.draw()
        else:
            self._layers.remove_drawing(self._opened, "claims")

    def draw(self, part: tuple[slice, ...] | None = None) -> None:
        """Draw core, edema and overlap of the method, or a part of them."""
        opened = self._opened
        layer = None if opened is None else self._layers.drawing(opened, "claims")
        maps = self._maps if self.method == _FIRST else self._drawn
        if opened is None or layer is None or maps is None:
            return  # maps may be being enlarged
        settings = replace(opened.settings, class_threshold=self.threshold)
        where = EVERYWHERE if part is None else part
        claims_of(maps, settings=settings, where=where, out=layer.data)
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def tabulate(self) -> None:
        """Count the overlap of every method."""
        opened, maps, more = self._opened, self._maps, tuple(self._added.values())
        if opened is None or maps is None:
            return
        settings = replace(opened.settings, class_threshold=self.threshold)
        self._jobs.run(
            "table",
            lambda: reading_work.overlapping(maps, more, settings),
            lambda made: self.overlaps.emit(made),
        )

    def add(self, title: str) -> None:
        """Make the class maps of a method that needs the networks."""
        opened = self._opened
        if opened is None or self._maps is None or title in self._added:
            return
        info = self._state.bundle
        bundle, method = None if info is None else info.path, addable(info)[title]
        case, device = opened.segmented, self._state.device
        self._jobs.run(
            "explain",
            lambda: reading_work.explaining(case, bundle, device, method, title),
            partial(self._on_added, opened),
            torch=True,
            shown=partial(self._show, title),
        )

    def _show(self, title: str, progress: Progress | None) -> None:
        if progress is None:
            self.stage_changed.emit("")
        elif progress.total > 1:
            self.stage_changed.emit(f"{progress.what}: {progress.done} of {progress.total}")
        else:
            self.stage_changed.emit(f"{title}: {progress.what}")

    def _on_added(self, opened: OpenCase, maps: ClassMaps) -> None:
        if opened is self._opened:
            self._added[maps.name] = maps
            self.choose(maps.name)
            self.methods_changed.emit()
            self.tabulate()
