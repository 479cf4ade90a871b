"""Refinement: which one, its parameters, apply, before and after.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget
from superqt.utils import signals_blocked

from napari_gliocam.refine.parameters import (
    CRF_PRESETS,
    METHODS,
    ComponentParameters,
    CrfParameters,
    Refinement,
)
from napari_gliocam.ui.model.result import TITLES
from napari_gliocam.ui.viewer.layer_data import OVERLAYS, Overlay
from napari_gliocam.ui.widgets.forms import Form, field_title
from napari_gliocam.ui.widgets.pieces import (
    Choice,
    Elided,
    Section,
    check_box,
    in_column,
    in_row,
    push_button,
    row_label,
)
from napari_gliocam.ui.widgets.run_button import RunButton

_OWN = "own values"
_DEFAULT = "default"
_OVERLAY_TIPS: dict[Overlay, str] = {
    "superpixels": "Borders of the superpixels",
    "edge map": "Borders of the clusters that the network made of them",
}
_PART_TITLES = {"crf": "Dense CRF", "fit": "BoundaryFit", "components": "Islands and holes"}


class RefineView(Section):
    """Emit the refinement that is chosen, and when to apply it, to stop and to flip.

    Parameters
    ----------
    flip_key : str
        The key that flips before and after.
    """

    refinement_requested = Signal(object)
    refused = Signal(str)
    apply_requested = Signal()
    cancel_requested = Signal()
    flip_requested = Signal()
    overlay_requested = Signal(str, bool)

    def __init__(self, flip_key: str) -> None:
        super().__init__("Refinement", f"Key {flip_key}: before or after refinement")
        self._refinement = Refinement()
        self._presets = _presets()
        #: A form for each part of the refinement, made when it is first looked at.
        self.forms: dict[str, Form[Any]] = {}
        self._boxes: dict[str, QWidget] = {}

        self.methods = Choice(
            "Dense CRF follows edges in the images; BoundaryFit keeps clusters of the image "
            "that lie inside the tumour"
        )
        self.methods.fill([_sentence(title) for title in TITLES.values()], 0)
        self.methods.activated.connect(self._on_method)
        self.head.addWidget(self.methods, 20)
        self.components = check_box(
            "Remove islands, fill holes",
            "Drop parts of the tumour that are small beside the largest one, fill holes in "
            "the tumour and necrosis in the core",
        )
        self.components.toggled.connect(self._on_components)
        self.parameters_button = push_button(
            "Parameters", self._show_parts, "Show or hide the parameters", checkable=True
        )
        self.run = RunButton("Apply to case", "Refine every slice that shows tumour")
        self.apply_button = self.run.button
        self.cancel_button = self.run.cancel_button
        self.run.requested.connect(self.apply_requested)
        self.run.cancel_requested.connect(self.cancel_requested)
        tip = f"Show the labels before refinement (key {flip_key})"
        self.flip_button = push_button(
            "Before", lambda: self.flip_requested.emit(), tip, checkable=True
        )
        self.action_row = in_row(self.run, self.flip_button, grow=self.run)
        self.status = Elided()
        self.presets = Choice("Kernels of the dense CRF: paper 2 as released, or as in DeepLab")
        self.presets.activated.connect(self._on_preset)
        self.preset_label = row_label("CRF", self.presets.toolTip())
        self.reset_button = push_button("Reset", self.reset, "Back to the default parameters")
        self.overlays = {
            overlay: push_button(
                _sentence(overlay),
                partial(self.overlay_requested.emit, overlay),
                f"{_OVERLAY_TIPS[overlay]} over the slice in view",
                checkable=True,
            )
            for overlay in OVERLAYS
        }
        self.overlay_row = in_row(
            row_label("Show", "What BoundaryFit goes by"), *self.overlays.values()
        )
        presets = in_row(self.preset_label, self.presets, self.reset_button, grow=self.presets)
        self.parameters = in_column(presets, self.overlay_row)
        self.add(
            in_row(self.components, self.parameters_button, grow=self.components),
            self.action_row,
            self.status,
            self.parameters,
        )
        self.set_refinement(self._refinement)
        self.set_result("", can_apply=False, can_flip=False, flipped=False)

    # ---- what is chosen

    def refinement(self) -> Refinement:
        """Return what the widgets say."""
        return self._refinement

    def set_refinement(self, refinement: Refinement) -> None:
        """Show this refinement; nothing is emitted."""
        self._refinement = refinement
        self.methods.setCurrentIndex(METHODS.index(refinement.method))
        with signals_blocked(self.components):
            self.components.setChecked(refinement.components is not None)
        flat = replace(refinement.crf, volume=False)
        named = [name for name, preset in self._presets.items() if preset == flat]
        titles = [*self._presets, *([] if named else [_OWN])]
        self.presets.fill(titles, titles.index(named[0]) if named else len(titles) - 1)
        self._show_parts()

    def reset(self) -> None:
        """Go back to the default parameters; the choice stays."""
        default, chosen = Refinement(), self._refinement
        cleaned = default.components or ComponentParameters()
        kept = cleaned if chosen.components is not None else None
        self._take(replace(default, method=chosen.method, components=kept))

    def _take(self, wanted: Refinement) -> None:
        self.set_refinement(wanted)
        self.refinement_requested.emit(wanted)

    def _on_method(self, index: int) -> None:
        """Choose a method; parts are cleaned after all but "none", unless switched off."""
        before, method = self._refinement, METHODS[index]
        components = before.components
        if "none" in (before.method, method):
            components = None if method == "none" else components or ComponentParameters()
        self._take(replace(before, method=method, components=components))

    def _on_components(self, on: bool) -> None:
        self._take(replace(self._refinement, components=ComponentParameters() if on else None))

    def _on_preset(self, index: int) -> None:
        preset = self._presets.get(self.presets.itemText(index))
        if preset is not None:
            crf = replace(preset, volume=self._refinement.crf.volume)
            self._take(replace(self._refinement, crf=crf))

    def _on_part(self, name: str, value: Any) -> None:
        self._take(replace(self._refinement, **{name: value}))

    def _show_parts(self, _: bool = False) -> None:
        """Show the forms of what runs; what does nothing takes no room."""
        refinement = self._refinement
        parts = [name for name in refinement.used if name != "method"]
        shown = bool(parts) and self.parameters_button.isChecked()
        self.action_row.setVisible(refinement.changes_something)
        self.parameters_button.setVisible(bool(parts))
        self.parameters.setVisible(shown)
        self.overlay_row.setVisible(refinement.fits)
        for widget in (self.preset_label, self.presets):
            widget.setVisible(refinement.smooths)
        if shown:
            for name in parts:
                if name not in self.forms:
                    self._add_form(name)
        for name, form in self.forms.items():
            if name in parts:
                form.set_value(getattr(refinement, name))
            self._boxes[name].setVisible(name in parts)

    def _add_form(self, name: str) -> None:
        form: Form[Any] = Form(getattr(self._refinement, name))
        form.changed.connect(partial(self._on_part, name))
        form.refused.connect(self.refused)
        self.forms[name] = form
        heading = QLabel(_PART_TITLES.get(name, field_title(name)))
        font = heading.font()
        font.setItalic(True)
        heading.setFont(font)
        self._boxes[name] = box = in_column(heading, form)
        parts = self.parameters.layout()
        assert parts is not None
        parts.addWidget(box)

    # ---- what is shown

    def set_overlays(self, shown: Collection[Overlay]) -> None:
        """Show which overlays are there."""
        for overlay, button in self.overlays.items():
            button.setChecked(overlay in shown)

    def set_result(self, sentence: str, *, can_apply: bool, can_flip: bool, flipped: bool) -> None:
        """Show what the viewer shows of the refinement, and what can be done."""
        self.status.set_text(sentence)
        self.status.setVisible(self._refinement.changes_something and bool(sentence))
        self.run.set_ready(can_apply and self._refinement.changes_something)
        self.flip_button.setEnabled(can_flip)
        self.flip_button.setChecked(flipped)


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]


def _presets() -> dict[str, CrfParameters]:
    """Return named parameters; the default has a name of its own where it is none of them."""
    default = replace(Refinement().crf, volume=False)
    known = default in CRF_PRESETS.values()
    return dict(CRF_PRESETS) if known else {_DEFAULT: default, **CRF_PRESETS}
