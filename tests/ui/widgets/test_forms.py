"""Forms over dataclasses: every field can be reached, refused values never get through."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_type_hints

import pytest
from qtpy.QtWidgets import QLabel

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.parameters import (
    ClusterParameters,
    ComponentParameters,
    CrfParameters,
    FitParameters,
    Refinement,
)
from napari_gliocam.ui.widgets.forms import Form, field_docs, field_title


@dataclass(frozen=True)
class Inner:
    """Inside.

    Parameters
    ----------
    depth, width_mm : float
        How <b>far</b>
        it goes.
    """

    depth: float = 0.004
    width_mm: float = 2.5

    def __post_init__(self) -> None:
        if self.depth > 1:
            raise GliocamError("The depth is above 1; choose less.")


@dataclass(frozen=True)
class Outer:
    """Outside.

    Parameters
    ----------
    kind : {"a", "b"}
        Which.
    count : int
        How many.
    on : bool
    inner : Inner
    perhaps : Inner or None
        None: without.
    """

    kind: Literal["a", "b"] = "a"
    count: int = field(default=3, metadata={"max": 9})
    on: bool = True
    inner: Inner = field(default_factory=Inner)
    perhaps: Inner | None = None


@pytest.fixture
def form(qtbot: Any) -> Form[Outer]:
    made = Form(Outer())
    qtbot.addWidget(made)
    return made


def test_docs_and_titles() -> None:
    assert field_docs(Inner) == {
        "depth": "How <b>far</b> it goes.",
        "width_mm": "How <b>far</b> it goes.",
    }
    assert field_title("superpixel_mm2") == "Superpixel, mm²"
    assert field_title("min_ml") == "Min, ml"
    assert field_title("seed") == "Seed"


def test_each_change_is_emitted_as_a_whole_value(form: Form[Outer]) -> None:
    seen: list[Outer] = []
    form.changed.connect(seen.append)
    fields: dict[str, Any] = form.fields
    fields["kind"].value = "b"
    fields["count"].value = 7
    fields["on"].value = False
    fields["inner"].form.fields["depth"].value = 0.125
    fields["perhaps"].box.click()
    expected = Outer("b", 7, False, Inner(0.125), Inner())
    assert seen[-1] == form.value() == expected
    assert len(seen) == 5
    fields["perhaps"].box.click()
    assert form.value() == replace(expected, perhaps=None)


def test_shown_values_are_not_emitted(form: Form[Outer]) -> None:
    seen: list[Outer] = []
    form.changed.connect(seen.append)
    wanted = Outer("b", 1, False, Inner(0.5, 9.25), Inner(0.25))
    form.set_value(wanted)
    assert form.value() == wanted
    assert not seen
    form.fields["count"].value = 2  # type: ignore[union-attr]
    assert seen == [replace(wanted, count=2)]


def test_refused_values_leave_the_last_one(form: Form[Outer]) -> None:
    said: list[str] = []
    form.refused.connect(said.append)
    inner: Any = form.fields["inner"]
    inner.form.fields["depth"].value = 2.0
    assert said == ["The depth is above 1; choose less."]
    assert form.value() == Outer()
    assert inner.form.fields["depth"].value == 0.004


def test_text_of_docstrings_is_not_html(form: Form[Outer]) -> None:
    inner: Any = form.fields["inner"]
    tip = inner.form.fields["depth"].native.toolTip()
    assert "&lt;b&gt;far" in tip
    assert inner.form.findChild(QLabel) is not None


@pytest.mark.parametrize(
    "kind", [CrfParameters, ClusterParameters, FitParameters, ComponentParameters]
)
def test_every_parameter_of_refinements_can_be_set(qtbot: Any, kind: type) -> None:
    form: Form[Any] = Form(kind())
    qtbot.addWidget(form)
    assert set(form.fields) == {f.name for f in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name, widget in form.fields.items():
        before = getattr(form.value(), name)
        native: Any = widget.native  # type: ignore[union-attr]
        assert native.toolTip(), f"{kind.__name__}.{name} is not described"
        if choices := get_args(hints[name]):
            other = next(choice for choice in choices if choice != before)
        else:
            other = not before if isinstance(before, bool) else type(before)(before * 0.75)
        widget.value = other  # type: ignore[union-attr]
        got = getattr(form.value(), name)
        assert got == (pytest.approx(other, rel=0.05) if isinstance(other, float) else other)


def test_only_some_fields(qtbot: Any) -> None:
    form = Form(Refinement(), only=("fit", "components"))
    qtbot.addWidget(form)
    assert set(form.fields) == {"fit", "components"}
    components: Any = form.fields["components"]
    components.box.click()
    assert form.value() == replace(Refinement(), components=None)
