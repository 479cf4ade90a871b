"""Superpixels and the edge map of BoundaryFit over the slice in view (paper 4, Fig. 2)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.refine.parameters import ClusterParameters
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.layer_data import OVERLAYS, Overlay
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.session import CaseRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.refine.clusters import Clustering


class ClusterOverlay(CaseRun):
    """Draws the borders of a slice's pieces into overlay layers, each slice when it is looked at.

    It shares the ingredients of the refinement: no clusters are made twice.
    """

    def __init__(
        self, state: State, layers: CaseLayers, jobs: Jobs, ingredients: work.Ingredients
    ) -> None:
        super().__init__(state, layers, jobs)
        self._ingredients = ingredients
        self._waiting: tuple[OpenCase, int] | None = None
        self._drawn: tuple[OpenCase, ClusterParameters, set[tuple[Overlay, int]]] | None = None

    def show(self, opened: OpenCase, overlay: Overlay, shown: bool) -> None:
        """Add or remove one of the overlays."""
        if shown:
            self._layers.add_overlay(opened, overlay)
        else:
            self._layers.remove_overlay(opened, overlay)
        self._drawn = None

    def draw(self, opened: OpenCase, index: int) -> None:
        """Draw what is missing of this slice in the layers that are there."""
        parameters, shown = opened.refinement.clusters, self._layers.overlays(opened)
        if self._drawn is None or self._drawn[:2] != (opened, parameters):
            for layer in shown.values():
                layer.data[...] = 0
            self._drawn = opened, parameters, set()
        missing = [overlay for overlay in shown if (overlay, index) not in self._drawn[2]]
        running = self._jobs.running("clustering")
        self._waiting = (opened, index) if missing and running else None
        if not missing or running:
            return
        case, kept = opened.segmented, self._ingredients
        self._jobs.run(
            "clustering",
            lambda: work.cluster(case, index, parameters, kept),
            partial(self._take, opened, index, parameters),
            torch=True,
            urgent=True,
        )

    def _take(
        self, opened: OpenCase, index: int, parameters: ClusterParameters, pieces: Clustering
    ) -> None:
        if self._drawn is not None and self._drawn[:2] == (opened, parameters):
            for overlay, layer in self._layers.overlays(opened).items():
                layer.data[index] = borders(pieces, overlay)
                layer.refresh(extent=False)
            self._drawn[2].update((overlay, index) for overlay in OVERLAYS)
        if self._waiting is not None:
            self.draw(*self._waiting)


def borders(pieces: Clustering, overlay: Overlay) -> NDArray[np.bool_]:
    """Return the borders of the superpixels, or of the clusters that the network made."""
    from napari_gliocam.refine.clusters import edge_map

    return edge_map(pieces.superpixels if overlay == "superpixels" else pieces.clusters)
