"""The work behind a dock: between its views, which know no viewer, and state, engine and layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import QObject

from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import Level, Message, State, state_of, unwrap
from napari_gliocam.ui.viewer.layers import CaseLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel


class CaseRun:
    """A kind of work on the cases of a viewer, carried out by jobs.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    layers : CaseLayers
        The layers of the viewer's cases.
    jobs : Jobs
        Those of the dock that asks for the work.
    """

    def __init__(self, state: State, layers: CaseLayers, jobs: Jobs) -> None:
        self._state, self._layers, self._jobs = state, layers, jobs


class DockSession(ABC):
    """Carries out the requests of a dock's views; knows no widget.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    parent : QObject
        The dock; the timers die with it.
    """

    said = Signal(object)
    #: True where the dock shows the messages of the panel instead of its own.
    shares_messages = False

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        self.viewer = unwrap(viewer)
        self.state: State = state_of(viewer)
        self.layers = CaseLayers(viewer)
        self.jobs = Jobs(self.viewer, parent, self.fail)
        self._connections = Connections()
        self._closed = False

    def say(self, text: str, level: Level = "info") -> None:
        """Show a sentence in the dock, and in every dock that shares its messages."""
        if self.shares_messages:
            self.state.say(text, level)
        else:
            self.said.emit(Message(text, level))

    def dismiss(self) -> None:
        """Take the message away that is shown."""
        if self.shares_messages:
            self.state.message = None
        else:
            self.said.emit(None)

    def show_messages(self, show: Callable[[Message | None], object]) -> None:
        """Pass each message to a function from now on, None where it is taken away."""
        if self.shares_messages:
            self.state.events.message.connect(show)
            show(self.state.message)
        else:
            self.said.connect(show)

    def fail(self, sentence: str) -> None:
        """Show why something failed."""
        self.say(sentence, "error")

    def close(self, *, restore: bool = True) -> None:
        """Stop everything that would report to the dock, which may be gone already.

        Parameters
        ----------
        restore : bool
            Whether the viewer lives on, and is to be as it was before.
        """
        if not self._closed:
            self._closed = True
            self.jobs.close()
            self._connections.close()
            self.on_close(restore)

    def end(self) -> None:
        """Stop everything; the viewer is gone with the dock."""
        self.close(restore=False)

    @abstractmethod
    def on_close(self, restore: bool) -> None:
        """Undo what the session did to the viewer; for ``restore`` see `close`."""
