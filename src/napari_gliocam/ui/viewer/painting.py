"""A brush on the result layer: strokes are kept apart from the result, strange values out."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Labels

from napari_gliocam.targets import CLASS_NAMES, labels_of
from napari_gliocam.ui.model.result import Result
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.layers import CaseLayers

#: As in napari's history: how much can be undone, how much redone.
_History = tuple[int, int]


class Painter:
    """Watches the result layers of a viewer for strokes, undo and redo.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    layers : CaseLayers
        The layers of the viewer's cases.
    painted : callable, optional
        Called after strokes were taken or taken back.
    """

    def __init__(
        self, state: State, layers: CaseLayers, painted: Callable[[], object] | None = None
    ) -> None:
        self._state = state
        self._layers = layers
        self._painted = painted or (lambda: None)
        self._coming = False
        self._watched: dict[int, tuple[Labels, _History]] = {}

    def watch(self) -> None:
        """Watch the result layers that are there now."""
        layers = {id(layer): layer for layer, _ in self._results()}
        for key, (layer, _) in list(self._watched.items()):
            if key not in layers:
                self._leave(layer)
                del self._watched[key]
        for key, layer in layers.items():
            if key not in self._watched:
                layer.events.paint.connect(self._on_paint)
                layer.events.labels_update.connect(self._on_painted)
                layer.events.set_data.connect(self._look)
                self._watched[key] = (layer, _history(layer))

    def close(self) -> None:
        """Watch nothing any more."""
        for layer, _ in self._watched.values():
            self._leave(layer)
        self._watched.clear()

    def _leave(self, layer: Labels) -> None:
        layer.events.paint.disconnect(self._on_paint)
        layer.events.labels_update.disconnect(self._on_painted)
        layer.events.set_data.disconnect(self._look)

    def _results(self) -> list[tuple[Labels, OpenCase]]:
        return [
            (layer, tag.opened)
            for layer, tag in self._layers.tagged(None, "result")
            if isinstance(layer, Labels)
        ]

    def _on_paint(self, event: object) -> None:
        """Take a stroke: of the mouse after it is done, of a call before it."""
        self._coming = True
        self._look()

    def _on_painted(self, event: object) -> None:
        if self._coming:
            self._coming = False
            self._look(force=True)

    def _look(self, event: object = None, force: bool = False) -> None:
        """Find the layer whose history has moved; a mere repaint of the canvas costs nothing."""
        for layer, opened in self._results():
            known, now = self._watched.get(id(layer)), _history(layer)
            if known is not None and (force or known[1] != now):
                self._watched[id(layer)] = (layer, now)
                result = opened.result
                if now != (0, 0) and result is not None and layer.data is result.painted.labels:
                    self._take(layer, opened, result)

    def _take(self, layer: Labels, opened: OpenCase, result: Result) -> None:
        known = labels_of(result.maps.targets, exclusive=opened.settings.exclusive)
        strange = result.painted.take_strokes(result.unpainted_labels, known)
        if strange:
            layer.refresh(extent=False)
            values = ", ".join(map(str, strange))
            there = ", ".join(f"{value} ({CLASS_NAMES[value]})" for value in known)
            self._state.say(
                f"The value {values} is no class and was not painted; use {there}, or 0 to erase.",
                "warning",
            )
        opened.count()
        self._painted()


def _history(layer: Labels) -> _History:
    """Napari says when something is painted and not when that is undone: look at its history."""
    return len(layer._undo_history), len(layer._redo_history)
