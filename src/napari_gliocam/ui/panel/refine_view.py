"""Refinement: which one, its parameters, apply, before and after.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_gliocam.refine.parameters import (
    CRF_PRESETS,
    METHODS,
    ComponentParameters,
    CrfParameters,
    Refinement,
)
from napari_gliocam.ui.model.refined import TITLES, acts
from napari_gliocam.ui.viewer.layer_data import OVERLAYS, Overlay
from napari_gliocam.ui.widgets.pieces import SPACING, Choice, Elided, Section, row_label
from napari_gliocam.ui.widgets.run_button import RunButton

_OWN = "own values"
_OVERLAY_TIPS: dict[Overlay, str] = {
    "superpixels": "Borders of the superpixels",
    "edge map": "Borders of the clusters that the network made of them",
}
_DEFAULT = "default"


class RefineView(QWidget):
    """Emits the refinement that is chosen, and when to apply it, to stop and to flip.

    Parameters
    ----------
    flip_key : str
        The key that flips before and after.
    """

    refinement_requested = Signal(object)
    apply_requested = Signal()
    cancel_requested = Signal()
    flip_requested = Signal()
    overlay_requested = Signal(str, bool)

    def __init__(self, flip_key: str) -> None:
        super().__init__()
        section = Section("Refinement", f"Key {flip_key}: before or after refinement")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        self._refinement = Refinement()
        self._presets = _presets()

        self.methods = Choice(
            "Dense CRF follows edges in the images; BoundaryFit keeps clusters of the image "
            "that lie inside the tumour"
        )
        self.methods.fill([_sentence(title) for title in TITLES.values()], 0)
        self.methods.activated.connect(self._on_method)
        self.components = QCheckBox("Clean")
        self.components.setToolTip(
            "Components: drop parts of the tumour that are small beside the largest one, "
            "fill holes in the tumour and necrosis in the core"
        )
        self.components.toggled.connect(self._emit)
        section.head.addWidget(self.methods, 4)
        section.head.addWidget(self.components)

        self.advanced_button = QPushButton("Parameters")
        self.advanced_button.setCheckable(True)
        self.advanced_button.setToolTip("Show or hide the parameters")
        self.advanced = self._advanced()
        self.advanced_button.toggled.connect(self._fold)

        self.run = RunButton("Apply to case", "Refine every slice that shows tumour")
        self.apply_button = self.run.button
        self.cancel_button = self.run.cancel_button
        self.run.requested.connect(self.apply_requested)
        self.run.cancel_requested.connect(self.cancel_requested)
        self.flip_button = QPushButton("Before")
        self.flip_button.setCheckable(True)
        self.flip_button.setToolTip(f"Show the labels before refinement (key {flip_key})")
        self.flip_button.clicked.connect(self.flip_requested)
        self.actions = QWidget()
        row = QHBoxLayout(self.actions)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.run, 1)
        row.addWidget(self.flip_button)
        row.addWidget(self.advanced_button)
        section.body.addWidget(self.actions)
        self.status = Elided()
        section.body.addWidget(self.status)
        section.body.addWidget(self.advanced)
        self.set_refinement(self._refinement)
        self.set_result("", can_apply=False, can_flip=False, flipped=False)

    def _advanced(self) -> QWidget:
        widget = QWidget()
        grid = QGridLayout(widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(2)
        self.presets = Choice("Kernels of the dense CRF: paper 2 as released, or as in DeepLab")
        self.presets.activated.connect(self._on_preset)
        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("Back to the default parameters")
        self.reset_button.clicked.connect(self.reset)
        self.spatial = _number(0.1, 500, 1, "Reach in mm of the image kernel of the CRF")
        self.intensity = _number(
            0.1, 255, 1, "How alike intensities of 0 to 255 must be to be one class"
        )
        self.weight = _number(0, 1000, 1, "Weight of the image kernel; 0 leaves it out")
        self.iterations = _Count()
        self.iterations.setRange(1, 100)
        self.iterations.setToolTip("Steps of mean field")
        self.iterations.setKeyboardTracking(False)
        self.iterations.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.inside = _number(
            0.05, 1, 0.05, "BoundaryFit keeps a cluster of which this fraction is tumour"
        )
        self.inside.setDecimals(2)
        self.volume = QCheckBox("In 3-D")
        self.volume.setToolTip("Slices see each other: one CRF in space instead of one a slice")
        self.volume.toggled.connect(self._emit)
        self.overlays = {overlay: QPushButton(_sentence(overlay)) for overlay in OVERLAYS}
        for overlay, button in self.overlays.items():
            button.setCheckable(True)
            button.setToolTip(f"{_OVERLAY_TIPS[overlay]} over the slice in view")
            button.clicked.connect(partial(self.overlay_requested.emit, overlay))
        grid.addWidget(row_label("CRF", self.presets.toolTip()), 0, 0)
        grid.addWidget(self.presets, 0, 1, 1, 2)
        grid.addWidget(self.reset_button, 0, 3)
        for place, (title, field) in enumerate(
            (
                ("Width, mm", self.spatial),
                ("Intensity", self.intensity),
                ("Weight", self.weight),
                ("Iterations", self.iterations),
                ("Min inside", self.inside),
            )
        ):
            line, column = 1 + place // 2, 2 * (place % 2)
            grid.addWidget(row_label(title, field.toolTip()), line, column)
            grid.addWidget(field, line, column + 1)
            field.valueChanged.connect(self._emit)
        grid.addWidget(self.volume, 3, 2, 1, 2)
        self.overlay_row = QWidget()
        row = QHBoxLayout(self.overlay_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(row_label("Show", "What BoundaryFit goes by"))
        for button in self.overlays.values():
            row.addWidget(button, 1)
        grid.addWidget(self.overlay_row, 4, 0, 1, 4)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        return widget

    # ---- what is chosen

    def refinement(self) -> Refinement:
        """What the widgets say."""
        old = self._refinement
        crf = replace(
            old.crf,
            bilateral_width=float(self.spatial.value()),
            intensity_width=float(self.intensity.value()),
            bilateral_weight=float(self.weight.value()),
            iterations=int(self.iterations.value()),
            volume=self.volume.isChecked(),
        )
        cleaned = old.components or ComponentParameters()
        return replace(
            old,
            method=METHODS[self.methods.currentIndex()],
            crf=crf,
            fit=replace(old.fit, min_inside=float(self.inside.value())),
            components=cleaned if self.components.isChecked() else None,
        )

    def set_refinement(self, refinement: Refinement) -> None:
        """Show this refinement; tell nobody."""
        self._refinement = refinement
        crf = refinement.crf
        values: tuple[tuple[QDoubleSpinBox | QSpinBox, float], ...] = (
            (self.spatial, crf.bilateral_width),
            (self.intensity, crf.intensity_width),
            (self.weight, crf.bilateral_weight),
            (self.iterations, crf.iterations),
            (self.inside, refinement.fit.min_inside),
        )
        for widget, value in values:
            blocked = widget.blockSignals(True)
            widget.setValue(value)  # type: ignore[arg-type]
            widget.blockSignals(blocked)
            widget.setEnabled(refinement.fits if widget is self.inside else refinement.smooths)
        self.volume.setEnabled(refinement.smooths)
        for box, checked in (
            (self.components, refinement.components is not None),
            (self.volume, crf.volume),
        ):
            blocked = box.blockSignals(True)
            box.setChecked(checked)
            box.blockSignals(blocked)
        self.methods.setCurrentIndex(METHODS.index(refinement.method))
        flat = replace(crf, volume=False)
        named = [name for name, preset in self._presets.items() if preset == flat]
        titles = [*self._presets, *([] if named else [_OWN])]
        self.presets.fill(titles, titles.index(named[0]) if named else len(titles) - 1)
        self.presets.setEnabled(refinement.smooths)
        self._fold()

    def reset(self) -> None:
        """Back to the default parameters; the choice stays."""
        default, chosen = Refinement(), self.refinement()
        cleaned = default.components or ComponentParameters()
        wanted = replace(
            default,
            method=chosen.method,
            components=cleaned if chosen.components is not None else None,
        )
        self.set_refinement(wanted)
        self.refinement_requested.emit(wanted)

    def _emit(self) -> None:
        wanted = self.refinement()
        self.set_refinement(wanted)
        self.refinement_requested.emit(wanted)

    def _on_method(self, index: int) -> None:
        """None is nothing at all; parts are cleaned after a method unless that is switched off."""
        before = self._refinement.method
        if "none" in (before, METHODS[index]):
            blocked = self.components.blockSignals(True)
            self.components.setChecked(METHODS[index] != "none")
            self.components.blockSignals(blocked)
        self._emit()

    def _on_preset(self, index: int) -> None:
        preset = self._presets.get(self.presets.itemText(index))
        if preset is not None:
            crf = replace(preset, volume=self._refinement.crf.volume)
            self.set_refinement(replace(self._refinement, crf=crf))
            self._emit()

    def _fold(self) -> None:
        """What does nothing takes no room."""
        on = acts(self._refinement)
        has_parameters = self._refinement.method != "none"
        self.actions.setVisible(on)
        self.advanced_button.setVisible(has_parameters)
        self.advanced.setVisible(has_parameters and self.advanced_button.isChecked())
        self.overlay_row.setVisible(self._refinement.fits)

    # ---- what is shown

    def set_overlays(self, shown: Collection[Overlay]) -> None:
        """Show which overlays are there."""
        for overlay, button in self.overlays.items():
            button.setChecked(overlay in shown)

    def set_result(self, sentence: str, *, can_apply: bool, can_flip: bool, flipped: bool) -> None:
        """Say what the viewer shows, and what can be done; all is well without a word."""
        self.status.set_text(sentence)
        self.status.setVisible(acts(self._refinement) and (can_apply or flipped or not can_flip))
        self.run.set_ready(can_apply and acts(self._refinement))
        self.flip_button.setEnabled(can_flip)
        self.flip_button.setChecked(flipped)


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]


def _presets() -> dict[str, CrfParameters]:
    """Named sets of parameters; the default has a name of its own where it is none of them."""
    default = replace(Refinement().crf, volume=False)
    known = default in CRF_PRESETS.values()
    return dict(CRF_PRESETS) if known else {_DEFAULT: default, **CRF_PRESETS}


class _Number(QDoubleSpinBox):
    """A number that does not turn under a passing wheel."""

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Leave the wheel to the scroll area."""
        event.ignore()  # type: ignore[attr-defined]


class _Count(QSpinBox):
    """A whole number that does not turn under a passing wheel."""

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Leave the wheel to the scroll area."""
        event.ignore()  # type: ignore[attr-defined]


def _number(low: float, high: float, step: float, tip: str) -> _Number:
    number = _Number()
    number.setDecimals(1)
    number.setRange(low, high)
    number.setSingleStep(step)
    number.setToolTip(tip)
    number.setKeyboardTracking(False)
    number.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return number
