"""A matrix of toggles, one for each activation map.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from napari_gliocam.colours import TARGET_COLOURS
from napari_gliocam.maps.class_maps import ATTENTION_ROWS, ROWS, Row
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.viewer.layer_data import map_name
from napari_gliocam.ui.widgets.pieces import (
    SPACING,
    Section,
    push_button,
    row_label,
    swatch,
    swatch_label,
    tooltip,
)

_ROW_TIPS = {
    "exit 1": "After the first residual stage: fine and noisy",
    "exit 2": "After the second residual stage",
    "exit 3": "After the third residual stage",
    "exit 4": "After the last residual stage: coarse and sure",
    "guided": "Class maps times the binary tumour map, mean over the exits",
    "aggregate": "Exits combined by attention; what the thresholds cut",
    **{
        f"attention {n}": f"Weight of exit {n} in the aggregate: where it is believed"
        for n in (1, 2, 3, 4)
    },
    "doubt": "How far the exits disagree: 0 where all say the same; look there first",
}


class MapsView(Section):
    """Emit which map to show or hide, and that other methods are wanted."""

    map_requested = Signal(str, str, bool)
    compare_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Maps")
        self.compare_button = push_button(
            "Compare CAMs…", self.compare_requested, "Other explanation methods, side by side"
        )
        self.head.addWidget(self.compare_button)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING // 2)
        grid.setVerticalSpacing(2)
        self._marks = {target: swatch(colour) for target, colour in TARGET_COLOURS.items()}
        self.buttons: dict[tuple[Row, Target], QPushButton] = {}
        self._headings: dict[Target, QWidget] = {}
        self._grid = grid
        for column, target in enumerate(TARGETS, start=1):
            self._headings[target] = swatch_label(target, TARGET_COLOURS[target])
            grid.addWidget(self._headings[target], 0, column)
        rows = [row for row in ROWS if row not in ATTENTION_ROWS]
        for line, row in enumerate(rows, start=1):
            grid.addWidget(row_label(row.capitalize(), tooltip(_ROW_TIPS[row])), line, 0)
            for column, target in enumerate(TARGETS, start=1):
                grid.addWidget(self._button(row, target), line, column)
        # One line for the four exits, so that the panel stays short.
        tip = "Where each exit, 1 to 4, is believed: its weight in the aggregate"
        grid.addWidget(row_label("Attention", tooltip(tip)), len(rows) + 1, 0)
        for column, target in enumerate(TARGETS, start=1):
            grid.addLayout(self._attention(target), len(rows) + 1, column)
        self.body.addLayout(grid)
        self.set_targets(TARGETS)
        self.set_available(None)

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Offer the maps of these targets alone."""
        for column, (target, heading) in enumerate(self._headings.items(), start=1):
            heading.setVisible(target in targets)
            self._grid.setColumnStretch(column, int(target in targets))
        for (_, target), button in self.buttons.items():
            button.setVisible(target in targets)

    def _button(self, row: Row, target: Target) -> QPushButton:
        toggle = push_button(
            "", lambda shown: self.map_requested.emit(row, target, shown), checkable=True
        )
        toggle.setFixedHeight(19)
        toggle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        toggle.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        toggle.setAccessibleName(f"{row} {target}")
        self.buttons[row, target] = toggle
        return toggle

    def _attention(self, target: Target) -> QHBoxLayout:
        four = QHBoxLayout()
        four.setSpacing(1)
        for number, row in enumerate(ATTENTION_ROWS, start=1):
            button = self._button(row, target)
            button.setText(str(number))
            button.setMinimumWidth(12)
            button.setStyleSheet("padding: 0px;")
            four.addWidget(button)
        return four

    def set_available(self, has: Callable[[Row, Target], bool] | None) -> None:
        """Enable the maps there are; None before Segment has run."""
        for (row, target), button in self.buttons.items():
            there = has is not None and has(row, target)
            button.setEnabled(there)
            if there:
                tip = f"Show or hide: {map_name(row, target)}. {_ROW_TIPS[row]}."
            elif has is None and (row, target) != ("guided", "tumour"):
                tip = "Click Segment first."
            else:
                tip = "The tumour map is the guidance; there is no guided tumour map."
            button.setToolTip(tooltip(tip))

    def set_shown(self, shown: Collection[tuple[Row, Target]]) -> None:
        """Show which maps can be seen; nothing is emitted."""
        for key, button in self.buttons.items():
            button.setChecked(key in shown)
            if not button.text():
                button.setIcon(self._marks[key[1]] if key in shown else QIcon())
