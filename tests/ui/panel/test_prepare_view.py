"""The section Prepare alone: what it shows, what it emits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_gliocam.case import Modality, Preparation
from napari_gliocam.prepare import Examination, Series, Steps
from napari_gliocam.progress import Progress
from napari_gliocam.ui.panel.prepare_view import PrepareView

from .test_views import HOSTILE, assert_plain, heard

T1CE = Series(f"t1 post gd {HOSTILE}", (Path("a"),), Modality.T1CE, f"the name {HOSTILE}")
OTHER = Series("resting state", (Path("b"),))


@pytest.fixture
def view(qtbot: Any) -> PrepareView:
    view = PrepareView()
    qtbot.addWidget(view)
    return view


def test_nothing_is_shown_where_nothing_is_to_prepare(view: PrepareView) -> None:
    assert view.choice.isHidden()
    assert view.check.isHidden()


def test_every_series_is_offered_for_every_modality(view: PrepareView) -> None:
    found = Examination(HOSTILE, (T1CE, OTHER), {Modality.T1CE: T1CE}, (f"Scout {HOSTILE}",))
    view.set_examination(found)
    assert not view.choice.isHidden()
    assert view.found_line.text().endswith("2 series, 1 left out")
    assert view.series[Modality.T1CE].currentText() == T1CE.name
    assert "the name" in view.series[Modality.T1CE].toolTip()
    assert view.series[Modality.T2].currentText() == "not there"
    assert view.run.button.isEnabled()
    assert_plain(view)
    asked = heard(view.series_requested)
    view.series[Modality.T2].activated.emit(2)
    view.series[Modality.T1CE].activated.emit(0)
    assert asked == [(Modality.T2, 1), (Modality.T1CE, -1)]
    view.set_examination(Examination("case", (OTHER,)))
    assert not view.run.button.isEnabled()


def test_the_steps_that_are_switched_on_are_asked_for(view: PrepareView) -> None:
    view.set_examination(Examination("case", (T1CE,), {Modality.T1CE: T1CE}))
    asked = heard(view.prepare_requested)
    view.run.button.click()
    view.steps["strip"].setChecked(False)
    view.run.button.click()
    assert asked == [Steps(), Steps(strip=False)]
    view.set_progress(Progress(1, 4, "reading"))
    assert view.run.stage.text() == "Reading: 1 of 4 series"
    assert not view.close_button.isEnabled()
    assert not view.series[Modality.T1CE].isEnabled()


def test_checks_are_offered_as_far_as_there_is_something_to_check(view: PrepareView) -> None:
    head = np.zeros((2, 2, 2), np.float32)
    step = f"T2 was aligned {HOSTILE}."
    view.set_prepared(Preparation((step,), {}, head), (Modality.T1CE, Modality.T2))
    assert view.steps_line.text() == step
    assert view.head_button.isEnabled()
    assert_plain(view)
    squares, heads = heard(view.checkerboard_requested), heard(view.head_requested)
    view.head_button.click()
    view.checkerboard.activated.emit(1)
    assert not view.head_button.isChecked()
    view.checkerboard.activated.emit(0)
    assert (squares, heads) == ([Modality.T2, None], [True])
    view.set_prepared(Preparation((), {}), (Modality.T1CE,))
    assert view.steps_line.text() == "Nothing was changed."
    assert not view.head_button.isEnabled()
    assert not view.checkerboard.isEnabled()
    view.set_prepared(None, ())
    assert view.check.isHidden()
