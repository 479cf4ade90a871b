"""The thresholds' contours on the maps that are shown, of the slice in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gliocam.maps.class_maps import CLASS_ROWS
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.navigate import part_in_view

if TYPE_CHECKING:
    from napari.layers import Labels

#: In the layer, whose colours are all white; later ones are drawn over earlier ones.
_VALUES = {"tumour": 1, "edema": 2, "core": 3}


class ThresholdContours:
    """Draws where each map that is shown crosses its threshold.

    Parameters
    ----------
    layers : CaseLayers
        The layers of the viewer's cases.
    """

    def __init__(self, layers: CaseLayers) -> None:
        self._layers = layers
        self._drawn: tuple[Labels, tuple[slice, ...]] | None = None

    def draw(self, opened: OpenCase, *, add: bool = False) -> None:
        """Draw the slice in view anew; without a map there is no contour.

        Parameters
        ----------
        opened : OpenCase
            The case of the layer.
        add : bool
            True where a map was asked for: the layer is added where it is not there.  It never is
            in answer to a layer that goes, or a viewer could not be emptied.
        """
        maps = self._layers.map_layers(opened)
        layer = self._layers.contour(opened)
        part = part_in_view(self._layers.viewer, opened.case.grid) if maps else None
        if layer is None:
            if part is None or not add:
                return
            layer = self._layers.add_contour(opened)
        if self._drawn is not None and self._drawn[0] is layer:
            layer.data[self._drawn[1]] = 0
            self._drawn = None
        if part is not None:
            drawn = layer.data[part]
            for target, value in _VALUES.items():
                for (row, shown), one in maps.items():
                    if shown == target and row in CLASS_ROWS:  # a threshold cuts no other
                        drawn[one.data[part] > _threshold(opened.settings, target)] = value
            self._drawn = layer, part
        if layer.visible != (part is not None):
            layer.visible = part is not None
        layer.refresh(thumbnail=False, highlight=False, extent=False)


def _threshold(settings: Thresholds, target: str) -> float:
    return settings.tumour_threshold if target == "tumour" else settings.class_threshold
