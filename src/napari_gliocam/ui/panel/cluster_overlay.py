"""Superpixels and the edge map of BoundaryFit over the slice in view (paper 4, Fig. 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.refine.parameters import ClusterParameters
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job, engine
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.layer_data import OVERLAYS, Overlay
from napari_gliocam.ui.viewer.layers import CaseLayers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gliocam.refine.clusters import Clustering


class ClusterOverlay:
    """Draws the borders of a slice's pieces into overlay layers, each slice when it is looked at.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    layers : CaseLayers
        The layers of the viewer's cases.
    ingredients : Ingredients
        Where the refinement keeps its clusters: none is made twice.
    """

    def __init__(self, state: State, layers: CaseLayers, ingredients: work.Ingredients) -> None:
        self._state = state
        self._layers = layers
        self._ingredients = ingredients
        self._job: Job | None = None
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
        self._waiting = (opened, index) if missing and self._job is not None else None
        if not missing or self._job is not None:
            return
        case, kept = opened.segmented, self._ingredients
        job = engine().submit(
            lambda: work.cluster(case, index, parameters, kept), "Clustering", urgent=True
        )
        job.succeeded.connect(self._taker(opened, index, parameters))
        job.failed.connect(self._on_failed)
        self._job = job

    def close(self) -> None:
        """Stop, and report nothing any more."""
        if self._job is not None:
            self._job.forget()
            self._job = None

    def _on_failed(self, sentence: str) -> None:
        self._job = None
        self._state.say(sentence, "error")

    def _taker(
        self, opened: OpenCase, index: int, parameters: ClusterParameters
    ) -> Callable[[Clustering], None]:
        def take(pieces: Clustering) -> None:
            self._job = None
            if self._drawn is not None and self._drawn[:2] == (opened, parameters):
                for overlay, layer in self._layers.overlays(opened).items():
                    layer.data[index] = borders(pieces, overlay)
                    layer.refresh(extent=False)
                self._drawn[2].update((overlay, index) for overlay in OVERLAYS)
            if self._waiting is not None:
                self.draw(*self._waiting)

        return take


def borders(pieces: Clustering, overlay: Overlay) -> NDArray[np.bool_]:
    """Where pieces meet: superpixels, or the clusters of the network."""
    from napari_gliocam.refine.clusters import edge_map

    return edge_map(pieces.superpixels if overlay == "superpixels" else pieces.clusters)
