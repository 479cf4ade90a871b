"""Cases with their tagged slices, and the label of the slice in view.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.targets import CORE, EDEMA
from napari_gliocam.ui.train.tagging import ANSWERS, KEYS, CaseRow, Here
from napari_gliocam.ui.viewer.colormaps import CLASS_COLOURS
from napari_gliocam.ui.widgets.pieces import SPACING, Elided, Section, row_label, swatch, tooltip

_TITLES = {"core": "Core", "edema": "Edema", "neither": "Neither", "skip": "Skip"}
_TIPS = {
    "core": "The slice shows core",
    "edema": "The slice shows edema",
    "neither": "The slice shows neither; on to the next",
    "skip": "Leave it open: it takes no part; on to the next",
}
_LIST_HEIGHT = 112


class TagView(QWidget):
    """Show cases and the label of the slice in view; emit labels and requests."""

    folder_requested = Signal()
    labels_requested = Signal()
    derive_requested = Signal()
    case_requested = Signal(str)
    answered = Signal(str)
    rest_requested = Signal()
    advance_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        section = Section("Cases and labels")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        self.folder, self.labels = Elided(), Elided()
        self.folder_button = _button(
            "Open…", "Choose a folder of cases", self.folder_requested.emit
        )
        self.labels_button = _button(
            "csv…", "Read labels from a csv: case, slice, core, edema", self.labels_requested.emit
        )
        self.derive_button = _button(
            "From masks",
            "Label every slice by its expert outlines; labels given by hand stay unless you "
            "replace them",
            self.derive_requested.emit,
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        grid.addWidget(row_label("Folder"), 0, 0)
        grid.addWidget(self.folder, 0, 1)
        grid.addWidget(self.folder_button, 0, 2, 1, 2)
        grid.addWidget(row_label("Labels", "Saved with every answer"), 1, 0)
        grid.addWidget(self.labels, 1, 1)
        grid.addWidget(self.labels_button, 1, 2)
        grid.addWidget(self.derive_button, 1, 3)
        grid.setColumnStretch(1, 1)
        section.body.addLayout(grid)

        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Case", "Tagged"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(_LIST_HEIGHT)
        self.list.setToolTip("Double-click opens a case")
        header = self.list.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.list.itemActivated.connect(self._on_activated)
        section.body.addWidget(self.list)

        self.slice = Elided()
        section.body.addWidget(self.slice)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        self.buttons: dict[str, QPushButton] = {}
        for answer in ANSWERS:
            button = QPushButton(f"{_TITLES[answer]} ({KEYS[answer]})")
            button.setToolTip(f"{_TIPS[answer]}, key {KEYS[answer]}")
            button.setCheckable(True)
            button.setMinimumWidth(10)
            button.clicked.connect(lambda _=False, a=answer: self.answered.emit(a))
            self.buttons[answer] = button
            row.addWidget(button)
        self.buttons["core"].setIcon(swatch(CLASS_COLOURS[CORE]))
        self.buttons["edema"].setIcon(swatch(CLASS_COLOURS[EDEMA]))
        section.body.addLayout(row)
        self.rest_button = _button(
            "All others show neither",
            "Every slice of this case without a label shows neither core nor edema",
            self.rest_requested.emit,
        )
        self.undo_button = _button(
            f"Undo ({KEYS['undo']})",
            f"Take the last label back, key {KEYS['undo']}",
            lambda: self.answered.emit("undo"),
        )
        self.advance = QCheckBox("Core and Edema go on to the next slice")
        self.advance.setToolTip("Each key then labels one slice; go back for a slice with both")
        self.advance.toggled.connect(self.advance_requested)
        last = QHBoxLayout()
        last.setSpacing(SPACING)
        last.addWidget(self.rest_button, 1)
        last.addWidget(self.undo_button)
        section.body.addLayout(last)
        section.body.addWidget(self.advance)
        self.set_place(None, None)
        self.set_here(None)

    def set_place(self, folder: Path | None, labels: Path | None) -> None:
        """Show the folder of cases and the file of labels."""
        self.folder.set_text("none" if folder is None else folder.name)
        self.folder.setToolTip(tooltip(str(folder or "No folder is open")))
        self.labels.set_text("none" if labels is None else labels.name)
        self.labels.setToolTip(tooltip(str(labels or "Open a folder first")))
        self.labels_button.setEnabled(folder is not None)
        self.derive_button.setEnabled(folder is not None)

    def set_cases(self, rows: Sequence[CaseRow]) -> None:
        """Show every case with the number of its tagged slices."""
        if self.list.topLevelItemCount() != len(rows):
            self.list.clear()
            self.list.addTopLevelItems([QTreeWidgetItem(["", ""]) for _ in rows])
        for line, row in enumerate(rows):
            item = self.list.topLevelItem(line)
            assert item is not None
            item.setText(0, row.name)
            item.setText(1, str(row.tagged) + (f" of {row.total}" if row.total else ""))
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def set_here(self, here: Here | None, *, can_undo: bool = False) -> None:
        """Show the label of the slice in view.

        Parameters
        ----------
        here : Here or None
            None where no case of the folder is in view.
        can_undo : bool
            Whether there is a label to take back.
        """
        self.undo_button.setEnabled(can_undo)
        tag = None if here is None else here.tag
        states = {
            "core": tag is not None and tag.core,
            "edema": tag is not None and tag.edema,
            "neither": tag is not None and not tag.tumour and not tag.skipped,
            "skip": tag is not None and tag.skipped,
        }
        for answer, button in self.buttons.items():
            button.setEnabled(here is not None)
            button.setChecked(states[answer])
        self.rest_button.setEnabled(here is not None)
        if here is None:
            self.slice.set_text("Open a case to tag its slices.")
        else:
            known = "no label yet" if tag is None else ""
            words = [_TITLES[a].lower() for a, on in states.items() if on]
            self.slice.set_text(f"{here.case}, slice {here.number}: {known or ' and '.join(words)}")

    def _on_activated(self, item: QTreeWidgetItem) -> None:
        self.case_requested.emit(item.text(0))


def _button(title: str, tip: str, act: Callable[[], object]) -> QPushButton:
    button = QPushButton(title)
    button.setToolTip(tip)
    button.clicked.connect(lambda: act())
    return button
