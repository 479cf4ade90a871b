"""Which case, which volume is which modality, what the expert's numbers mean.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QMenu, QPushButton, QWidget

from napari_gliocam.case import Modality
from napari_gliocam.ui.viewer.planes import PLANES, Plane
from napari_gliocam.ui.widgets.pieces import SPACING, Choice, Elided, Section, row_label, tooltip

MODALITIES = (Modality.FLAIR, Modality.T1CE, Modality.T2, Modality.T1)
_TIPS = {
    Modality.FLAIR: "Shows edema bright.",
    Modality.T1CE: "T1 after contrast: shows enhancing core bright.",
    Modality.T2: "Shows fluid, edema and core bright.",
    Modality.T1: "T1 before contrast.",
}


class CaseView(QWidget):
    """Emits what the user asks for; shows what it is told."""

    open_folder_requested = Signal()
    open_file_requested = Signal()
    continue_requested = Signal()
    restore_requested = Signal()
    case_requested = Signal(int)
    modality_requested = Signal(object, int)
    scheme_requested = Signal(str)
    close_requested = Signal()
    plane_requested = Signal(str)
    side_views_requested = Signal(bool)
    one_contrast_requested = Signal(bool)

    def __init__(self, cycle_key: str) -> None:
        super().__init__()
        section = Section("Case", f"Key {cycle_key}: show the next modality")
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)

        self.cases = Choice("The case that the panel works on; the layers of others are hidden.")
        self.cases.activated.connect(self.case_requested)
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip("Open a folder with the files of one case, or one of its files")
        menu = QMenu(self.open_button)
        menu.addAction("Folder of a case…", self.open_folder_requested.emit)
        menu.addAction("File of a case…", self.open_file_requested.emit)
        menu.addAction("Continue a saved result…", self.continue_requested.emit)
        menu.addSeparator()
        self.close_action = menu.addAction("Close the case in work", self.close_requested.emit)
        self.open_button.setMenu(menu)
        top = QHBoxLayout()
        top.setSpacing(SPACING)
        top.addWidget(self.cases, 1)
        top.addWidget(self.open_button)
        section.body.addLayout(top)

        self.restore_button = QPushButton("Restore unsaved work")
        self.restore_button.clicked.connect(self.restore_requested)
        self.restore_button.hide()
        section.body.addWidget(self.restore_button)
        self.found_line = Elided()
        self.files_button = QPushButton("Files")
        self.files_button.setCheckable(True)
        self.files_button.setToolTip("Show which file is which modality, and change it")
        self.files_button.toggled.connect(self._fold)
        found = QHBoxLayout()
        found.setSpacing(SPACING)
        found.addWidget(self.found_line, 1)
        found.addWidget(self.files_button)
        section.body.addLayout(found)
        self._unclear = False
        self._found: list[str] = []
        self._geometry = ""
        self.files = QWidget()
        grid = QGridLayout(self.files)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        self.modalities: dict[Modality, Choice] = {}
        for row, modality in enumerate(MODALITIES):
            tip = f"{_TIPS[modality]} Key {cycle_key}: show the next modality."
            choice = Choice(f"{_TIPS[modality]} Choose another volume where this one is wrong.")
            choice.activated.connect(
                lambda index, modality=modality: self.modality_requested.emit(modality, index - 1)
            )
            self.modalities[modality] = choice
            grid.addWidget(row_label(modality.title, tip), row, 0)
            grid.addWidget(choice, row, 1)
        self.schemes = Choice("What the numbers in the expert's file mean.")
        self.schemes.activated.connect(self._on_scheme)
        self._scheme_names: list[str] = []
        grid.addWidget(row_label("Expert", "Outlines drawn by an expert"), len(MODALITIES), 0)
        grid.addWidget(self.schemes, len(MODALITIES), 1)
        section.body.addWidget(self.files)
        self.geometry_line = Elided()
        section.body.addWidget(self.geometry_line)
        self.view_row = self._view_row()
        section.body.addWidget(self.view_row)
        self.one_contrast = QCheckBox("One contrast for all cases")
        self.one_contrast.setToolTip(
            tooltip(
                "A modality has the same contrast in every open case, relative to the grey values "
                "of the brain. Drag with the right button in the canvas to change the contrast: "
                "sideways its width, up and down its level."
            )
        )
        self.one_contrast.clicked.connect(self.one_contrast_requested)
        section.body.addWidget(self.one_contrast)
        self._fold()

    def _view_row(self) -> QWidget:
        widget = QWidget()
        row = QHBoxLayout(widget)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.planes: dict[Plane, QPushButton] = {}
        for plane in PLANES:
            button = QPushButton(plane.capitalize())
            button.setCheckable(True)
            button.setToolTip(tooltip(f"Show the {plane} plane, upright, in the canvas"))
            button.clicked.connect(partial(self._on_plane, plane))
            self.planes[plane] = button
            row.addWidget(button, 1)
        self.three_button = QPushButton("3 planes")
        self.three_button.setToolTip(tooltip("Show the two other planes below the canvas, linked"))
        self.three_button.clicked.connect(lambda: self.side_views_requested.emit(True))
        self.beside_button = QPushButton("Beside")
        self.beside_button.setToolTip(tooltip("Show another modality beside the canvas, linked"))
        self.beside_button.clicked.connect(lambda: self.side_views_requested.emit(False))
        row.addWidget(self.three_button, 1)
        row.addWidget(self.beside_button, 1)
        return widget

    def _on_plane(self, plane: Plane, checked: bool = False) -> None:
        self.set_plane(plane)
        self.plane_requested.emit(plane)

    def set_plane(self, shown: Plane | None) -> None:
        """Show which plane the canvas shows."""
        for plane, button in self.planes.items():
            button.setChecked(plane == shown)

    def _fold(self) -> None:
        """Files are out of the way while it is clear which is which."""
        self.files.setVisible(self.files_button.isChecked() or self._unclear)
        self.files_button.setVisible(not self._unclear)

    def set_cases(self, names: Sequence[str], current: int) -> None:
        """Offer the cases that are open."""
        self.cases.fill(list(names) or ["No case is open"], max(current, 0))
        self.cases.setEnabled(bool(names))
        self.one_contrast.setVisible(len(names) > 1)

    def set_unsaved(self, kept: str) -> None:
        """Offer to restore work that was kept, such as "26 Nov, 21:10"; empty for none."""
        self.restore_button.setVisible(bool(kept))
        self.restore_button.setToolTip(
            tooltip(f"Strokes and settings of {kept}, which were not saved when the program ended")
        )

    def set_geometry(self, shape: Sequence[int], spacing: Sequence[float]) -> None:
        """Show how large the case is; an empty shape means that there is no case."""
        self.view_row.setVisible(bool(shape))
        if self.close_action is not None:
            self.close_action.setEnabled(bool(shape))
        self.geometry_line.setVisible(not shape)
        if not shape:
            self.geometry_line.set_text("Drop a case's folder here, or click Open…")
            return
        voxels = " × ".join(str(n) for n in shape)
        sides = dict.fromkeys(f"{v:.3g}" for v in spacing)
        mm = " × ".join(f"{v:.3g}" for v in spacing) if len(sides) > 1 else next(iter(sides))
        self._geometry = f"{voxels} voxels of {mm} mm"
        self._show_found()

    def set_modalities(
        self, titles: Sequence[str], chosen: dict[Modality, int], optional: set[Modality]
    ) -> None:
        """Offer the volumes and say what was found; unfold where a needed one is missing."""
        for modality, choice in self.modalities.items():
            none = "not there (not needed)" if modality in optional else "missing"
            choice.fill([none, *titles] if titles else ["–"], chosen.get(modality, -1) + 1)
            choice.setEnabled(bool(titles))
        there = [modality.title for modality in MODALITIES if modality in chosen]
        missing = [m.title for m in MODALITIES if m not in chosen | dict.fromkeys(optional)]
        self._unclear = bool(titles and missing)
        lacking = [f"missing: {', '.join(missing)}"] if titles and missing else []
        self._found = [*there, *lacking]
        self._show_found()
        self._fold()

    def set_schemes(self, names: Sequence[str], titles: Sequence[str], current: str | None) -> None:
        """Offer the label schemes; None where the case has no expert labels."""
        self._scheme_names = list(names)
        if current is None:
            self.schemes.fill(["no expert labels"], 0)
        else:
            self.schemes.fill(list(titles), self._scheme_names.index(current))
            self.schemes.setToolTip(titles[self._scheme_names.index(current)])
        self.schemes.setEnabled(current is not None)
        self._show_found()

    def _show_found(self) -> None:
        expert = ["expert labels"] if self.schemes.isEnabled() else []
        self.found_line.set_text(" · ".join([*self._found, *expert]), self._geometry)

    def _on_scheme(self, index: int) -> None:
        if index < len(self._scheme_names):
            self.scheme_requested.emit(self._scheme_names[index])
