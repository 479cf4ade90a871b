"""The dock that all others are made of."""

from __future__ import annotations

import gc
from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QLineEdit, QMainWindow

from napari_gliocam.ui.model.state import Message
from napari_gliocam.ui.widgets.dock import Dock, MessageView, _End
from napari_gliocam.ui.widgets.pieces import push_button


class Empty(Dock):
    """A dock that counts how often it is closed."""

    closed = 0

    def undocked(self) -> None:
        self.closed += 1


def test_the_tab_is_short_and_closing_is_noticed(qtbot: Any) -> None:
    holder = QDockWidget("Reading (napari-gliocam)")
    qtbot.addWidget(holder)
    dock = Empty("gliocam-empty", 300)
    holder.setWidget(dock)
    with qtbot.waitExposed(holder):
        holder.show()
    assert holder.windowTitle() == "Reading", "several docks share one row of tabs"
    assert not dock.closed
    dock.setParent(None)
    assert dock.closed == 1
    dock.deleteLater()


def test_enter_clicks_the_button_that_has_the_focus(qtbot: Any) -> None:
    dock = Empty("gliocam-empty", 300)
    qtbot.addWidget(dock)
    clicked: list[bool] = []
    button, typed = push_button("Segment", clicked.append), QLineEdit()
    dock.lay_out(button, typed)
    with qtbot.waitActive(dock):
        dock.show()
        dock.activateWindow()
    for focused, key in ((button, "Return"), (button, "Enter"), (typed, "Return")):
        focused.setFocus()
        qtbot.keyClick(focused, getattr(Qt.Key, f"Key_{key}"))
    assert len(clicked) == 2
    button.setFocus()
    held = QKeyEvent(
        QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "", True
    )
    QApplication.sendEvent(button, held)
    assert len(clicked) == 2, "a key held down would start a run and cancel it"


def test_docks_that_a_menu_opens_share_their_tabs(qtbot: Any) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    holders = []
    for name in ("Gliocam", "Reading", "Train"):
        holder = QDockWidget(name, window)
        holder.setWidget(Empty(name, 300))
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, holder)
        holders.append(holder)
        qtbot.wait(50)
    first, *others = holders
    qtbot.waitUntil(lambda: set(window.tabifiedDockWidgets(first)) == set(others))
    assert not others[-1].visibleRegion().isEmpty(), "the last one is in front"

    def in_front(holder: QDockWidget) -> bool:
        return not holder.visibleRegion().isEmpty()

    first.hide()  # as napari's menu does with a dock that is open, be it behind others
    qtbot.waitUntil(lambda: in_front(first))
    first.hide()
    qtbot.wait(20)
    assert first.isHidden(), "the tab in front is put away"
    others[-1].raise_()
    first.show()
    qtbot.waitUntil(lambda: in_front(first))


def test_a_dock_that_was_collected_is_closed_safely(qtbot: Any) -> None:
    holder = QDockWidget("Gliocam")
    dock = Empty("gliocam-empty", 300)
    dock.end_with(dock.undocked)
    holder.setWidget(dock)
    del dock
    holder.deleteLater()
    gc.collect()
    qtbot.wait(20)  # the window goes now; a call of something collected would end the process


def test_an_end_that_the_collector_emptied_does_nothing(qtbot: Any) -> None:
    dock = Empty("gliocam-empty", 300)
    qtbot.addWidget(dock)
    end = _End(dock.undocked)
    end(dock)
    assert dock.closed == 1
    del end._method  # as the collector does, before Qt removes the dock
    end(dock)
    assert dock.closed == 1


def test_a_message_is_plain_text_and_is_shown_until_there_is_none(qtbot: Any) -> None:
    view = MessageView()
    qtbot.addWidget(view)
    view.set_message(Message("<h1>CE-certified</h1>", "error"))
    assert not view.isHidden()
    assert view.text.text() == "<h1>CE-certified</h1>"
    assert view.text.textFormat() == Qt.TextFormat.PlainText
    view.set_message(None)
    assert view.isHidden()
