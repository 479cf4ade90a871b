"""A question that is answered by yes or no."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget


def confirms(parent: QWidget, title: str, sentence: str) -> bool:
    """Ask, and return True for yes; names from files are plain text in it."""
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    box = QMessageBox(QMessageBox.Icon.Question, title, sentence, yes | no, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setDefaultButton(no)  # yes loses something
    return bool(box.exec() == yes)
