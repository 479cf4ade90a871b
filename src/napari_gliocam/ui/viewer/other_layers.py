"""Layers of others as volumes of a case: which there are, where they lie, whose they become."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Layer

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.ui.model.assign import Source, case_on_layers
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.layer_data import KEY, LayerTag, tag_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class OtherLayers:
    """The image layers of a viewer that are not ours.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or napari.components.ViewerModel
        The viewer whose layers these are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._known: WeakKeyDictionary[Layer, Source] = WeakKeyDictionary()

    def sources(self) -> list[Source]:
        """Three-dimensional ones, as volumes to choose from."""
        sources = []
        for layer in self._viewer.layers:
            if (
                isinstance(layer, Image)
                and not (layer.rgb or layer.multiscale)
                and layer.ndim == 3
                and tag_of(layer) is None
            ):
                if layer not in self._known:
                    self._known[layer] = Source(layer.name, np.asarray(layer.data))
                sources.append(self._known[layer])
        return sources

    def check_placement(self, source: Source, grid: Grid) -> None:
        """Raise `CaseError` where a layer lies elsewhere than the case."""
        layer = self._layer_of(source)
        here, there = (*grid.spacing, *grid.origin), (*layer.scale, *layer.translate)
        if not _upright(layer) or not np.allclose(here, there, atol=1e-3):
            raise CaseError(
                f"The layer {layer.name} lies elsewhere than the case; "
                "resample it onto the case's grid."
            )

    def hand_over(self, source: Source, opened: OpenCase) -> None:
        """Make a layer a volume of the case."""
        self._layer_of(source).metadata[KEY] = LayerTag(opened, "volume", source)

    def case_of(self, source: Source, modality: Modality) -> tuple[Layer, OpenCase]:
        """Return a layer, and the case that can be made of it."""
        layer = self._layer_of(source)
        if not _upright(layer):
            raise CaseError(f"The layer {layer.name} is turned; open its file with Open… instead.")
        case = case_on_layers(layer.name, layer.scale, layer.translate, {modality: source})
        return layer, OpenCase(case, pool=(source,))

    def _layer_of(self, source: Source) -> Layer:
        return next(layer for layer, own in self._known.items() if own is source)


def _upright(layer: Layer) -> bool:
    """Return True if scale and translation alone place a layer."""
    return bool(
        np.allclose(layer.rotate, np.eye(layer.ndim))
        and not np.any(layer.shear)
        and np.all(layer.scale > 0)
        and np.allclose(layer.affine.affine_matrix, np.eye(layer.ndim + 1))
    )
