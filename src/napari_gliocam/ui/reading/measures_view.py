"""Measures of the case and of each lesion.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_gliocam.measure.evaluation.figures import FIGURES
from napari_gliocam.measure.lesion.enhancing import EnhancingCore
from napari_gliocam.measure.lesion.measures import Measures
from napari_gliocam.targets import Target
from napari_gliocam.trust.statement import TrustStatement
from napari_gliocam.ui.widgets.pieces import SPACING, Section, plain_label, tooltip
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import counted

if TYPE_CHECKING:  # it would load torch
    from napari_gliocam.trust.sequences import Shares


class MeasuresView(QWidget):
    """Show measures; emit requests to draw diameters, divide the core and discard strokes."""

    diameters_requested = Signal(bool)
    diameters_slice_requested = Signal()
    discard_requested = Signal()
    enhancing_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.sentence = plain_label(wrap=True)
        self.trust = plain_label(wrap=True)
        self.trust_box = Section("How far to trust this", "From the exits of the networks")
        self.trust_box.body.addWidget(self.trust)
        self.sequences = RunButton(
            "Which sequence said so?",
            "Shares of T1ce, T2 and FLAIR in the networks' maps of each lesion, and of the voxel "
            "under the pointer (Voxel), on 12 slices of each class; then also in the report",
        )
        self.trust_box.body.addWidget(self.sequences)
        self.shares = TextTable()
        self.shares.setToolTip(
            "Exact Shapley values as part of the sum of their sizes, below 0 where a sequence "
            "speaks against the class; lesions are numbered from the largest"
        )
        self.trust_box.body.addWidget(self.shares)
        self.caution = plain_label(wrap=True)
        self.trust_box.body.addWidget(self.caution)
        self.table = TextTable()
        self.table.setToolTip(
            "Diameters and product of the case are those of its lesion with the largest product"
        )
        self.diameters_button = QPushButton("Draw diameters")
        self.diameters_button.setCheckable(True)
        self.diameters_button.setToolTip(
            "Largest axial diameter of tumour and core of each lesion, and the perpendicular one, "
            "each on its slice"
        )
        self.diameters_button.clicked.connect(self.diameters_requested)
        self.go_button = QPushButton("Go there")
        self.go_button.setToolTip("To the slice with the largest diameters of the tumour")
        self.go_button.clicked.connect(self.diameters_slice_requested)
        buttons = QHBoxLayout()
        buttons.setSpacing(SPACING)
        buttons.addWidget(self.diameters_button, 1)
        buttons.addWidget(self.go_button)
        self.enhancing = QCheckBox("Enhancing")
        self.enhancing.setToolTip(
            tooltip(
                "The enhancing part of the core, by a rule for the intensity of T1ce; no network "
                "was trained for it"
            )
        )
        self.enhancing.clicked.connect(self.enhancing_requested)
        buttons.addWidget(self.enhancing)
        self.enhancing_sentence = plain_label(wrap=True)
        self.painted = plain_label()
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Forget what was painted by hand")
        self.discard_button.clicked.connect(self.discard_requested)
        self.painted_row = QWidget()
        row = QHBoxLayout(self.painted_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.painted, 1)
        row.addWidget(self.discard_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, SPACING, 0, 0)
        layout.setSpacing(SPACING)
        layout.addWidget(self.sentence)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        layout.addWidget(self.enhancing_sentence)
        layout.addWidget(self.painted_row)
        layout.addWidget(self.trust_box)
        layout.addStretch(1)
        self.set_measures(None)
        self.set_painted(0)
        self.set_enhancing(None)
        self.set_trust(None)
        self.set_sequences([])

    def set_sequences(self, lines: Sequence[tuple[int, Target, Shares]], caution: str = "") -> None:
        """Show the share of each sequence in each lesion; nothing clears the table.

        Parameters
        ----------
        lines : sequence of (int, Target, Shares)
            Number of the lesion, class, and contributions to the class's map of the lesion.
        caution : str
            What a reader must know of the shares; empty for nothing.
        """
        names = [m.title for m in lines[0][2].values] if lines else []
        self.shares.fill(
            ["", "", *names],
            [
                [f"Lesion {number}", target, *(f"{100 * s:z.0f} %" for s in one.shares.values())]
                for number, target, one in lines
            ],
        )
        self.shares.setVisible(bool(lines))
        self.caution.setText(caution)
        self.caution.setVisible(bool(lines and caution))

    def set_trust(self, trust: TrustStatement | None) -> None:
        """Say how far the result can be trusted; None where that is not known (yet)."""
        self.trust_box.setVisible(trust is not None)
        self.sequences.set_ready(trust is not None)
        self.trust.setText("" if trust is None else "\n".join(trust.sentences))

    def set_measures(self, measures: Measures | None, waiting: str = "") -> None:
        """Show a column for the case and, where there are several, one for each lesion.

        Parameters
        ----------
        measures : Measures or None
            What was measured; None clears the table.
        waiting : str
            The sentence where there are none.
        """
        there = measures is not None and bool(measures.case.tumour.diameters.lines)
        self.diameters_button.setEnabled(there)
        self.go_button.setEnabled(there)
        if measures is None:
            self.sentence.setText(waiting)
            self.table.hide()
            return
        self.sentence.setText(" ".join(measures.sentences))
        rows = measures.rows
        headings = ["", "Case", *(f"Lesion {lesion.number}" for lesion in rows[1:])]
        texts = [[figure.title, *(figure.text(row) for row in rows)] for figure in FIGURES]
        self.table.fill(headings, texts)
        self.table.show()

    def set_enhancing(self, found: EnhancingCore | str | None) -> None:
        """Show the enhancing part of the core and its rule, or why there is none.

        Parameters
        ----------
        found : EnhancingCore, str or None
            None where it was not asked for; a sentence where it cannot be told.
        """
        if isinstance(found, EnhancingCore):
            long_mm, across_mm = found.diameters.long_mm, found.diameters.perpendicular_mm
            found = (
                f"Enhancing {found.ml:.1f} ml, {long_mm:.1f} × {across_mm:.1f} mm; "
                f"other core {found.rest_ml:.1f} ml. {found.rule}"
            )
        self.enhancing_sentence.setText(found or "")
        self.enhancing_sentence.setVisible(bool(found))

    def set_painted(self, voxels: int) -> None:
        """Show how many voxels were painted by hand."""
        self.painted.setText(f"{counted(voxels, 'voxel')} painted by hand")
        self.painted_row.setVisible(voxels > 0)
