"""Contrast by dragging with the right button, and one contrast for a modality of all cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import State
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.planes import camera_of

RIGHT = 2
#: Share of the contrast's range for each pixel that is dragged.
PER_PIXEL = 1 / 400


class ContrastDrag:
    """Changes the contrast of the image in view: sideways its width, up and down its level.

    Parameters
    ----------
    state : State
        The viewer's state; ``one_contrast`` says whether other cases follow.
    layers : CaseLayers
        The layers of the viewer's cases.
    """

    def __init__(self, state: State, layers: CaseLayers) -> None:
        self._state = state
        self._layers = layers
        self._images = Connections()
        self._switch = Connections((state.events.one_contrast, self._on_switch))
        self._sharing = False
        layers.viewer.mouse_drag_callbacks.append(self.drag)
        self.watch()

    def watch(self) -> None:
        """Follow the images that are in the viewer now."""
        self._images.close()
        self._images = Connections(
            *(
                (layer.events.contrast_limits, self._on_changed)
                for layer, _ in self._layers.tagged(None, "modality")
            )
        )

    def close(self) -> None:
        """Leave the mouse and the layers alone."""
        self._images.close()
        self._switch.close()
        callbacks = self._layers.viewer.mouse_drag_callbacks
        if self.drag in callbacks:
            callbacks.remove(self.drag)

    def drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow the mouse from press to release; napari would zoom meanwhile."""
        opened = self._state.current
        layer = None if opened is None else self._layers.image_in_view(opened)
        if layer is None or event.button != RIGHT or event.modifiers:
            return
        camera, start = camera_of(viewer), np.asarray(event.pos, dtype=float)
        low, high = layer.contrast_limits
        pans, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                right, down = (np.asarray(event.pos) - start) * PER_PIXEL * (high - low)
                middle = (low + high) / 2 + down  # dragging down darkens the image
                half = max((high - low) / 2 + right, (high - low) / 1000)
                self._layers.set_contrast(layer, (float(middle - half), float(middle + half)))
                yield
        finally:
            camera.mouse_pan = pans

    def _on_changed(self, event: Any) -> None:
        if self._state.one_contrast and not self._sharing:
            self._share(event.source)

    def _on_switch(self, event: Any = None) -> None:
        """Give all cases the contrast of the case in work."""
        if self._state.one_contrast and self._state.current is not None:
            for layer, _ in self._layers.tagged(self._state.current, "modality"):
                self._share(layer)

    def _share(self, layer: Any) -> None:
        self._sharing = True
        try:
            self._layers.share_contrast(layer)
        finally:
            self._sharing = False
