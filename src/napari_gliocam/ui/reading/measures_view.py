"""Measures of the case and of each lesion.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_gliocam.measure.evaluation.figures import FIGURES
from napari_gliocam.measure.lesion.enhancing import EnhancingCore
from napari_gliocam.measure.lesion.measures import Measures
from napari_gliocam.targets import Target
from napari_gliocam.trust.statement import TrustStatement
from napari_gliocam.ui.widgets.pieces import (
    Page,
    Section,
    check_box,
    in_row,
    plain_label,
    push_button,
    tooltip,
)
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.ui.widgets.share_bar import ShareBar
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import counted

if TYPE_CHECKING:  # it would load torch
    from napari_gliocam.trust.sequences import Shares


class MeasuresView(Page):
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
        self.sequences = RunButton(
            "Which sequence said so?",
            "Shares of T1ce, T2 and FLAIR in the networks' maps of each lesion, on 12 slices of "
            "each class, then also in the report; for any voxel: a click on it under Voxel",
        )
        self.shares = ShareBar()
        self.shares.setToolTip(
            tooltip(
                "Exact Shapley values as part of the sum of their sizes; below 0 and hatched where "
                "a sequence speaks against the class. Lesions are numbered from the largest"
            )
        )
        self.caution = plain_label(wrap=True)
        self.trust_box.add(self.trust, self.sequences, self.shares, self.caution)
        self.table = TextTable()
        self.table.setToolTip(
            tooltip(
                "Diameters and product of the case are those of its lesion with the largest product"
            )
        )
        self.diameters_button = push_button(
            "Draw diameters",
            self.diameters_requested,
            "Largest axial diameter of tumour and core of each lesion, and the perpendicular one, "
            "each on its slice",
            checkable=True,
        )
        self.go_button = push_button(
            "Go there",
            self.diameters_slice_requested,
            "To the slice with the largest diameters of the tumour",
        )
        self.enhancing = check_box(
            "Enhancing",
            "The enhancing part of the core, by a rule for the intensity of T1ce; no network was "
            "trained for it",
        )
        self.enhancing.clicked.connect(self.enhancing_requested)
        self.enhancing_sentence = plain_label(wrap=True)
        self.painted = plain_label()
        self.discard_button = push_button(
            "Discard", self.discard_requested, "Forget what was painted by hand"
        )
        self.painted_row = in_row(self.painted, self.discard_button, grow=self.painted)
        self.lay_out(
            self.sentence,
            self.table,
            in_row(
                *(self.diameters_button, self.go_button, self.enhancing), grow=self.diameters_button
            ),
            self.enhancing_sentence,
            self.painted_row,
            self.trust_box,
        )
        self.set_measures(None)
        self.set_painted(0)
        self.set_enhancing(None)
        self.set_trust(None)
        self.set_sequences([])

    def set_sequences(self, lines: Sequence[tuple[int, Target, Shares]], caution: str = "") -> None:
        """Show the share of each sequence in each lesion; nothing clears the bars.

        Parameters
        ----------
        lines : sequence of (int, Target, Shares)
            Number of the lesion, class, and contributions to the class's map of the lesion.
        caution : str
            What a reader must know of the shares; empty for nothing.
        """
        self.shares.set_rows({f"Lesion {n}, {target}": one.shares for n, target, one in lines})
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
        texts = [
            [figure.title, *(figure.text(row) for row in rows)]
            for figure in FIGURES
            if figure.is_of(measures.case)
        ]
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
