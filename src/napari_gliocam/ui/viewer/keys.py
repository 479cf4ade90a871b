"""Keys of the canvas: the one place that binds functions to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from app_model.types import KeyBinding

from napari_gliocam.ui.model.state import unwrap

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

Provider: TypeAlias = "ViewerModel | Layer"
Act = Callable[["ViewerModel | Layer"], object]


def bind_key(target: Provider | type[ViewerModel], key: str, act: Act, name: str) -> None:
    """Bind a key of the canvas to an action.

    napari reads ``__name__`` of every binding at every key press, and a partial without one
    breaks all keys; the function bound here always has a name.

    Parameters
    ----------
    target : napari.viewer.Viewer, napari.layers.Layer, or one of these classes
        Whose key it is.
    key : str
        Such as ``"N"`` or ``"Shift-N"``.
    act : callable
        Called with the viewer or layer.
    name : str
        An identifier.
    """

    def pressed(provider: Provider) -> None:
        act(provider)

    pressed.__name__ = pressed.__qualname__ = f"gliocam_{name}"
    target.bind_key(key, pressed, overwrite=True)


class CanvasKeys:
    """Keys that a dock has while it is open, whichever layer is active.

    A key of the active layer goes before a key of the viewer (C of an image sets its contrast),
    so each key is bound to the layers as well.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    actions : mapping of str to (key, action)
        By name, an identifier; the action is called with the viewer or the active layer.
    """

    def __init__(self, viewer: ViewerModel, actions: Mapping[str, tuple[str, Act]]) -> None:
        self._viewer = unwrap(viewer)
        self._actions = dict(actions)
        for target in (self._viewer, *self._viewer.layers):
            self._bind(target)
        self._viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Give the keys back to napari."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for target in (self._viewer, *self._viewer.layers):
            for key, _ in self._actions.values():
                target.keymap.pop(KeyBinding.from_str(key), None)

    def _on_inserted(self, event: Event) -> None:
        self._bind(event.value)

    def _bind(self, target: Provider | type[ViewerModel]) -> None:
        for name, (key, act) in self._actions.items():
            bind_key(target, key, act, name)
