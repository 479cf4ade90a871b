"""Cases with their tagged slices, and the label of the slice in view.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem

from napari_gliocam.colours import CLASS_COLOURS
from napari_gliocam.targets import CORE, EDEMA
from napari_gliocam.ui.train.tagging import ANSWERS, KEYS, CaseRow, Here
from napari_gliocam.ui.widgets.pieces import (
    Elided,
    Section,
    check_box,
    in_column,
    in_row,
    labelled,
    push_button,
    swatch,
    tooltip,
)

_TITLES = {"core": "Core", "edema": "Edema", "neither": "Neither", "skip": "Skip"}
_TIPS = {
    "core": "The slice shows core",
    "edema": "The slice shows edema",
    "neither": "The slice shows neither; on to the next",
    "skip": "Leave it open: it takes no part; on to the next",
}
_LIST_HEIGHT = 112


class TagView(Section):
    """Show cases and the label of the slice in view; emit labels and requests."""

    folder_requested = Signal()
    labels_requested = Signal()
    derive_requested = Signal()
    case_requested = Signal(str)
    answered = Signal(str)
    rest_requested = Signal()
    advance_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__("Cases and labels")
        self.folder, self.labels = Elided(), Elided()
        self.folder_button = push_button("Open…", self.folder_requested, "Choose a folder of cases")
        self.labels_button = push_button(
            "csv…", self.labels_requested, "Read labels from a csv: case, slice, core, edema"
        )
        self.derive_button = push_button(
            "From masks",
            self.derive_requested,
            "Label every slice by its expert outlines; labels given by hand stay unless you "
            "replace them",
        )
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
        self.list.itemActivated.connect(lambda item: self.case_requested.emit(item.text(0)))
        self.slice = Elided()
        self.buttons: dict[str, QPushButton] = {}
        for answer in ANSWERS:
            self.buttons[answer] = button = push_button(
                f"{_TITLES[answer]} ({KEYS[answer]})",
                lambda _=False, a=answer: self.answered.emit(a),
                f"{_TIPS[answer]}, key {KEYS[answer]}",
                checkable=True,
            )
            button.setMinimumWidth(10)
        self.buttons["core"].setIcon(swatch(CLASS_COLOURS[CORE]))
        self.buttons["edema"].setIcon(swatch(CLASS_COLOURS[EDEMA]))
        self.rest_button = push_button(
            "All others show neither",
            self.rest_requested,
            "Every slice of this case without a label shows neither core nor edema",
        )
        self.undo_button = push_button(
            f"Undo ({KEYS['undo']})",
            lambda: self.answered.emit("undo"),
            f"Take the last label back, key {KEYS['undo']}",
        )
        self.advance = check_box(
            "Core and Edema go on to the next slice",
            "Each key then labels one slice; go back for a slice with both",
        )
        self.advance.toggled.connect(self.advance_requested)
        self.add(
            in_column(
                labelled("Folder", self.folder, self.folder_button),
                labelled(
                    *("Labels", self.labels, self.labels_button, self.derive_button),
                    tip="Saved with every answer",
                ),
            ),
            self.list,
            self.slice,
            in_row(*self.buttons.values()),
            in_row(self.rest_button, self.undo_button, grow=self.rest_button),
            self.advance,
        )
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
