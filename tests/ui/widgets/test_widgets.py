"""The widgets that the views are made of, each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_gliocam.progress import Progress
from napari_gliocam.ui.viewer.side_views import SideView
from napari_gliocam.ui.widgets.pieces import Choice, Column, Elided, Number, Section
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.ui.widgets.tables import TextTable


def turn_wheel(widget: QWidget) -> None:
    """Turn the wheel over a widget, as it happens while the panel is scrolled."""
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_a_run_button_turns_into_a_bar_and_back(qtbot: Any) -> None:
    button = RunButton("Segment", "Run the networks")
    qtbot.addWidget(button)
    button.set_ready(False)
    assert not button.button.isEnabled()
    button.set_ready(True)
    with qtbot.waitSignal(button.requested):
        button.button.click()
    button.set_progress(Progress(0, 1, "queued"))
    assert button.stage.text() == "Queued"
    button.set_progress(Progress(3, 12, "running the networks"))
    assert (button.bar.value(), button.bar.maximum()) == (3, 12)
    assert button.stage.text() == "Running the networks: 3 of 12 slices"
    with qtbot.waitSignal(button.cancel_requested):
        button.cancel_button.click()
    assert not button.cancel_button.isEnabled()
    button.set_progress(None)
    assert button.currentWidget() is button.button


def test_the_counts_of_a_run_are_seen_where_its_stage_is_cut(qtbot: Any) -> None:
    button = RunButton("Segment", "Run the networks")
    qtbot.addWidget(button)
    button.resize(330, 34)
    with qtbot.waitExposed(button):
        button.show()
    button.set_progress(Progress(44, 147, "running the segmentation network"))
    qtbot.wait(20)
    assert button.stage._elidedText().endswith("44 of 147 slices")
    assert "…" in button.stage._elidedText()


def test_the_focus_stays_on_a_run_button_from_start_to_cancel(qtbot: Any) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    button, below = RunButton("Segment", "Run the networks"), QPushButton("Reset")
    layout = QVBoxLayout(window)
    layout.addWidget(button)
    layout.addWidget(below)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    button.button.setFocus()
    button.set_progress(Progress(3, 12, "running the networks"))
    assert QApplication.focusWidget() is button.cancel_button
    qtbot.keyClick(button.cancel_button, Qt.Key.Key_Space)
    button.set_progress(None)
    assert QApplication.focusWidget() is button.button
    below.setFocus()
    button.set_progress(Progress(0, 1, "queued"))
    button.set_progress(None)
    assert QApplication.focusWidget() is below, "a run that others started takes no focus"


def test_a_table_keeps_the_row_that_was_chosen_and_is_as_high_as_its_rows(qtbot: Any) -> None:
    table = TextTable(most_rows=3)
    qtbot.addWidget(table)
    table.fill(["name", "ml"], [["a", "1"], ["b", "2"]], tips=[["A", "one"], ["B", "two"]])
    table.setCurrentCell(1, 0)
    assert table.item(1, 1).toolTip() == "<p>two</p>"
    low = table.height()
    with qtbot.assertNotEmitted(table.currentCellChanged):
        table.fill(["name", "ml"], [[name, "3"] for name in "abcdef"])
    assert table.currentRow() == 1
    high = table.height()
    assert high > low
    table.fill(["name", "ml"], [[name, "3"] for name in "abcdefghi"])
    assert table.height() == high, "it scrolls beyond three rows"
    table.fill([], [])
    assert table.rowCount() == 0


def test_a_table_scrolls_before_it_cuts_its_names(qtbot: Any) -> None:
    table = TextTable()
    qtbot.addWidget(table)
    table.resize(300, 200)
    table.show()
    name = "Core, perpendicular"
    table.fill(["", *(f"Lesion {n}" for n in range(6))], [[name, *["12.34 ml"] * 6]] * 3)
    bar = table.horizontalScrollBar()
    qtbot.waitUntil(lambda: bar.isVisible())
    assert table.columnWidth(0) >= table.fontMetrics().horizontalAdvance(name)
    qtbot.waitUntil(lambda: not table.verticalScrollBar().isVisible())
    table.fill(["", "Case"], [[name, "12.34 ml"]] * 3)
    qtbot.waitUntil(lambda: not bar.isVisible())
    assert table.columnWidth(0) + table.columnWidth(1) == table.viewport().width()


@pytest.mark.parametrize("kind", ["choice", "number"])
def test_a_passing_wheel_changes_nothing(kind: str, qtbot: Any) -> None:
    if kind == "choice":
        choice = Choice("tip")
        qtbot.addWidget(choice)
        with qtbot.assertNotEmitted(choice.currentIndexChanged):
            choice.fill(["a", "b", "c"], 1)
        turn_wheel(choice)
        assert choice.currentText() == "b"
        return
    number = Number("tip")
    qtbot.addWidget(number)
    number.setValue(0.5)
    turn_wheel(number)
    assert number.value() == 0.5


def test_a_long_text_is_cut_and_whole_in_its_tooltip(qtbot: Any) -> None:
    label = Elided()
    qtbot.addWidget(label)
    label.set_text("a <b>long</b> text", "and more")
    assert label.text() == "a <b>long</b> text"
    assert label.toolTip() == "<p>a &lt;b&gt;long&lt;/b&gt; text</p><p>and more</p>"
    assert label.minimumSizeHint().width() == 40


def test_a_column_is_never_narrower_than_its_content(qtbot: Any) -> None:
    section = Section("Heading", "tip")
    wide = QLabel("x")
    wide.setMinimumWidth(333)
    section.body.addWidget(wide)
    column = Column(section)
    qtbot.addWidget(column)
    column.resize(50, 200)
    with qtbot.waitExposed(column):
        column.show()
    qtbot.waitUntil(lambda: column.minimumWidth() >= 333)


def test_a_click_on_a_side_view_is_a_fraction_of_its_picture(qtbot: Any) -> None:
    view = SideView("view 0")
    qtbot.addWidget(view)
    view.resize(240, 120)
    with qtbot.assertNotEmitted(view.pointed):
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(120, 60))
    view.show_picture(np.zeros((10, 10, 3), np.uint8), (50.0, 50.0), marks={"left": "R"})
    with qtbot.waitSignal(view.pointed) as clicked:
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(90, 30))
    down, right = clicked.args
    assert down == pytest.approx(0.25, abs=0.02)
    assert right == pytest.approx(0.25, abs=0.02)
    assert not view.grab().isNull()
