"""The dock that all others are made of."""

from __future__ import annotations

import gc
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_gliocam.ui.model.state import Message
from napari_gliocam.ui.widgets.dock import Dock, MessageView, _End


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
