"""Choice of the case, its modalities and the scheme of its expert labels.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from napari_gliocam.case import Modality
from napari_gliocam.ui.model.state import SideKind
from napari_gliocam.ui.viewer.planes import PLANES, Plane
from napari_gliocam.ui.widgets.pieces import (
    Choice,
    Elided,
    Section,
    check_box,
    in_column,
    in_row,
    labelled,
    push_button,
    tooltip,
)

MODALITIES = (Modality.FLAIR, Modality.T1CE, Modality.T2, Modality.T1)
_TIPS = {
    Modality.FLAIR: "Shows edema bright.",
    Modality.T1CE: "T1 after contrast: shows enhancing core bright.",
    Modality.T2: "Shows fluid, edema and core bright.",
    Modality.T1: "T1 before contrast.",
}
_SIDE_VIEWS: tuple[tuple[SideKind, str, str], ...] = (
    ("planes", "3 planes", "Show the two other planes below the canvas, linked"),
    ("modality", "Beside", "Show another modality beside the canvas, linked"),
)


class CaseView(Section):
    """Show the case in work and its files; emit what the user asks for."""

    open_folder_requested = Signal()
    open_file_requested = Signal()
    continue_requested = Signal()
    restore_requested = Signal()
    case_requested = Signal(int)
    modality_requested = Signal(object, int)
    scheme_requested = Signal(str)
    close_requested = Signal()
    plane_requested = Signal(str)
    side_views_requested = Signal(str)
    one_contrast_requested = Signal(bool)

    def __init__(self, cycle_key: str) -> None:
        super().__init__("Case", f"Key {cycle_key}: show the next modality")
        self.cases = Choice("The case that the panel works on; the layers of others are hidden.")
        self.cases.activated.connect(self.case_requested)
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip(
            tooltip("Open a folder with the files of one case, or one of its files")
        )
        menu = QMenu(self.open_button)
        menu.addAction("Folder of a case…", self.open_folder_requested.emit)
        menu.addAction("File of a case…", self.open_file_requested.emit)
        menu.addAction("Continue a saved result…", self.continue_requested.emit)
        menu.addSeparator()
        self.close_action = menu.addAction("Close the case in work", self.close_requested.emit)
        self.open_button.setMenu(menu)
        self.restore_button = push_button("Restore unsaved work", self.restore_requested)
        self.restore_button.hide()
        self.found_line = Elided()
        tip = "Show which file is which modality, and change it"
        self.files_button = push_button("Files", self._fold, tip, checkable=True)
        self._unclear = False
        self._found: list[str] = []
        self._geometry = ""
        self.modalities: dict[Modality, Choice] = {}
        rows = []
        for modality in MODALITIES:
            choice = Choice(f"{_TIPS[modality]} Choose another volume where this one is wrong.")
            choice.activated.connect(
                lambda index, modality=modality: self.modality_requested.emit(modality, index - 1)
            )
            self.modalities[modality] = choice
            tip = f"{_TIPS[modality]} Key {cycle_key}: show the next modality."
            rows.append(labelled(modality.title, choice, tip=tip))
        self.schemes = Choice("What the numbers in the expert's file mean.")
        self.schemes.activated.connect(self._on_scheme)
        self._scheme_names: list[str] = []
        rows.append(labelled("Expert", self.schemes, tip="Outlines drawn by an expert"))
        self.files = in_column(*rows)
        self.geometry_line = Elided()
        self.planes: dict[Plane, QPushButton] = {
            plane: push_button(
                plane.capitalize(),
                partial(self._on_plane, plane),
                f"Show the {plane} plane, upright, in the canvas",
                checkable=True,
            )
            for plane in PLANES
        }
        self.side_views: dict[SideKind, QPushButton] = {
            kind: push_button(title, partial(self._on_side_views, kind), tip, checkable=True)
            for kind, title, tip in _SIDE_VIEWS
        }
        self.view_row = in_row(*self.planes.values(), *self.side_views.values(), spacing=2)
        self.one_contrast = check_box(
            "One contrast for all cases",
            "A modality has the same contrast in every open case, relative to the grey values of "
            "the brain. Drag with the right button in the canvas to change the contrast: sideways "
            "its width, up and down its level.",
        )
        self.one_contrast.clicked.connect(self.one_contrast_requested)
        self.add(
            in_row(self.cases, self.open_button, grow=self.cases),
            self.restore_button,
            in_row(self.found_line, self.files_button, grow=self.found_line),
            self.files,
            self.geometry_line,
            self.view_row,
            self.one_contrast,
        )
        self._fold()

    def _on_plane(self, plane: Plane, checked: bool = False) -> None:
        self.set_plane(plane)
        self.plane_requested.emit(plane)

    def _on_side_views(self, kind: SideKind, checked: bool = False) -> None:
        self.side_views_requested.emit(kind)

    def set_plane(self, shown: Plane | None) -> None:
        """Show which plane the canvas shows."""
        for plane, button in self.planes.items():
            button.setChecked(plane == shown)

    def set_side_views(self, shown: SideKind | None) -> None:
        """Show what is beside the canvas."""
        for kind, button in self.side_views.items():
            button.setChecked(kind == shown)

    def _fold(self) -> None:
        """Hide the files while it is clear which is which."""
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
            self.schemes.setToolTip(tooltip(titles[self._scheme_names.index(current)]))
        self.schemes.setEnabled(current is not None)
        self._show_found()

    def _show_found(self) -> None:
        expert = ["expert labels"] if self.schemes.isEnabled() else []
        self.found_line.set_text(" · ".join([*self._found, *expert]), self._geometry)

    def _on_scheme(self, index: int) -> None:
        if index < len(self._scheme_names):
            self.scheme_requested.emit(self._scheme_names[index])
