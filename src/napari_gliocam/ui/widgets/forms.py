"""Forms made from dataclasses: a widget for each field by its type, tooltips from the docstring.

The dataclass is the one place that states fields, defaults, choices and limits. What it refuses
is not taken: the form emits its sentence and keeps the last value that held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Generic, TypeVar, cast, get_type_hints

from magicgui.widgets import create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QDoubleSpinBox, QFormLayout, QWidget
from superqt.utils import signals_blocked

from napari_gliocam.errors import GliocamError
from napari_gliocam.plain import without_none
from napari_gliocam.settings import field_docs
from napari_gliocam.ui.widgets.pieces import SPACING, row_label, tooltip

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_UNITS = {"mm": "mm", "mm2": "mm²", "ml": "ml", "s": "s"}


def field_title(name: str) -> str:
    """Return a field's name as the label of its row: ``"superpixel_mm2"`` is "Superpixel, mm²"."""
    words = name.split("_")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    text = " ".join(words[:-1] if unit else words)
    return text[:1].upper() + text[1:] + (f", {unit}" if unit else "")


class Form(QWidget, Generic[T]):
    """Edits a value of a dataclass.

    A field that is a dataclass becomes a form of its own below a heading; one that may be None
    as well has a check box.

    Parameters
    ----------
    value : dataclass instance
        What is shown at first.
    only : collection of str, optional
        Fields to show, in the order of the class; all by default. The others keep their values.
    titles : mapping of field to str, optional
        Labels that differ from the fields' names.
    """

    changed = Signal(object)
    refused = Signal(str)

    def __init__(
        self,
        value: T,
        *,
        only: Collection[str] | None = None,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        kind = type(value)
        hints, docs = get_type_hints(kind), field_docs(kind)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(SPACING)
        layout.setVerticalSpacing(2)
        calm = _Calm(self)
        self._value = value
        self.fields: dict[str, ValueWidget[object] | _Part] = {}
        for field in dataclasses.fields(value):
            if only is not None and field.name not in only:
                continue
            title = (titles or {}).get(field.name, field_title(field.name))
            tip = docs.get(field.name, "")
            held = getattr(value, field.name)
            annotation = without_none(hints[field.name])
            optional = annotation is not hints[field.name]
            if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
                part = _Part(title, tip, held, annotation, optional)
                part.form.refused.connect(self.refused)
                part.changed.connect(self._on_changed)
                self.fields[field.name] = part
                layout.addRow(part)
            else:
                widget = _widget(annotation, held, field.metadata)
                native = cast(QWidget, widget.native)
                native.setToolTip(tooltip(tip))
                native.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                native.installEventFilter(calm)
                widget.changed.connect(self._on_changed)
                self.fields[field.name] = widget
                layout.addRow(row_label(title, tooltip(tip), fixed=False), native)

    def value(self) -> T:
        """Return the last value that held."""
        return self._value

    def set_value(self, value: T) -> None:
        """Show a value; nothing is emitted."""
        self._value = value
        for name, field in self.fields.items():
            if isinstance(field, _Part):
                field.set_value(getattr(value, name))
            else:
                with field.changed.blocked():
                    field.value = getattr(value, name)

    def set_active(self, names: Collection[str]) -> None:
        """Enable these fields and disable the others."""
        for name, field in self.fields.items():
            field_widget = field if isinstance(field, _Part) else cast(QWidget, field.native)
            field_widget.setEnabled(name in names)

    def _on_changed(self, _: object = None) -> None:
        shown = {
            name: field.value() if isinstance(field, _Part) else field.value
            for name, field in self.fields.items()
        }
        try:
            value = dataclasses.replace(self._value, **shown)
        except GliocamError as error:
            self.set_value(self._value)
            self.refused.emit(str(error))
            return
        self._value = value
        self.changed.emit(value)


class _Part(QWidget):
    """A dataclass inside a form, below its heading; with a check box where it may be None."""

    changed = Signal()

    def __init__(
        self,
        title: str,
        tip: str,
        value: DataclassInstance | None,
        kind: type[DataclassInstance],
        optional: bool,
    ) -> None:
        super().__init__()
        self.form = Form(kind() if value is None else value)
        self.box = QCheckBox(title) if optional else None
        layout = QFormLayout(self)
        layout.setContentsMargins(0, SPACING, 0, 0)
        layout.setVerticalSpacing(2)
        heading = self.box or row_label(title, fixed=False)
        heading.setToolTip(tooltip(tip))
        layout.addRow(heading)
        layout.addRow(self.form)
        self.set_value(value)
        self.form.changed.connect(self.changed)
        if self.box is not None:
            self.box.toggled.connect(self._on_toggled)

    def value(self) -> DataclassInstance | None:
        if self.box is not None and not self.box.isChecked():
            return None
        return self.form.value()

    def set_value(self, value: DataclassInstance | None) -> None:
        if value is not None:
            self.form.set_value(value)
        if self.box is not None:
            with signals_blocked(self.box):
                self.box.setChecked(value is not None)
        self.form.setVisible(value is not None)

    def _on_toggled(self, checked: bool) -> None:
        self.form.setVisible(checked)
        self.changed.emit()


def _widget(
    annotation: object, value: object, metadata: Mapping[str, float]
) -> ValueWidget[object]:
    """Return magicgui's widget for a type; ``metadata`` may hold ``min``, ``max``, ``step``."""
    options: dict[str, float] = {}
    if annotation in (int, float):
        options = {"min": 0, "max": 1e6 if annotation is float else 1_000_000}
        options["step"] = 1 if annotation is int else _step(cast(float, value))
        options |= {name: metadata[name] for name in ("min", "max", "step") if name in metadata}
    widget = cast(
        ValueWidget[object], create_widget(value=value, annotation=annotation, options=options)
    )
    if annotation is float:
        native = cast(QDoubleSpinBox, widget.native)
        native.setDecimals(max(2, ceil(-log10(options["step"]))))
        native.setKeyboardTracking(False)
        widget.value = value
    elif annotation is int:
        cast(QAbstractSpinBox, widget.native).setKeyboardTracking(False)
    return widget


def _step(value: float) -> float:
    """Return a tenth of the power of ten below a value: a click changes it visibly, not wildly."""
    return float(10.0 ** (floor(log10(abs(value))) - 1)) if value else 0.1


class _Calm(QObject):
    """Leaves the wheel to the scroll area around a form."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)
