"""Volumes, Dice, the probabilities of the slice in view, Save.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_gliocam.colours import TARGET_COLOURS
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.trust.statement import TrustStatement
from napari_gliocam.ui.model.result import Change
from napari_gliocam.ui.widgets.pieces import (
    SPACING,
    Elided,
    Section,
    check_box,
    in_row,
    push_button,
    row_label,
    swatch_label,
    tooltip,
)
from napari_gliocam.wording import NOTHING, figure

_TITLES: dict[Target, str] = {"tumour": "whole tumour", "core": "core", "edema": "edema"}
_WIDEST = "00.0 → 00.0"
LABEL_WIDTH = 84


class ResultsView(Section):
    """Emit that the result is to be saved, read, outlined, or its next lesion shown.

    Its rows depend on the case and the choices alone, so that none jumps while a slider moves.
    """

    save_requested = Signal()
    lesion_step_requested = Signal(int)
    reading_requested = Signal()
    doubt_step_requested = Signal(int)
    outline_requested = Signal()

    def __init__(
        self,
        next_key: str,
        previous_key: str,
        overlay_key: str,
        outline_key: str,
        doubt_key: str,
    ) -> None:
        super().__init__("Result", f"Key {overlay_key}: show or hide the segmentation")
        self.outline = check_box(
            "Outline",
            f"Draw the segmentation as an outline (key {outline_key}); maps over it do, too",
        )
        self.outline.clicked.connect(self.outline_requested)
        self.reading_button = push_button(
            "Reading…", self.reading_requested, "Chart, measures, overlap, agreement, voxel, report"
        )
        self.head.addWidget(self.outline)
        self.head.addWidget(self.reading_button)
        self.origin = Elided()
        self.origin.hide()
        self.add(self.origin)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING // 2)
        grid.setVerticalSpacing(2)
        self._headings: dict[Target, QWidget] = {}
        self._grid = grid
        for column, target in enumerate(TARGETS, start=1):
            colour = None if target == "tumour" else TARGET_COLOURS[target]
            self._headings[target] = swatch_label(_TITLES[target], colour)
            grid.addWidget(self._headings[target], 0, column)
            grid.setColumnStretch(column, 1)
            # the dock, and with it the image, keeps its width when figures come
            grid.setColumnMinimumWidth(column, self.fontMetrics().horizontalAdvance(_WIDEST))
        _, self.volumes = self._row(
            grid, 1, "Volume", f"At the thresholds above; key {overlay_key} hides the labels"
        )
        _, self.ranges = self._row(
            grid,
            2,
            "Range",
            "Volumes at the thresholds where the maps are one standard deviation of the exits "
            "lower, and higher; empty where no two exits disagree",
        )
        self.slice_label, self.probabilities = self._row(
            grid, 3, "Slice", "Image-level probability of the slice in view, from the feet, from 0"
        )
        self.dice_label, self.dice = self._row(
            grid, 4, "Dice", "Volume Dice with the expert labels; before → after refinement"
        )
        self.effect_label, self.effect = self._row(
            grid, 5, "Effect of refinement", "Volume that the refinement added or took away"
        )
        self.effect_label.setWordWrap(True)
        self.distance_label, self.distances = self._row(
            grid, 6, "HD95, mm", "95th percentile of surface distances to the expert labels"
        )
        self.body.addLayout(grid)
        self.previous_button = push_button(
            "◂ Lesion",
            lambda: self.lesion_step_requested.emit(-1),
            f"Next slice below that shows tumour (key {previous_key})",
        )
        self.next_button = push_button(
            "Lesion ▸",
            lambda: self.lesion_step_requested.emit(1),
            f"Next slice above that shows tumour (key {next_key})",
        )
        self.doubt_button = push_button(
            "Doubt ▸",
            lambda: self.doubt_step_requested.emit(1),
            "Slice on which the exits disagree most, then the next in that order "
            f"(key {doubt_key})",
        )
        self.save_button = push_button(
            "Save…",
            self.save_requested,
            "Write the labels as NIfTI on the case's own grid, and the settings as json",
        )
        self.add(
            in_row(self.previous_button, self.next_button, self.doubt_button, self.save_button)
        )
        self._rows: list[tuple[QLabel, dict[Target, QLabel]]] = [
            (self.dice_label, self.dice),
            (self.effect_label, self.effect),
            (self.distance_label, self.distances),
        ]
        self._targets: Sequence[Target] = TARGETS
        self.set_rows(expert=False, refines=False)
        self.set_volumes(None)
        self.set_trust(None)
        self.set_figures(None, None)
        self.set_probabilities(None, None)
        self.set_ready(False, False)

    @staticmethod
    def _row(
        grid: QGridLayout, line: int, title: str, tip: str
    ) -> tuple[QLabel, dict[Target, QLabel]]:
        heading = row_label(title, tooltip(tip))
        heading.setFixedWidth(LABEL_WIDTH)
        grid.addWidget(heading, line, 0)
        numbers = {}
        for column, target in enumerate(TARGETS, start=1):
            number = QLabel(NOTHING)
            number.setAlignment(Qt.AlignmentFlag.AlignCenter)
            number.setToolTip(tooltip(f"{_TITLES[target].capitalize()}: {tip}"))
            numbers[target] = number
            grid.addWidget(number, line, column)
        return heading, numbers

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Have a column for each of these targets alone."""
        self._targets = targets
        for column, (target, heading) in enumerate(self._headings.items(), start=1):
            there = target in targets
            heading.setVisible(there)
            for numbers in (self.volumes, self.ranges, self.probabilities):
                numbers[target].setVisible(there)
            for label, figures in self._rows:
                figures[target].setVisible(there and not label.isHidden())
            self._grid.setColumnStretch(column, int(there))

    def set_rows(self, *, expert: bool, refines: bool) -> None:
        """Have a row for each figure that there can be of this case and these choices."""
        shown = (expert, refines, expert and refines)
        for there, (heading, numbers) in zip(shown, self._rows, strict=True):
            heading.setVisible(there)
            for target, label in numbers.items():
                label.setVisible(there and target in self._targets)

    def set_origin(self, text: str) -> None:
        """Name the method that the result comes from, unless it is that of Segment."""
        self.origin.set_text(text)
        self.origin.setVisible(bool(text))

    def set_outline(self, outline: bool) -> None:
        """Show whether the segmentation is an outline."""
        self.outline.setChecked(outline)

    def set_volumes(self, volumes_ml: Mapping[str, float] | None) -> None:
        """Show volumes in ml; None before Segment."""
        for target, label in self.volumes.items():
            ml = None if volumes_ml is None else volumes_ml.get(target)
            label.setText(figure(ml, 1, unit="ml"))

    def set_trust(self, trust: TrustStatement | None) -> None:
        """Show the range of each volume; None until it is measured."""
        for target, label in self.ranges.items():
            range_ = None if trust is None else trust.ranges.get(target)
            label.setText(NOTHING if range_ is None else range_.words)
        self.doubt_button.setEnabled(trust is not None and bool(trust.slices))

    def set_probabilities(self, index: int | None, values: Sequence[float] | None) -> None:
        """Show tumour, core, edema of the slice in view; None outside the case, before Segment."""
        self.slice_label.setText("Slice" if index is None else f"Slice {index}")
        for column, label in enumerate(self.probabilities.values()):
            label.setText(NOTHING if values is None else f"p = {values[column]:.2f}")

    def set_figures(self, dice: Mapping[Target, float] | None, change: Change | None) -> None:
        """Show Dice with the expert labels, and the effect of the refinement that is applied.

        Parameters
        ----------
        dice : mapping of target to float, or None
            Of the labels in view; NaN where neither side has the target.
        change : Change or None
            What the refinement changed, where the whole case is refined.
        """
        for target in TARGETS:
            before_after = None if change is None else change.dice.get(target)
            now = None if dice is None else dice.get(target)
            if before_after is not None:
                text = " → ".join(figure(value, 2) for value in before_after)
            else:
                text = figure(now, 2)
            self.dice[target].setText(text)
            ml = None if change is None else change.ml.get(target)
            self.effect[target].setText(figure(ml and ml[1] - ml[0], 1, unit="ml", sign="+"))
            mm = None if change is None else change.hd95.get(target)
            self.distances[target].setText(
                NOTHING if mm is None else " → ".join(f"{value:.1f}" for value in mm)
            )

    def set_ready(self, can_save: bool, can_step: bool) -> None:
        """Show whether there is a result to save and a lesion to step through."""
        self.save_button.setEnabled(can_save)
        self.previous_button.setEnabled(can_step)
        self.next_button.setEnabled(can_step)
