"""Thresholds, one class per voxel, gate: choices that need no network.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Qt, Signal
from superqt import QDoubleSlider
from superqt.utils import qthrottled, signals_blocked

from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import Target
from napari_gliocam.ui.widgets.pieces import (
    FRAME_MS,
    Elided,
    Number,
    Section,
    check_box,
    in_column,
    in_row,
    labelled,
    push_button,
    tooltip,
)


class ThresholdView(Section):
    """Emit settings while they are dragged, and once more when a drag ends."""

    settings_requested = Signal(object)
    drag_ended = Signal()

    def __init__(self) -> None:
        super().__init__("Thresholds")
        self._settings = self._usual = Thresholds()
        self._gated, self._limit = "class", self._settings.gate_probability
        self.reset_button = push_button("Reset", self.reset)
        self.head.addWidget(self.reset_button)
        self.tumour = self._slider("A voxel is tumour where the tumour map exceeds this")
        self.class_ = self._slider(
            "A tumour voxel is core or edema where that class's map exceeds this"
        )
        self.numbers: dict[QDoubleSlider, Number] = {}
        rows = []
        for title, slider in (("Tumour", self.tumour), ("Class", self.class_)):
            number = Number(slider.toolTip())
            number.setFixedWidth(62)
            self.numbers[slider] = number
            rows.append(labelled(title, slider, number))
        self.exclusive = check_box(
            "One class per voxel",
            "On: where core and edema overlap, the higher map has the voxel. "
            "Off: overlap is shown in a third colour.",
        )
        self.gate = check_box(
            "", "Find a class only on slices whose image-level probability p reaches this value."
        )
        self.hidden = Elided()
        self._of_classes = (rows[-1], self.exclusive)
        self.add(in_column(*rows), self.exclusive, in_row(self.gate, self.hidden, grow=self.hidden))

        self._throttled = qthrottled(self._emit, timeout=FRAME_MS)
        self.set_settings(self._settings)
        for slider in (self.tumour, self.class_):
            slider.valueChanged.connect(self._on_drag)
            slider.valueChanged.connect(self._show_numbers)
            slider.sliderReleased.connect(self._on_released)
            self.numbers[slider].valueChanged.connect(partial(self._on_typed, slider))
        for box in (self.exclusive, self.gate):
            box.toggled.connect(self._on_released)

    def _slider(self, tip: str) -> QDoubleSlider:
        slider = QDoubleSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        slider.setRange(0.0, 1.0)
        slider.setSingleStep(0.01)
        slider.setPageStep(0.05)
        slider.setToolTip(tooltip(tip))
        return slider

    def settings(self) -> Thresholds:
        """Return the choice that the widgets show."""
        return Thresholds(
            tumour_threshold=round(float(self.tumour.value()), 3),
            class_threshold=round(float(self.class_.value()), 3),
            exclusive=self.exclusive.isChecked(),
            gate=self.gate.isChecked(),
            gate_probability=self._settings.gate_probability,
        )

    def set_settings(self, settings: Thresholds, usual: Thresholds | None = None) -> None:
        """Show these settings; nothing is emitted.

        Parameters
        ----------
        settings : Thresholds
            The choice to show.
        usual : Thresholds, optional
            The thresholds that *Reset* brings back; those of before by default.
        """
        self._settings = settings
        self._usual = usual or self._usual
        self.reset_button.setToolTip(
            tooltip(
                f"Back to the bundle's values: tumour {self._usual.tumour_threshold:.2f}, "
                f"class {self._usual.class_threshold:.2f}"
            )
        )
        self.set_gate(settings.gate_probability)
        with (
            signals_blocked(self.tumour),
            signals_blocked(self.class_),
            signals_blocked(self.exclusive),
            signals_blocked(self.gate),
        ):
            self.tumour.setValue(settings.tumour_threshold)
            self.class_.setValue(settings.class_threshold)
            self.exclusive.setChecked(settings.exclusive)
            self.gate.setChecked(settings.gate)
        self._show_numbers()

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Offer choices of core and edema only where these targets include them."""
        for widget in self._of_classes:
            widget.setVisible("core" in targets)
        self._gated = "class" if "core" in targets else "tumour"
        self._show_gate()

    def set_gate(self, limit: float, hidden: Sequence[Target] = ()) -> None:
        """Show where the gate closes, and what it hides on the slice in view.

        Parameters
        ----------
        limit : float
            The slice probability, in [0, 1], below which a class is hidden.
        hidden : sequence of Target
            The targets that are hidden on the slice in view.
        """
        self._limit = limit
        self._show_gate()
        self.hidden.set_text(f"hides {' and '.join(hidden)}" if hidden else "")

    def _show_gate(self) -> None:
        self.gate.setText(f"Hide {self._gated} where slice p < {self._limit:g}")

    def _show_numbers(self) -> None:
        for slider, number in self.numbers.items():
            with signals_blocked(number):
                number.setValue(float(slider.value()))

    def _on_typed(self, slider: QDoubleSlider, value: float) -> None:
        slider.setValue(value)
        self._on_released()

    @property
    def usual(self) -> Thresholds:
        """The thresholds that *Reset* brings back."""
        return self._usual

    def reset(self) -> None:
        """Back to the bundle's thresholds; the toggles stay."""
        self.tumour.setValue(self._usual.tumour_threshold)
        self.class_.setValue(self._usual.class_threshold)
        self._on_released()

    def _emit(self) -> None:
        self.settings_requested.emit(self.settings())

    def _on_drag(self) -> None:
        self._throttled()

    def _on_released(self) -> None:
        self._emit()
        self.drag_ended.emit()
