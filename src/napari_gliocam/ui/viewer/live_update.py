"""Labels that follow the thresholds on screen: the slice in view now, the rest in idle time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.model.threshold_labels import ThresholdLabels
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.navigate import part_in_view

if TYPE_CHECKING:
    from napari.components import ViewerModel


class LiveUpdate:
    """Applies new settings to the labels of a case.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    layers : CaseLayers
        The layers of the viewer's cases.
    parent : QObject
        The panel; the timer dies with it.
    """

    def __init__(self, viewer: ViewerModel, layers: CaseLayers, parent: QObject) -> None:
        self._viewer = viewer
        self._layers = layers
        self._opened: OpenCase | None = None
        self._idle = QTimer(parent)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._step)

    @property
    def _labels(self) -> ThresholdLabels | None:
        result = None if self._opened is None else self._opened.result
        return None if result is None else result.thresholded

    def change(self, opened: OpenCase, settings: Thresholds) -> None:
        """Take new settings; nothing but NumPy runs, and one slice of it now."""
        if self._opened is not opened:
            self.settle()
        if opened.result is None:
            opened.settings = settings
            return
        self._opened = opened
        part = part_in_view(self._viewer, opened.case.grid)
        opened.result.thresholded.change(settings, part)
        opened.settings = settings  # who hears of it finds the labels changed
        if self._layers.result(opened) is None:
            self._layers.show_labels(opened)
        elif part is not None:
            self._layers.repaint_labels(opened, part)
        self._idle.start()

    def look(self) -> None:
        """Another slice came into view: it must not show older settings."""
        opened, labels = self._opened, self._labels
        if opened is None or labels is None or not labels.pending:
            return
        part = part_in_view(self._viewer, opened.case.grid)
        if part is not None:
            labels.show(part)
            self._layers.repaint_labels(opened, part)

    def settle(self) -> None:
        """Bring every slice and the thumbnail up to date now."""
        opened, labels = self._opened, self._labels
        self._opened = None
        self._idle.stop()
        if opened is not None and labels is not None:
            labels.finish()
            if self._layers.result(opened) is not None:
                self._layers.show_labels(opened)
            opened.count()

    def close(self) -> None:
        """Stop; the panel, and the timer with it, may be gone already."""
        with suppress(RuntimeError):
            self._idle.stop()
        if self._labels is not None:
            self._labels.finish()
        self._opened = None

    def _step(self) -> None:
        opened, labels = self._opened, self._labels
        if opened is None or labels is None:
            self._idle.stop()
        elif not labels.step():
            self._idle.stop()
            if self._layers.result(opened) is not None:
                self._layers.repaint_labels(opened)
            opened.count()
