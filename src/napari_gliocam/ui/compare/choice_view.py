"""Methods, classes, layers and slices to compare; Run, progress, Cancel.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QCheckBox, QListWidget, QListWidgetItem, QSizePolicy, QWidget

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.cams.methods.registry import METHODS, MULTISCALE, OF_SEGMENTER, SEGMENTER
from napari_gliocam.case import Modality
from napari_gliocam.colours import TARGET_COLOURS
from napari_gliocam.progress import Progress
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.ui.compare.work import Place
from napari_gliocam.ui.widgets.pieces import (
    SPACING,
    Choice,
    Section,
    check_box,
    in_column,
    in_row,
    labelled,
    swatch,
    tooltip,
)
from napari_gliocam.ui.widgets.run_button import RunButton
from napari_gliocam.wording import duration

SCOPES = ("This slice", "Slices with lesion", "Whole case")
LAYERS = (1, 2, 3, 4)
_SCORES: dict[str, int | Literal["mean"] | None] = {
    "Exit of layer": None,
    "Mean of exits 2 to 4": "mean",
    **{f"Exit {n}": n for n in LAYERS},
}
_NORMALISE: dict[str, Literal["volume"] | None] = {"By slice": None, "By volume": "volume"}
_SCALES = ("One scale", "Four scales", "Both")
_CHOSEN = ("gradcam", "layercam")
_LINES = 7.5


class ChoiceView(Section):
    """Offer the choices of a comparison; emit requests to run and to cancel it."""

    run_requested = Signal()
    cancel_requested = Signal()
    modality_requested = Signal(object)
    scope_chosen = Signal()

    def __init__(self) -> None:
        super().__init__("Compare")
        self.methods = _method_list()
        self.classes = {
            target: check_box(target.capitalize(), checked=target == "core") for target in TARGETS
        }
        for target, box in self.classes.items():
            box.setIcon(swatch(TARGET_COLOURS[target]))
        self.layers = {
            number: check_box(
                str(number),
                f"Output of residual stage {number}, and its exit; deeper stages are coarser and "
                "more certain",
                checked=number == LAYERS[-1],
            )
            for number in LAYERS
        }
        self.scope = Choice("Slices that get a map")
        self.scope.fill(list(SCOPES), 0)
        self.scope.activated.connect(lambda _: self.scope_chosen.emit())
        self.score = Choice("The image-level logit that is explained")
        self.score.fill(list(_SCORES), 0)
        self.scales = Choice("Four: at 0.5, 1, 1.5 and 2 times the size, averaged (paper 3)")
        self.scales.fill(list(_SCALES), 0)
        self.scales.activated.connect(lambda index: self.alike.setEnabled(index > 0))
        self.normalise = Choice(
            "Bring maps into [0, 1] slice by slice, which leaves probabilities as they are, or by "
            "the extremes of the whole volume"
        )
        self.normalise.fill(list(_NORMALISE), 0)
        self.alike = check_box(
            "Scales alike",
            "Four scales: bring each scale's map into [0, 1] before the mean, so that no scale "
            "outweighs another; the paper does not",
        )
        self.alike.setEnabled(False)
        self.modality = Choice("The image under the maps; automatic: T1ce under core, else FLAIR")
        self.modality.fill(["Automatic", *(m.title for m in Modality)], 0)
        self.modality.activated.connect(self._on_modality)
        self.gate = check_box(
            "Hide p < 0.5",
            "Hide the map on slices where the image-level probability of the class is below 0.5",
            checked=True,
        )
        self.run = RunButton("Run", "Make the maps of the methods ticked above")
        self.run.cancel_button.setToolTip("Stop; what is done by then is shown")
        self.run.requested.connect(self.run_requested)
        self.run.cancel_requested.connect(self.cancel_requested)
        self.add(
            self.methods,
            in_column(
                labelled("Classes", _boxes(*self.classes.values())),
                labelled("Layers", _boxes(*self.layers.values())),
                labelled("Score", in_row(self.score, self.scales)),
                labelled("Range", self.normalise, self.alike),
                labelled("Slices", self.scope, self.gate),
                labelled("Over", self.modality),
                spacing=SPACING // 2,
            ),
            self.run,
        )
        self.set_ready(False)

    def set_modalities(self, present: Sequence[Modality], chosen: Modality | None) -> None:
        """Offer the modalities of the case."""
        model = self.modality.model()
        assert isinstance(model, QStandardItemModel)
        for index, modality in enumerate(Modality, start=1):
            item = model.item(index)
            assert item is not None
            item.setEnabled(modality in present)
        self.modality.setCurrentIndex(0 if chosen is None else 1 + list(Modality).index(chosen))

    def set_segmenter(self, there: bool) -> None:
        """Offer the segmentation network only where the bundle has one."""
        for item in self._items():
            if item.data(Qt.ItemDataRole.UserRole) == SEGMENTER:
                item.setHidden(not there)
                if not there:
                    _tick(item, chosen=False)

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Offer the classes that the bundle knows; where it knows none, the tumour."""
        unknown = [box for target, box in self.classes.items() if target not in targets]
        lost = any(box.isChecked() for box in unknown)
        for target, box in self.classes.items():
            box.setVisible(target in targets)
            box.setChecked(box.isChecked() and target in targets)
        if lost and not any(box.isChecked() for box in self.classes.values()):
            self.classes[targets[-1]].setChecked(True)

    def choose(self, *names: str) -> None:
        """Tick these methods and no others."""
        for item in self._items():
            _tick(item, item.data(Qt.ItemDataRole.UserRole) in names)

    def _items(self) -> list[QListWidgetItem]:
        items = (self.methods.item(row) for row in range(self.methods.count()))
        return [item for item in items if item is not None]

    def request(self) -> CompareRequest:
        """Return the choices; the scope "this slice" is filled in by the session."""
        names = [
            item.data(Qt.ItemDataRole.UserRole)
            for item in self._items()
            if item.checkState() == Qt.CheckState.Checked
        ]
        scales = self.scales.currentIndex()
        prefixes = {0: ("",), 1: (MULTISCALE,), 2: ("", MULTISCALE)}[scales]
        return CompareRequest(
            methods=tuple(
                prefix + name
                for name in names
                for prefix in (("",) if name == SEGMENTER else prefixes)
            ),
            targets=tuple(t for t, box in self.classes.items() if box.isChecked()),
            layers=tuple(n for n, box in self.layers.items() if box.isChecked()),
            score=_SCORES[self.score.currentText()],
            scope="case" if self.scope.currentIndex() == 2 else "lesion",
            gate=self.gate.isChecked(),
            normalise=_NORMALISE[self.normalise.currentText()],
            normalise_scales=self.alike.isChecked() and scales != 0,
        )

    @property
    def this_slice(self) -> bool:
        """Whether the slice in view is asked for, whatever it is."""
        return self.scope.currentIndex() == 0

    def set_ready(self, ready: bool, index: int | None = None) -> None:
        """Show whether there is a case to run on, and the slice in view."""
        self.run.set_ready(ready)
        on_slice = self.this_slice and index is not None
        self.run.button.setText(f"Run on slice {index}" if on_slice else "Run")

    def set_progress(
        self, progress: Progress | None, place: Place | None = None, left: float | None = None
    ) -> None:
        """Show real counts, such as "ScoreCAM: channel 12 of 256, 8 s left".

        Parameters
        ----------
        progress : Progress or None
            None while nothing runs.
        place : Place, optional
            Slice and channel of a slow method.
        left : float, optional
            Seconds that the method still takes.
        """
        self.run.set_progress(progress)
        if progress is None or place is None:
            return
        words = [f"channel {place.channel} of {place.channels}"]
        if place.slices > 1:
            words.append(f"slice {place.slice} of {place.slices}")
        if left is not None and left >= 2:  # first, since a narrow dock cuts the end
            words.insert(0, f"{duration(left)} left")
        title = progress.what.partition(" (")[0]
        self.run.stage.set_text(f"{title}: {', '.join(words)}")

    def _on_modality(self, index: int) -> None:
        self.modality_requested.emit(None if index == 0 else list(Modality)[index - 1])


def _method_list() -> QListWidget:
    """Return a list with a box to tick for each method."""
    methods = QListWidget()
    methods.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    methods.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    for name, entry in {SEGMENTER: OF_SEGMENTER, **METHODS}.items():
        item = QListWidgetItem(entry.title)
        item.setData(Qt.ItemDataRole.UserRole, name)
        hints = [entry.paper]
        if not entry.layered:
            hints.append("one for all layers")
        if entry.slow:
            hints.append("slow: a pass of the network for each channel")
        item.setToolTip(tooltip("; ".join(hints)))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        _tick(item, name in _CHOSEN)
        methods.addItem(item)
    methods.setFixedHeight(int(_LINES * max(methods.sizeHintForRow(0), 18)))
    return methods


def _tick(item: QListWidgetItem, chosen: bool) -> None:
    item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)


def _boxes(*boxes: QCheckBox) -> QWidget:
    """Return check boxes beside each other, from the left."""
    return in_row(*boxes, rest := QWidget(), grow=rest, spacing=SPACING * 2)
