"""Base of our docks: a strip for messages, a column that scrolls, an end of their work."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, Self
from weakref import WeakMethod

from npe2 import PluginManager
from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent, QKeyEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSizePolicy,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.ui.model.state import Message, unwrap
from napari_gliocam.ui.widgets.pieces import SPACING, Column

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLUGIN, DISPLAY_NAME = "napari-gliocam", "Gliocam"
HEIGHT = 820
_ICONS = {
    "error": QStyle.StandardPixmap.SP_MessageBoxCritical,
    "warning": QStyle.StandardPixmap.SP_MessageBoxWarning,
    "info": QStyle.StandardPixmap.SP_MessageBoxInformation,
}


class MessageView(QFrame):
    """The strip at the top: one sentence that went wrong or is worth knowing, until dismissed."""

    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.icon = QLabel()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.close_button = QToolButton()
        self.close_button.setText("✕")
        self.close_button.setAutoRaise(True)
        self.close_button.setToolTip("Dismiss")
        self.close_button.clicked.connect(self.dismissed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACING, SPACING // 2, SPACING // 2, SPACING // 2)
        layout.setSpacing(SPACING)
        layout.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def set_message(self, message: Message | None) -> None:
        """Show a message, or nothing."""
        self.setVisible(message is not None)
        if message is not None:
            style = self.style()
            assert style is not None
            icon = style.standardIcon(_ICONS[message.level])
            self.icon.setPixmap(icon.pixmap(QSize(16, 16)))
            self.text.setText(message.text)


class ViewerWidget(QWidget):
    """A widget in a dock of a viewer, which learns when that is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._docked = False

    def end_with(self, close: Callable[[], None]) -> None:
        """Call a method when the window is gone: nothing may report to the widget any more."""
        self.destroyed.connect(_End(close))

    def event(self, event: QEvent | None) -> bool:
        """Taken out of its dock, it is closed; napari itself does not notify it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is not None:
                self._docked = True
                self.docked()
            elif self._docked:
                self.undocked()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Leave the plugin's name out of the dock's tab, which would be cut beside others."""
        super().showEvent(event)
        holder = self.holder
        if holder is not None:
            holder.setWindowTitle(holder.windowTitle().partition(" (")[0])

    @property
    def holder(self) -> QDockWidget | None:
        """The dock of the window that the widget is in."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parentWidget()
        return parent

    def docked(self) -> None:
        """Take note that the widget is in a dock now."""

    def undocked(self) -> None:
        """Stop what reports to the widget: the user closed its dock."""
        raise NotImplementedError


class DockWork(Protocol):
    """The work behind a dock."""

    viewer: ViewerModel

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """Stop: the dock is closed, the viewer lives on."""

    def end(self) -> None:
        """Stop: the viewer is gone, too."""

    def dismiss(self) -> None:
        """Take the message away that is shown."""

    def show_messages(self, show: Callable[[Message | None], object]) -> None:
        """Pass each message to a function from now on."""


class Dock(ViewerWidget):
    """A dock of one viewer.

    Parameters
    ----------
    name : str
        Of the widget, for style sheets and tests.
    width : int
        That it would like to have, in pixels.
    """

    #: The name of the widget in the manifest.
    TITLE = "Gliocam"

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self._width = width
        self._placed = self._put_away = False
        self._work: DockWork | None = None
        self.setObjectName(name)
        self.message_view = MessageView()

    def begin(self, work: DockWork) -> None:
        """Start the work behind the dock; it ends when the dock is closed, or the window."""
        self._work = work
        self.message_view.dismissed.connect(work.dismiss)
        work.show_messages(self.message_view.set_message)
        self.end_with(work.end)
        work.start()

    def docked(self) -> None:
        """Let napari find the dock by every name, so that it never adds a second one."""
        holder, holders = self.holder, self._holders()
        if holder is not None:
            for name in self._names():
                holders.setdefault(name, holder)

    def undocked(self) -> None:
        """Stop the work: the user closed the dock."""
        holders = self._holders()
        for name in self._names():
            if name in holders and holders[name].widget() is None:  # this one, now empty
                del holders[name]
        if self._work is not None:
            self._work.close()

    def _holders(self) -> MutableMapping[str, Any]:
        """Return napari's docks by name, in which it looks before it adds one of a plugin."""
        window = None if self._work is None else self._work.viewer.window
        holders: MutableMapping[str, Any] = getattr(window, "_wrapped_dock_widgets", {})
        return holders

    @classmethod
    def _names(cls) -> tuple[str, str]:
        """Return the names of the dock in napari's menus and in its Python interface."""
        return f"{cls.TITLE} ({DISPLAY_NAME})", f"{cls.TITLE} ({PLUGIN})"

    @classmethod
    def show_in(cls, viewer: ViewerModel) -> Self:
        """Open the dock behind the other panels of a viewer, or bring it to the front."""
        window, names = unwrap(viewer).window, cls._names()
        found = next((window.dock_widgets[n] for n in names if n in window.dock_widgets), None)
        if found is None:
            made = next(
                one
                for one in PluginManager.instance().iter_widgets()
                if (one.plugin_name, one.display_name) == (PLUGIN, cls.TITLE)
            )
            found = made.get_callable()(unwrap(viewer))
            window.add_dock_widget(found, name=names[0], tabify=True)
        assert isinstance(found, cls)
        assert found.holder is not None
        found.holder.show()
        found.holder.raise_()
        return found

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Click the button that has the focus by Enter, as Space does by itself."""
        button = QApplication.focusWidget()
        enter = event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event is not None and enter and isinstance(button, QAbstractButton):
            if not event.isAutoRepeat():  # held down, it would start a run and cancel it
                button.click()
        else:
            super().keyPressEvent(event)

    def lay_out(
        self, *views: QWidget, growing: QWidget | None = None, foot: QWidget | None = None
    ) -> None:
        """Put views below each other in a column that scrolls.

        Parameters
        ----------
        *views : QWidget
            Views from top to bottom.
        growing : QWidget, optional
            The view that takes the room that is left; nothing does by default.
        foot : QWidget, optional
            A view that stays in sight below the column.
        """
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(SPACING, SPACING, SPACING, SPACING)
        column.setSpacing(SPACING + 1)
        for view in views:
            column.addWidget(view, int(view is growing))
        if growing is None:
            column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.message_view)
        outer.addWidget(Column(body), 1)
        if foot is not None:
            frame = QWidget()
            inside = QVBoxLayout(frame)
            inside.setContentsMargins(SPACING, SPACING // 2, SPACING, SPACING)
            inside.addWidget(foot)
            outer.addWidget(frame)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Share the tabs of our other docks: napari's menus put one below the other."""
        super().showEvent(event)
        holder = self.holder
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._join_tabs)  # napari sets the heights of a column first
        elif self._put_away and holder is not None:
            QTimer.singleShot(0, holder.raise_)
        self._put_away = False

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Come to the front where another tab is: napari's menu hides a dock that is open."""
        super().hideEvent(event)
        holder = self.holder
        self._put_away = holder is not None and holder.isHidden()
        if holder is None or not self._put_away or holder.isFloating():
            return
        if holder.geometry().right() < 0:  # where Qt keeps the docks behind the one in front
            QTimer.singleShot(0, holder.show)

    def _join_tabs(self) -> None:
        holder, window = self.holder, self.window()
        if holder is None or holder.isFloating() or not isinstance(window, QMainWindow):
            return
        area = window.dockWidgetArea(holder)
        others = [dock.holder for dock in window.findChildren(Dock) if dock is not self]
        for other in others:
            if other is None or other.isFloating() or other.isHidden():
                continue
            if window.dockWidgetArea(other) == area:
                if holder not in window.tabifiedDockWidgets(other):
                    window.tabifyDockWidget(other, holder)
                    holder.raise_()
                return

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the width that its views want, and a height that a small screen allows."""
        return QSize(self._width, HEIGHT)


class _End:
    """Calls a method, held weakly, when Qt removes a widget.

    The garbage collector may empty this object, which is in a cycle with the widget, and Qt may
    remove the widget later.  It then does nothing; a ``functools.partial`` that was emptied ends
    the process when it is called.
    """

    __slots__ = ("_method",)

    def __init__(self, method: Callable[[], None]) -> None:
        self._method = WeakMethod(method)

    def __call__(self, widget: object = None) -> None:
        try:
            method = self._method()
        except AttributeError:  # emptied
            return
        if method is not None:
            method()
