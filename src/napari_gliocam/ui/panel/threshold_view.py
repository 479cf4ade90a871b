"""Thresholds, exclusive classes, gate: choices that need no network.  Viewer-agnostic."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider
from superqt.utils import qthrottled

from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.widgets.pieces import FRAME_MS, SPACING, Section, row_label


class ThresholdView(QWidget):
    """Emits settings while they are dragged, and once more when a drag ends."""

    settings_requested = Signal(object)
    drag_ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        section = Section("Thresholds")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(section)
        self._settings = Thresholds()

        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("Back to the paper's values: tumour 0.40, class 0.50")
        self.reset_button.clicked.connect(self.reset)
        section.head.addWidget(self.reset_button)

        self.tumour = self._slider("A voxel is tumour where the tumour map exceeds this")
        self.class_ = self._slider(
            "A tumour voxel is core or edema where that class's map exceeds this"
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACING)
        grid.setVerticalSpacing(0)
        grid.addWidget(row_label("Tumour", self.tumour.toolTip()), 0, 0)
        grid.addWidget(self.tumour, 0, 1)
        grid.addWidget(row_label("Class", self.class_.toolTip()), 1, 0)
        grid.addWidget(self.class_, 1, 1)
        section.body.addLayout(grid)

        self.exclusive = QCheckBox("Exclusive classes")
        self.exclusive.setToolTip(
            "On: a voxel that both classes claim goes to the one with the higher map. "
            "Off: it is shown in a third colour."
        )
        self.gate = QCheckBox("Gate by slice")
        self.gate.setToolTip(
            "Find a class only on slices whose image-level probability is 50 % or more."
        )
        row = QHBoxLayout()
        row.setSpacing(SPACING * 2)
        row.addWidget(self.exclusive)
        row.addWidget(self.gate)
        row.addStretch(1)
        section.body.addLayout(row)

        self._throttled = qthrottled(self._emit, timeout=FRAME_MS)
        self.set_settings(self._settings)
        for slider in (self.tumour, self.class_):
            slider.valueChanged.connect(self._on_drag)
            slider.sliderReleased.connect(self._on_released)
        for box in (self.exclusive, self.gate):
            box.toggled.connect(self._on_toggled)

    def _slider(self, tip: str) -> QLabeledDoubleSlider:
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setRange(0.0, 1.0)
        slider.setSingleStep(0.01)
        slider.setPageStep(0.05)
        slider.setDecimals(2)
        slider.setToolTip(tip)
        return slider

    def settings(self) -> Thresholds:
        """What the widgets say."""
        return Thresholds(
            tumour_threshold=round(float(self.tumour.value()), 3),
            class_threshold=round(float(self.class_.value()), 3),
            exclusive=self.exclusive.isChecked(),
            gate=self.gate.isChecked(),
            gate_probability=self._settings.gate_probability,
        )

    def set_settings(self, settings: Thresholds) -> None:
        """Show these settings; tell nobody."""
        self._settings = settings
        widgets = (self.tumour, self.class_, self.exclusive, self.gate)
        blocked = [widget.blockSignals(True) for widget in widgets]
        self.tumour.setValue(settings.tumour_threshold)
        self.class_.setValue(settings.class_threshold)
        self.exclusive.setChecked(settings.exclusive)
        self.gate.setChecked(settings.gate)
        for widget, was in zip(widgets, blocked, strict=True):
            widget.blockSignals(was)

    def reset(self) -> None:
        """Back to the paper's thresholds; the toggles stay."""
        defaults = Thresholds()
        self.tumour.setValue(defaults.tumour_threshold)
        self.class_.setValue(defaults.class_threshold)
        self._on_released()

    def _emit(self) -> None:
        self.settings_requested.emit(self.settings())

    def _on_drag(self) -> None:
        self._throttled()

    def _on_released(self) -> None:
        self._emit()
        self.drag_ended.emit()

    def _on_toggled(self) -> None:
        self._on_released()
