"""Which series is which modality, the steps of a preparation, its checks.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_gliocam.case import Modality
from napari_gliocam.prepare import Steps
from napari_gliocam.progress import Progress
from napari_gliocam.ui.panel.case_view import MODALITIES
from napari_gliocam.ui.widgets.pieces import (
    SPACING,
    Choice,
    Elided,
    Section,
    row_label,
    tooltip,
)
from napari_gliocam.ui.widgets.run_button import RunButton

if TYPE_CHECKING:
    from napari_gliocam.case import Preparation
    from napari_gliocam.prepare import Examination

_STEPS = {
    "align": ("Align", "Move each series onto the T1ce where their grids differ"),
    "resample": ("Resample", "Bring all series onto one grid"),
    "strip": ("Strip skull", "Remove skull and skin where a series shows them"),
}


class PrepareView(QWidget):
    """Emits what the user asks for; shows what it is told; hidden where nothing is to prepare."""

    series_requested = Signal(object, int)
    prepare_requested = Signal(object)
    cancel_requested = Signal()
    dismissed = Signal()
    checkerboard_requested = Signal(object)
    head_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self.choice = self._choice()
        self.check = self._check()
        outer.addWidget(self.choice)
        outer.addWidget(self.check)
        self.set_examination(None)
        self.set_prepared(None, ())

    def _choice(self) -> Section:
        section = Section("Prepare", "Make a case of the series of an examination")
        self.close_button = QPushButton("Leave")
        self.close_button.setToolTip("Do not prepare these series")
        self.close_button.clicked.connect(self.dismissed)
        section.head.addWidget(self.close_button)
        self.found_line = Elided()
        section.body.addWidget(self.found_line)
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        self.series: dict[Modality, Choice] = {}
        for row, modality in enumerate(MODALITIES):
            choice = Choice()
            choice.activated.connect(
                lambda index, modality=modality: self.series_requested.emit(modality, index - 1)
            )
            self.series[modality] = choice
            grid.addWidget(row_label(modality.title), row, 0)
            grid.addWidget(choice, row, 1)
        grid.setColumnStretch(1, 1)
        section.body.addLayout(grid)
        steps = QHBoxLayout()
        self.steps: dict[str, QCheckBox] = {}
        for name, (title, tip) in _STEPS.items():
            self.steps[name] = QCheckBox(title)
            self.steps[name].setToolTip(tooltip(tip))
            self.steps[name].setChecked(True)
            steps.addWidget(self.steps[name])
        steps.addStretch(1)
        section.body.addLayout(steps)
        self.run = RunButton("Prepare", "Make a case of the series chosen above", counted="series")
        self.run.requested.connect(lambda: self.prepare_requested.emit(self.chosen_steps()))
        self.run.cancel_requested.connect(self.cancel_requested)
        section.body.addWidget(self.run)
        return section

    def _check(self) -> Section:
        section = Section("Check", "How the case was prepared, and whether it went well")
        self.steps_line = Elided()
        section.body.addWidget(self.steps_line)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        self.checkerboard = Choice(
            "Squares of two modalities in turn: edges run through where they are aligned."
        )
        self.checkerboard.activated.connect(self._on_checkerboard)
        self._others: tuple[Modality, ...] = ()
        self.head_button = QPushButton("Brain border")
        self.head_button.setCheckable(True)
        self.head_button.setToolTip(
            tooltip("Show the head with its skull, and the border of the brain that was kept")
        )
        self.head_button.clicked.connect(self._on_head)
        row.addWidget(self.checkerboard, 1)
        row.addWidget(self.head_button)
        section.body.addLayout(row)
        return section

    def chosen_steps(self) -> Steps:
        """Return the steps that are switched on."""
        return Steps(**{name: box.isChecked() for name, box in self.steps.items()})

    def set_examination(self, examination: Examination | None) -> None:
        """Offer the series of an examination; None where there is none.

        Parameters
        ----------
        examination : Examination or None
            With the series that is proposed or chosen for each modality.
        """
        self.choice.setVisible(examination is not None)
        if examination is None:
            return
        names = [one.name for one in examination.series]
        left_out = examination.left_out
        more = f", {len(left_out)} left out" if left_out else ""
        self.found_line.set_text(
            f"{examination.name}: {len(names)} series{more}", "\n".join(left_out)
        )
        for modality, choice in self.series.items():
            chosen = examination.chosen.get(modality)
            index = -1 if chosen is None else examination.series.index(chosen)
            choice.fill(["not there", *names], index + 1)
            reason = "" if chosen is None or chosen.modality is not modality else chosen.reason
            choice.setToolTip(tooltip(f"Proposed by {reason}" if reason else "Choose a series"))
        self.run.set_ready(bool(examination.chosen), "Choose at least one series.")

    def set_running(self, running: bool) -> None:
        """Show the bar and Cancel instead of the button."""
        self.run.set_running(running)
        for widget in (self.close_button, *self.series.values(), *self.steps.values()):
            widget.setEnabled(not running)

    def set_progress(self, progress: Progress) -> None:
        """Show real counts."""
        self.run.set_progress(progress)

    def set_prepared(self, made: Preparation | None, modalities: Sequence[Modality]) -> None:
        """Offer the checks of a prepared case; None where the case in work was not prepared.

        Parameters
        ----------
        made : Preparation or None
            Of the case in work.
        modalities : sequence of Modality
            The reference first, then those that can be compared with it.
        """
        self.check.setVisible(made is not None)
        if made is None:
            return
        self.steps_line.set_text(made.steps[0] if made.steps else "Nothing was changed.")
        self.steps_line.setToolTip(tooltip("\n".join(made.steps)))
        reference, *others = modalities
        self._others = tuple(others)
        titles = [f"{reference.title} and {other.title}" for other in others]
        self.checkerboard.fill(["No checkerboard", *titles], 0)
        self.checkerboard.setEnabled(bool(others))
        self.head_button.setEnabled(made.head is not None)
        self.head_button.setChecked(False)

    def _on_checkerboard(self, index: int) -> None:
        self.head_button.setChecked(False)
        self.checkerboard_requested.emit(self._others[index - 1] if index else None)

    def _on_head(self, shown: bool) -> None:
        with signals_blocked(self.checkerboard):
            self.checkerboard.setCurrentIndex(0)
        self.head_requested.emit(shown)
