"""Text that comes from files is plain text in every widget that shows it."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_gliocam.ui.panel.run_view import RunView
from napari_gliocam.ui.widgets.pieces import plain_label
from napari_gliocam.ui.widgets.question import confirms
from napari_gliocam.ui.widgets.tables import TextTable

HOSTILE = "<h1>CE-certified</h1>"


def test_cells_of_a_table(qtbot: Any) -> None:
    table = TextTable()
    qtbot.addWidget(table)
    table.fill(["", "a"], [[HOSTILE, "1"]], [[HOSTILE, "two\nlines"]])
    assert table.item(0, 0).text() == HOSTILE, "a cell shows its text as it is"
    assert "<h1" not in table.item(0, 0).toolTip()
    assert "&lt;h1&gt;" in table.item(0, 0).toolTip()


def test_labels_and_reasons(qtbot: Any) -> None:
    label, view = plain_label(HOSTILE, wrap=True), RunView()
    for widget in (label, view):
        qtbot.addWidget(widget)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert label.wordWrap()
    view.set_ready(True, HOSTILE)
    assert not view.segment_button.isEnabled()
    assert "<h1" not in view.segment_button.toolTip()
    view.set_ready(True)
    assert view.segment_button.isEnabled()
    assert "Find the tumour" in view.segment_button.toolTip()


@pytest.mark.parametrize("answer", [True, False])
def test_questions(qtbot: Any, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    parent, formats = QWidget(), []
    qtbot.addWidget(parent)
    buttons = QMessageBox.StandardButton

    def answering(box: QMessageBox) -> int:
        formats.append(box.textFormat())
        assert box.text() == HOSTILE
        assert box.defaultButton() is box.button(buttons.No), "Enter loses nothing"
        return buttons.Yes if answer else buttons.No

    monkeypatch.setattr(QMessageBox, "exec", answering)
    assert confirms(parent, "Close case", HOSTILE) is answer
    assert formats == [Qt.TextFormat.PlainText]
