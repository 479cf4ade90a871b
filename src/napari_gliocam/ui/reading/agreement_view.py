"""Agreement of the result with a reference: expert labels, another result.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal

from napari_gliocam.colours import CONFUSION_COLOURS
from napari_gliocam.measure.scores.confusion import CONFUSION_NAMES, LabelComparison
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.widgets.pieces import (
    Choice,
    Page,
    in_column,
    in_row,
    labelled,
    plain_label,
    push_button,
    swatch_label,
)
from napari_gliocam.ui.widgets.tables import TextTable
from napari_gliocam.wording import figure

_CONVENTIONS = (Convention.VOLUME, *(c for c in Convention if c is not Convention.VOLUME))
_HEADINGS = ("Class", "Dice", "IoU", "HD95, mm")


class AgreementView(Page):
    """Show figures of agreement; emit the reference and the class to show."""

    other_requested = Signal(int)
    file_requested = Signal()
    shown_requested = Signal(bool)
    target_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.others = Choice("Labels that the result is compared with")
        self.others.activated.connect(self.other_requested)
        self.file_button = push_button(
            "File…", self.file_requested, "Labels from a file: another result, another reader"
        )
        self.targets = Choice("The class that the colours show")
        self.targets.fill(list(TARGETS), 0)
        self.targets.activated.connect(lambda _: self.target_requested.emit(self.target))
        self.show_button = push_button(
            "Show",
            self.shown_requested,
            "True positive, false positive and false negative voxels of this class, in colours",
            checkable=True,
        )
        self.conventions = Choice("The convention that makes one number of volumes and slices")
        titles = [str(convention).replace("-", " ") for convention in _CONVENTIONS]
        self.conventions.fill(titles, 0)
        for index, convention in enumerate(_CONVENTIONS):
            self.conventions.setItemData(index, convention.description, Qt.ItemDataRole.ToolTipRole)
        self.conventions.activated.connect(lambda index: self._show())
        self.table = TextTable()
        self.sentence = plain_label(wrap=True)
        legend = (swatch_label(n, CONFUSION_COLOURS[v]) for v, n in CONFUSION_NAMES.items())
        self.lay_out(
            in_column(
                labelled("Reference", self.others, self.file_button),
                labelled("Class", self.targets, self.show_button),
                labelled("Figures", self.conventions),
            ),
            in_row(*legend),
            self.table,
            self.sentence,
        )
        self._comparison: Mapping[Target, LabelComparison] = {}
        self.set_others([], 0, there=False)
        self.set_comparison({})

    @property
    def target(self) -> Target:
        """The class to show."""
        return next(t for t in TARGETS if t == self.targets.currentText())

    def set_others(self, names: Sequence[str], chosen: int, *, there: bool) -> None:
        """Offer references.

        Parameters
        ----------
        names : sequence of str
            Names to choose from.
        chosen : int
            The index of the one in use.
        there : bool
            Whether there is a result to compare.
        """
        self.others.fill(list(names) or ["no expert labels; choose a file"], chosen)
        self.others.setEnabled(bool(names))
        self.file_button.setEnabled(there)
        self.show_button.setEnabled(there and bool(names))

    def set_comparison(self, comparison: Mapping[Target, LabelComparison]) -> None:
        """Show the figures of each class."""
        self._comparison = comparison
        known: list[str] = list(comparison or TARGETS)
        before = self.target
        self.targets.fill(known, known.index(before) if before in known else 0)
        if self.target != before:
            self.target_requested.emit(self.target)
        self._show()

    def _show(self) -> None:
        convention = _CONVENTIONS[self.conventions.currentIndex()]
        self.sentence.setText(convention.description)
        self.sentence.setVisible(bool(self._comparison))
        rows, tips = [], []
        for target, compared in self._comparison.items():
            figures = compared.overlaps[convention]
            numbers = ((figures.dice, 3), (figures.iou, 3), (figures.hd95, 1))
            rows.append([target, *(figure(*number) for number in numbers)])
            undefined = _undefined(compared)
            tips.append([target, *("" if value is not None else undefined for value, _ in numbers)])
        self.table.fill(_HEADINGS, rows, tips)
        self.table.setVisible(bool(rows))


def _undefined(compared: LabelComparison) -> str:
    """Return why figures of a class are not defined."""
    if compared.counts.labels + compared.counts.expert == 0:
        return f"Not defined: neither the result nor the reference shows {compared.target}"
    return "Not defined: this convention has nothing to average here"
