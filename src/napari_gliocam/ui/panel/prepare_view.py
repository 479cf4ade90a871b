"""Choice of series and steps of a preparation, and its checks.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_gliocam.case import Modality
from napari_gliocam.prepare import Steps
from napari_gliocam.progress import Progress
from napari_gliocam.ui.panel.case_view import MODALITIES
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
    """Offer steps and checks of a preparation, emit what is asked for; hidden where it has none."""

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
        self.close_button = push_button("Leave", self.dismissed, "Do not prepare these series")
        section.head.addWidget(self.close_button)
        self.found_line = Elided()
        self.series: dict[Modality, Choice] = {}
        for modality in MODALITIES:
            choice = Choice()
            choice.activated.connect(
                lambda index, modality=modality: self.series_requested.emit(modality, index - 1)
            )
            self.series[modality] = choice
        self.steps = {
            name: check_box(title, tip, checked=True) for name, (title, tip) in _STEPS.items()
        }
        self.run = RunButton("Prepare", "Make a case of the series chosen above", counted="series")
        self.run.requested.connect(lambda: self.prepare_requested.emit(self.chosen_steps()))
        self.run.cancel_requested.connect(self.cancel_requested)
        section.add(
            self.found_line,
            in_column(*(labelled(m.title, choice) for m, choice in self.series.items())),
            in_row(*self.steps.values()),
            self.run,
        )
        return section

    def _check(self) -> Section:
        section = Section("Check", "How the case was prepared, and whether it went well")
        self.steps_line = Elided()
        self.checkerboard = Choice(
            "Squares of two modalities in turn: edges run through where they are aligned."
        )
        self.checkerboard.activated.connect(self._on_checkerboard)
        self._others: tuple[Modality, ...] = ()
        self.head_button = push_button(
            "Brain border",
            self._on_head,
            "Show the head with its skull, and the border of the brain that was kept",
            checkable=True,
        )
        section.add(
            self.steps_line, in_row(self.checkerboard, self.head_button, grow=self.checkerboard)
        )
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

    def set_progress(self, progress: Progress | None) -> None:
        """Show the bar and Cancel instead of the button; None while nothing runs."""
        self.run.set_progress(progress)
        for widget in (self.close_button, *self.series.values(), *self.steps.values()):
            widget.setEnabled(progress is None)

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
