"""The voxel under the pointer, in words and numbers.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_gliocam.maps.doubt import disagreement
from napari_gliocam.measure.classes.voxel import ExitReading, VoxelReading
from napari_gliocam.targets import Target
from napari_gliocam.ui.widgets.pieces import Page, plain_label, tooltip
from napari_gliocam.ui.widgets.share_bar import ShareBar
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import NOTHING, percent

if TYPE_CHECKING:  # it would load torch
    from napari_gliocam.trust.sequences import Shares

_REST = "Point at a voxel of the case."


class VoxelView(Page):
    """Show one voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.reason, self.values = (plain_label(wrap=True) for _ in range(3))
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.maps = TextTable()
        self.maps.setToolTip(
            tooltip(
                "Value of each map; in brackets the share of the exit in the aggregate. Doubt: how "
                "far the exits disagree, 0 where all say the same"
            )
        )
        self.shares = ShareBar()
        self.shares.setToolTip(
            tooltip(
                "Share of each sequence in the networks' map at this voxel (Shapley value), "
                "hatched where it speaks against the class"
            )
        )
        self.note = plain_label(wrap=True)
        self.lay_out(self.title, self.values, self.reason, self.maps, self.shares, self.note)
        self.set_voxel(None)

    def set_voxel(
        self,
        voxel: VoxelReading | None,
        sequences: Mapping[Target, Shares] | None = None,
        note: str = "",
    ) -> None:
        """Show a voxel.

        Parameters
        ----------
        voxel : VoxelReading or None
            None outside the case.
        sequences : mapping of Target to Shares, optional
            Contributions of the sequences to its maps, where they are known.
        note : str
            Why they are not, and what to do.
        """
        self.shares.set_rows({t: one.shares for t, one in (sequences or {}).items()})
        self.note.setText(note)
        self.note.setVisible(voxel is not None and bool(note))
        for widget in (self.values, self.reason, self.maps):
            widget.setVisible(voxel is not None)
        if voxel is None:
            self.title.setText(_REST)
            return
        s, p, l = voxel.voxel
        place = "" if voxel.in_brain else ", outside the brain"
        self.title.setText(f"{voxel.label_name} · slice {s}, row {p}, column {l}{place}")
        self.values.setText(
            " · ".join(f"{modality.title} {v:.4g}" for modality, v in voxel.intensities.items())
        )
        self.reason.setText(voxel.reason)
        self.maps.fill(*_table(voxel))
        self.maps.setVisible(bool(voxel.maps))


def _table(voxel: VoxelReading) -> tuple[list[str], list[list[str]]]:
    targets = list(voxel.maps)
    rows = [["aggregate", *(f"{voxel.maps[target]:.2f}" for target in targets)]]
    if voxel.probabilities:
        rows.append(["slice", *(f"p = {voxel.probabilities[target]:.2f}" for target in targets)])
    exits = max((len(voxel.exits.get(target, ())) for target in targets), default=0)
    for number in range(exits):
        texts = []
        for target in targets:
            readings = voxel.exits.get(target, ())
            if number >= len(readings):
                texts.append(NOTHING)
                continue
            one = readings[number]
            share = "" if one.share is None else f" ({percent(one.share)})"
            texts.append(f"{one.value:.2f}{share}")
        rows.append([f"exit {number + 1}", *texts])
    if exits:
        rows.append(["doubt", *(_doubt(voxel.exits.get(target, ())) for target in targets)])
    return ["", *targets], rows


def _doubt(exits: tuple[ExitReading, ...]) -> str:
    """Return how far the exits disagree, as the map of doubt has it."""
    if not exits:
        return NOTHING
    return f"{float(disagreement([np.array(one.value) for one in exits])):.2f}"
