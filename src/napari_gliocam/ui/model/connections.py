"""Signals that are connected together and disconnected together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Slot = Callable[..., object]


class Emitter(Protocol):
    """A signal of psygnal, or an event of napari."""

    def connect(self, slot: Slot, /) -> object:
        """Call the slot whenever the signal is emitted."""

    def disconnect(self, slot: Slot, /) -> object:
        """Call it no more."""


class Connections:
    """Slots that are connected to their signals until `close`.

    Parameters
    ----------
    *pairs : tuple of (Emitter, callable)
        Signals with their slots.
    """

    def __init__(self, *pairs: tuple[Emitter, Slot]) -> None:
        self._pairs = pairs
        for emitter, slot in pairs:
            emitter.connect(slot)

    def close(self) -> None:
        """Disconnect every slot."""
        for emitter, slot in self._pairs:
            emitter.disconnect(slot)
        self._pairs = ()
