"""Bundles beside each other, with the figures that they reached.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QInputDialog

from napari_gliocam.nets.library import Listed
from napari_gliocam.ui.widgets.pieces import Section, in_row, push_button
from napari_gliocam.ui.widgets.question import confirms
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import figure

_FIGURES = {
    "AUC core": ("AUC", "core"),
    "AUC edema": ("AUC", "edema"),
    "Dice": ("Dice", "tumour"),
}


class BundleListView(Section):
    """List bundles; emit a request to use, rename or remove the chosen one."""

    use_requested = Signal(object)
    rename_requested = Signal(object, str)
    remove_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__(
            "Bundles", "Figures after training, on the validation patients of each bundle"
        )
        self.list = TextTable(most_rows=4)
        self.list.currentItemChanged.connect(self._enable)
        self.use_button = push_button(
            "Use",
            lambda: self.use_requested.emit(self.chosen().path),
            "Segment with it from now on",
        )
        self.rename_button = push_button("Rename…", self._ask_name)
        self.remove_button = push_button("Remove…", self._ask_removal)
        self.add(self.list, in_row(self.use_button, self.rename_button, self.remove_button))
        self._bundles: list[Listed] = []
        self._enable()

    def set_bundles(self, bundles: Sequence[Listed], used: Path | None) -> None:
        """Show bundles; the one in use is bold."""
        chosen = self.chosen().path if self.list.currentItem() is not None else None
        self._bundles = list(bundles)
        rows = [
            [bundle.info.name, *(figure(bundle.figures.get(k), 3) for k in _FIGURES.values())]
            for bundle in bundles
        ]
        tips = [[f"{bundle.info.origin}\n{bundle.path}"] * len(rows[0]) for bundle in bundles]
        self.list.fill(["Bundle", *_FIGURES], rows, tips)
        self.list.setCurrentCell(-1, -1)
        for line, bundle in enumerate(bundles):
            item = self.list.item(line, 0)
            assert item is not None
            font = item.font()
            font.setBold(bundle.path == used)
            item.setFont(font)
            if bundle.path == chosen:
                self.list.setCurrentItem(item)
        self._enable()

    def chosen(self) -> Listed:
        """Return the bundle that is selected; the first where none is."""
        return self._bundles[max(0, self.list.currentRow())]

    def _enable(self, *items: object) -> None:
        there = self.list.currentItem() is not None and bool(self._bundles)
        own = there and not self.chosen().ships
        self.use_button.setEnabled(there)
        self.rename_button.setEnabled(own)
        self.remove_button.setEnabled(own)

    def _ask_name(self) -> None:
        bundle = self.chosen()
        name, yes = QInputDialog.getText(
            self, "Rename the bundle", "New name", text=bundle.info.name
        )
        if yes:
            self.rename_requested.emit(bundle.path, name)

    def _ask_removal(self) -> None:
        bundle = self.chosen()
        sentence = f"Remove {bundle.info.name} with its weights and curves? This cannot be undone."
        if confirms(self, "Remove the bundle", sentence):
            self.remove_requested.emit(bundle.path)
