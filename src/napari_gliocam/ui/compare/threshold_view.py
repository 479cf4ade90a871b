"""A threshold for each method, the ensemble's rule, and Use.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton
from superqt import QLabeledDoubleSlider
from superqt.utils import qthrottled

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.ui.compare.ensemble import choices, title_of
from napari_gliocam.ui.widgets.pieces import (
    FRAME_MS,
    SPACING,
    Choice,
    Elided,
    Section,
    plain_label,
    push_button,
    threshold_slider,
    tooltip,
)


class MethodThresholds(Section):
    """Offer a threshold for each method; emit it during a drag, and requests to use a method."""

    threshold_requested = Signal(str, float)
    ensemble_requested = Signal(object)
    use_requested = Signal(str)
    undo_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Thresholds", "A voxel counts where the map exceeds this")
        self.undo_button = push_button(
            "Undo result", self.undo_requested, "Back to the result of Segment"
        )
        self.head.addWidget(self.undo_button)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACING)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(0, 4)
        self._grid.setColumnStretch(1, 5)
        self.body.addLayout(self._grid)
        self.sliders: dict[str, QLabeledDoubleSlider] = {}
        self.use_buttons: dict[str, QPushButton] = {}
        self.hint = plain_label("Each method gets its own slider here after Run.", wrap=True)
        self.add(self.hint)

        self.ensemble = Choice(
            "Masks of all methods as one (paper 5). Smaller, larger: slice by slice the whole "
            "mask of one method"
        )
        self.ensemble.activated.connect(self._on_ensemble)
        self.ensemble_label = QLabel("Ensemble")
        self.ensemble_label.setToolTip(self.ensemble.toolTip())
        self.ensemble_use = push_button(
            "Use", lambda: self.use_requested.emit(self._ensemble_title)
        )
        self._rules: list[Ensemble] = []
        self._ensemble_title = ""
        self.set_methods({}, "", lambda _: False, False)

    def set_methods(
        self,
        thresholds: Mapping[str, float],
        ensemble: str,
        can_use: Callable[[str], bool],
        can_undo: bool,
    ) -> None:
        """Show these methods.

        Parameters
        ----------
        thresholds : mapping of str to float
            Of each method.
        ensemble : str
            What the ensemble is called; empty without one.
        can_use : callable
            Whether a method can become the result.
        can_undo : bool
            Whether one has.
        """
        self._set_sliders(thresholds)
        self._ensemble_title = ensemble
        buttons = {**self.use_buttons, ensemble: self.ensemble_use}
        for method, button in buttons.items():
            able = bool(method) and can_use(method)
            button.setEnabled(able)
            button.setToolTip(
                tooltip(
                    "Make the maps of this method the result of the case"
                    if able
                    else "Too few methods have a class in common"
                    if method
                    else "Choose a rule first"
                )
            )
        self.undo_button.setVisible(can_undo)
        self.hint.setVisible(not thresholds)

    def _set_sliders(self, thresholds: Mapping[str, float]) -> None:
        """Show a row for each method; rows that are there stay, so that a drag goes on."""
        if thresholds and list(thresholds) == list(self.sliders):
            return
        kept = (self.ensemble_label, self.ensemble, self.ensemble_use)
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None and widget not in kept:
                widget.setParent(None)
                widget.deleteLater()
        self.sliders.clear()
        self.use_buttons.clear()
        for line, (method, threshold) in enumerate(thresholds.items()):
            name = Elided()
            name.set_text(method)
            slider = threshold_slider()
            slider.setValue(threshold)
            slider.valueChanged.connect(qthrottled(self._emitter(method), timeout=FRAME_MS))
            use = push_button("Use", lambda _=False, method=method: self.use_requested.emit(method))
            self.sliders[method], self.use_buttons[method] = slider, use
            for column, widget in enumerate((name, slider, use)):
                self._grid.addWidget(widget, line, column)
        for column, widget in enumerate(kept):
            self._grid.addWidget(widget, len(thresholds), column)
            widget.setVisible(len(thresholds) > 1)
        self._offer_rules(len(thresholds))

    def set_threshold(self, method: str, threshold: float) -> None:
        """Move the slider of a method, as by hand."""
        if method in self.sliders:
            self.sliders[method].setValue(threshold)

    def _offer_rules(self, methods: int) -> None:
        """Offer rules for so many methods; the chosen one stays where it still makes sense."""
        index = self.ensemble.currentIndex()
        chosen = self._rules[index - 1] if index > 0 else None
        self._rules = choices(methods)
        index = 1 + self._rules.index(chosen) if chosen in self._rules else 0
        self.ensemble.fill(["None", *(title_of(rule, methods) for rule in self._rules)], index)

    def _on_ensemble(self, index: int) -> None:
        self.ensemble_requested.emit(self._rules[index - 1] if index > 0 else None)

    def _emitter(self, method: str) -> Callable[[float], None]:
        def emit(value: float) -> None:
            self.threshold_requested.emit(method, round(float(value), 3))

        return emit
