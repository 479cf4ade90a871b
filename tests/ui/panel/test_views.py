"""Each view of the panel alone: what it shows, what it emits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_gliocam.case import Modality
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import CRF_PRESETS, METHODS, Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.trust.doubt import VolumeRange
from napari_gliocam.trust.statement import TrustStatement
from napari_gliocam.ui.model.result import Change
from napari_gliocam.ui.panel.case_view import CaseView
from napari_gliocam.ui.panel.maps_view import MapsView
from napari_gliocam.ui.panel.refine_view import RefineView
from napari_gliocam.ui.panel.results_view import ResultsView
from napari_gliocam.ui.panel.run_view import RunView
from napari_gliocam.ui.panel.threshold_view import ThresholdView

HOSTILE = "<h1>CE-certified</h1>"


def heard(signal: Any) -> list[Any]:
    got: list[Any] = []
    signal.connect(lambda *values: got.append(values[0] if len(values) == 1 else values))
    return got


def assert_plain(widget: QWidget) -> None:
    """No text of a file is read as html, neither in a label nor in a tooltip."""
    for label in widget.findChildren(QLabel):
        if HOSTILE in label.text():
            assert label.textFormat() == Qt.TextFormat.PlainText
    for child in widget.findChildren(QWidget):
        assert HOSTILE not in child.toolTip()


@pytest.fixture
def case_view(qtbot: Any) -> CaseView:
    view = CaseView("Q")
    qtbot.addWidget(view)
    return view


def test_case_view(case_view: CaseView) -> None:
    view = case_view
    view.set_cases([HOSTILE], 0)
    view.set_modalities([HOSTILE, "t2.nii"], {Modality.FLAIR: 0}, {Modality.T1})
    view.set_schemes(["a"], ["BraTS"], "a")
    view.set_geometry((155, 240, 240), (1.0, 1.0, 1.0))
    assert view.found_line.text() == "FLAIR · missing: T1ce, T2 · expert labels"
    assert "155 × 240 × 240 voxels of 1 mm" in view.found_line.toolTip()
    assert not view.files.isHidden(), "unfolded where something is missing"
    assert_plain(view)
    planes, beside = heard(view.plane_requested), heard(view.side_views_requested)
    view.planes["coronal"].click()
    for button in view.side_views.values():
        button.click()
    assert planes == ["coronal"]
    assert beside == ["planes", "modality"]
    view.set_side_views("modality")
    assert [kind for kind, one in view.side_views.items() if one.isChecked()] == ["modality"]
    assert [plane for plane, button in view.planes.items() if button.isChecked()] == ["coronal"]
    view.set_geometry((), ())
    assert view.view_row.isHidden()
    assert "Open…" in view.geometry_line.text()


def test_the_cost_of_a_missing_modality_is_shown(qtbot: Any) -> None:
    view = RunView()
    qtbot.addWidget(view)
    view.set_worse(f"Without T2 {HOSTILE}")
    assert not view.worse.isHidden()
    assert_plain(view)
    view.set_worse("")
    assert view.worse.isHidden()


def test_run_view(qtbot: Any) -> None:
    view = RunView()
    qtbot.addWidget(view)
    view.set_bundle(HOSTILE, HOSTILE, HOSTILE)
    view.set_devices(["auto", "cpu"], ["Automatic", "CPU"], "cpu")
    assert view.devices.currentText() == "CPU"
    assert_plain(view)
    view.set_progress(Progress(0, 1, "queued"))
    assert view.stage.text() == "Queued"
    view.set_progress(Progress(3, 9, "preparing slices"))
    assert view.stage.text() == "Preparing slices: 3 of 9 slices"
    view.set_progress(None)
    asked = heard(view.device_requested)
    view.devices.activated.emit(0)
    assert asked == ["auto"]
    assert view.networks_row.isHidden(), "a bundle with the networks of the maps alone"
    view.set_networks(["Segmentation network", "Maps"])
    assert not view.networks_row.isHidden()
    asked = heard(view.networks_requested)
    view.networks.activated.emit(1)
    assert asked == [1]


def test_threshold_view_can_be_typed_in(qtbot: Any) -> None:
    view = ThresholdView()
    qtbot.addWidget(view)
    asked, ended = heard(view.settings_requested), heard(view.drag_ended)
    view.numbers[view.tumour].setValue(0.33)
    assert asked[-1] == Thresholds(tumour_threshold=0.33)
    assert ended
    assert view.tumour.value() == pytest.approx(0.33)
    view.class_.setValue(0.61)
    assert view.numbers[view.class_].value() == pytest.approx(0.61)
    count = len(asked)
    view.set_settings(Thresholds(0.1, 0.2, exclusive=False, gate=False, gate_probability=0.7))
    assert view.numbers[view.tumour].value() == pytest.approx(0.1)
    assert view.gate.text() == "Hide class where slice p < 0.7"
    assert view.settings().gate_probability == 0.7
    assert len(asked) == count


def test_refine_view_reaches_every_parameter(qtbot: Any) -> None:
    view = RefineView("R")
    qtbot.addWidget(view)
    asked = heard(view.refinement_requested)
    view.parameters_button.click()
    for index, method in enumerate(METHODS):
        view.methods.setCurrentIndex(index)
        view.methods.activated.emit(index)
        parts = set(asked[-1].used) - {"method"}
        assert parts == {n for n, f in view.forms.items() if not f.parentWidget().isHidden()}
        assert view.parameters.isHidden() == (method == "none")
    form: Any = view.forms["crf"]
    form.fields["iterations"].value = 7
    assert asked[-1].crf.iterations == 7
    form.fields["gaussian_width"].value = 0.0
    assert asked[-1].crf.gaussian_width == Refinement().crf.gaussian_width, "refused"


def test_refine_view_presets_and_reset(qtbot: Any) -> None:
    view = RefineView("R")
    qtbot.addWidget(view)
    asked = heard(view.refinement_requested)
    view.set_refinement(Refinement("crf"))
    view.parameters_button.click()
    index = view.presets.findText("DeepLab")
    view.presets.activated.emit(index)
    assert asked[-1].crf == CRF_PRESETS["DeepLab"]
    form: Any = view.forms["crf"]
    form.fields["volume"].value = True
    assert asked[-1].crf == replace(CRF_PRESETS["DeepLab"], volume=True)
    assert view.presets.currentText() == "DeepLab"
    form.fields["intensity_width"].value = 7.0
    assert view.presets.currentText() == "own values"
    view.reset_button.click()
    assert asked[-1] == Refinement("crf")
    view.components.click()
    assert asked[-1] == Refinement("crf", components=None)
    assert asked[-1] == view.refinement()


def test_maps_view(qtbot: Any) -> None:
    view = MapsView()
    qtbot.addWidget(view)
    assert not any(button.isEnabled() for button in view.buttons.values())
    view.set_available(lambda row, target: row == "aggregate")
    asked = heard(view.map_requested)
    view.buttons["aggregate", "core"].click()
    assert asked == [("aggregate", "core", True)]
    view.set_shown({("aggregate", "edema")})
    assert view.buttons["aggregate", "edema"].isChecked()
    assert not view.buttons["aggregate", "core"].isChecked()


def test_results_view_rows_do_not_jump(qtbot: Any) -> None:
    view = ResultsView("N", "Shift-N", "T", "W", "U")
    qtbot.addWidget(view)
    view.set_rows(expert=True, refines=True)
    height = view.sizeHint().height()
    ml = {"tumour": 9.0, "core": 4.0, "edema": 5.0}
    view.set_volumes(ml)
    view.set_figures({"tumour": 0.5, "core": np.nan, "edema": 1.0}, None)
    assert [label.text() for label in view.dice.values()] == ["0.50", "–", "1.00"]
    assert view.effect["core"].text() == "–"
    both = {target: (value, value + 1) for target, value in ml.items()}
    view.set_figures(
        None, Change(both, dict.fromkeys(ml, (0.5, 0.75)), dict.fromkeys(ml, (3.0, 2.0)))
    )
    assert view.dice["core"].text() == "0.50 → 0.75"
    assert view.effect["core"].text() == "+1.0 ml"
    assert view.distances["core"].text() == "3.0 → 2.0"
    assert view.sizeHint().height() == height
    view.set_rows(expert=False, refines=False)
    assert view.dice_label.isHidden()
    view.set_origin(f"Result of {HOSTILE}, not of Segment")
    assert not view.origin.isHidden()
    assert_plain(view)


def test_the_range_of_each_volume_stands_below_it(qtbot: Any) -> None:
    view = ResultsView("N", "Shift-N", "T", "W", "U")
    qtbot.addWidget(view)
    assert {label.text() for label in view.ranges.values()} == {"–"}
    assert not view.doubt_button.isEnabled()
    ranges = {t: VolumeRange(31.2, 36.0, 43.8) for t in ("tumour", "core", "edema")}
    view.set_trust(TrustStatement(ranges, np.array([0.0, 2.0]), (1,)))
    assert view.ranges["core"].text() == "31 to 44 ml"
    assert "U" in view.doubt_button.toolTip()
    asked = heard(view.doubt_step_requested)
    view.doubt_button.click()
    assert asked == [1]
    view.set_trust(TrustStatement(ranges, np.zeros(2), ()))
    assert not view.doubt_button.isEnabled()


def test_the_gate_names_its_limit_and_the_class_that_it_hides(qtbot: Any) -> None:
    view = ThresholdView()
    qtbot.addWidget(view)
    view.set_gate(0.1, ("edema",))
    assert view.gate.text() == "Hide class where slice p < 0.1"
    assert view.hidden.text() == "hides edema"
    view.set_gate(0.5)
    assert (view.gate.text(), view.hidden.text()) == ("Hide class where slice p < 0.5", "")
