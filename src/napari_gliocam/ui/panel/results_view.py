"""Volumes, the probabilities of the slice in view, Save.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_gliocam.ui.model.refined import Change
from napari_gliocam.ui.viewer.colormaps import TARGET_COLOURS
from napari_gliocam.ui.widgets.pieces import SPACING, Section, row_label, swatch_label

_COLUMNS = (("tumour", "whole"), ("core", "core"), ("edema", "edema"))
#: Line in the grid, heading, tooltip.
_CHANGES = (
    (3, ("Change", "What the refinement added or took away")),
    (4, ("Dice", "Volume Dice with the expert labels, before → after refinement")),
    (5, ("HD95 mm", "95th percentile of surface distances to the expert labels, before → after")),
)


class ResultsView(QWidget):
    """Emits that the result is to be saved."""

    save_requested = Signal()
    lesion_step_requested = Signal(int)
    reading_requested = Signal()

    def __init__(self, next_key: str, previous_key: str, overlay_key: str) -> None:
        super().__init__()
        section = Section("Result", f"Key {overlay_key}: show or hide the segmentation")
        self.reading_button = QPushButton("Reading…")
        self.reading_button.setToolTip("Chart, measures, overlap, agreement, voxel, report")
        self.reading_button.clicked.connect(self.reading_requested)
        section.head.addWidget(self.reading_button)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING // 2)
        grid.setVerticalSpacing(SPACING // 2)
        self.slice_label = row_label("Slice", "Slice in view, counted from the feet, from 0")
        grid.addWidget(
            row_label("Volume", f"At the thresholds above; key {overlay_key} hides the labels"),
            1,
            0,
        )
        grid.addWidget(self.slice_label, 2, 0)
        self.volumes: dict[str, QLabel] = {}
        self.probabilities: dict[str, QLabel] = {}
        for column, (target, title) in enumerate(_COLUMNS, start=1):
            colour = None if target == "tumour" else TARGET_COLOURS[target]  # type: ignore[index]
            grid.addWidget(swatch_label(title, colour), 0, column)
            grid.setColumnStretch(column, 1)
            self.volumes[target] = self._number(f"Volume of {title}")
            self.probabilities[target] = self._number(
                f"Image-level probability that this slice shows {target}"
            )
            grid.addWidget(self.volumes[target], 1, column)
            grid.addWidget(self.probabilities[target], 2, column)
        self.changes = [self._change_row(grid, line, *texts) for line, texts in _CHANGES]
        section.body.addLayout(grid)

        self.previous_button = QPushButton("◂ Lesion")
        self.previous_button.setToolTip(f"Next slice below that shows tumour (key {previous_key})")
        self.previous_button.clicked.connect(lambda: self.lesion_step_requested.emit(-1))
        self.next_button = QPushButton("Lesion ▸")
        self.next_button.setToolTip(f"Next slice above that shows tumour (key {next_key})")
        self.next_button.clicked.connect(lambda: self.lesion_step_requested.emit(1))
        self.save_button = QPushButton("Save…")
        self.save_button.setToolTip(
            "Write the labels as NIfTI on the case's own grid, and the settings beside it in json"
        )
        self.save_button.clicked.connect(self.save_requested)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.previous_button, 1)
        row.addWidget(self.next_button, 1)
        row.addWidget(self.save_button, 1)
        section.body.addLayout(row)
        self.set_volumes(None)
        self.set_change(None)
        self.set_probabilities(None, None)
        self.set_ready(False, False)

    def _change_row(
        self, grid: QGridLayout, line: int, title: str, tip: str
    ) -> tuple[QLabel, dict[str, QLabel]]:
        heading = row_label(title, tip)
        grid.addWidget(heading, line, 0)
        numbers = {}
        for column, (target, _) in enumerate(_COLUMNS, start=1):
            numbers[target] = self._number(tip)
            grid.addWidget(numbers[target], line, column)
        return heading, numbers

    @staticmethod
    def _number(tip: str) -> QLabel:
        label = QLabel()
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setToolTip(tip)
        return label

    def set_volumes(self, volumes_ml: Mapping[str, float] | None) -> None:
        """Show volumes; None while there is no result."""
        for target, label in self.volumes.items():
            label.setText("–" if volumes_ml is None else f"{volumes_ml[target]:.1f} ml")

    def set_probabilities(self, index: int | None, values: Sequence[float] | None) -> None:
        """Show the image-level probabilities of a slice, in the order tumour, core, edema."""
        self.slice_label.setText("Slice" if index is None else f"Slice {index}")
        for column, label in enumerate(self.probabilities.values()):
            label.setText("–" if values is None else f"p = {values[column]:.2f}")

    def set_change(self, change: Change | None) -> None:
        """Show what the refinement changed; rows without figures are hidden."""
        texts: list[dict[str, str]] = [{}, {}, {}]
        if change is not None:
            texts = [
                {t: f"{after - before:+.1f} ml" for t, (before, after) in change.ml.items()},
                {t: f"{before:.2f} → {after:.2f}" for t, (before, after) in change.dice.items()},
                {t: f"{before:.1f} → {after:.1f}" for t, (before, after) in change.hd95.items()},
            ]
        for (heading, numbers), text in zip(self.changes, texts, strict=True):
            for label in (heading, *numbers.values()):
                label.setVisible(bool(text))
            for target, label in numbers.items():
                label.setText(text.get(target, ""))

    def set_ready(self, can_save: bool, can_step: bool) -> None:
        """Whether there is a result to save and a lesion to step through."""
        self.save_button.setEnabled(can_save)
        self.previous_button.setEnabled(can_step)
        self.next_button.setEnabled(can_step)
