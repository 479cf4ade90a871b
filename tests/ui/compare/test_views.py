"""Each view of the dock Compare CAMs, built alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.cams.compare.threshold_grid import search_thresholds
from napari_gliocam.case import Modality
from napari_gliocam.progress import Progress
from napari_gliocam.ui.compare.choice_view import ChoiceView
from napari_gliocam.ui.compare.figures import MethodRow, PairRow
from napari_gliocam.ui.compare.search_view import SearchView
from napari_gliocam.ui.compare.table_view import FiguresView, FigureTable
from napari_gliocam.ui.compare.threshold_view import MethodThresholds
from napari_gliocam.ui.compare.work import Place


def test_a_segmentation_network_is_offered_where_there_is_one(qtbot: Any) -> None:
    view = ChoiceView()
    qtbot.addWidget(view)
    view.set_segmenter(True)
    view.choose("segmenter", "guided")
    view.scales.setCurrentIndex(1)
    assert view.request().methods == ("segmenter", "multiscale:guided"), "it has one scale"
    view.set_segmenter(False)
    assert view.request().methods == ("multiscale:guided",)


def test_choices_are_the_request(qtbot: Any) -> None:
    view = ChoiceView()
    qtbot.addWidget(view)
    assert not view.run.button.isEnabled()
    view.choose("gradcam", "exit")
    view.classes["edema"].setChecked(True)
    view.layers[2].setChecked(True)
    view.scales.setCurrentIndex(2)
    view.score.setCurrentIndex(1)
    request = view.request()
    assert request.methods == ("gradcam", "multiscale:gradcam", "exit", "multiscale:exit")
    assert (request.targets, request.layers) == (("core", "edema"), (2, 4))
    assert (request.score, request.scope, request.gate) == ("mean", "lesion", True)
    assert (request.normalise, request.normalise_scales) == (None, False)
    view.normalise.setCurrentIndex(1)
    view.alike.setChecked(True)
    assert (view.request().normalise, view.request().normalise_scales) == ("volume", True)
    view.scales.setCurrentIndex(0)
    assert not view.request().normalise_scales, "one scale is not a mean"
    view.set_modalities([Modality.FLAIR], Modality.FLAIR)
    assert view.modality.currentText() == "FLAIR"
    view.set_ready(True, 71)
    assert view.run.button.text() == "Run on slice 71"
    view.scope.setCurrentIndex(2)
    view.set_ready(True, 71)
    assert view.run.button.text() == "Run"
    assert view.request().scope == "case"


def test_progress_counts_channels_and_slices(qtbot: Any) -> None:
    view = ChoiceView()
    qtbot.addWidget(view)
    view.set_progress(Progress(12, 512, "ScoreCAM"), Place(1, 2, 12, 256), 8.0)
    words = view.run.stage.toolTip()
    assert "ScoreCAM: 8 s left" in words, "the end of a line is cut where the dock is narrow"
    assert "channel 12 of 256" in words
    assert "slice 1 of 2" in words


def test_a_slider_for_each_method(qtbot: Any) -> None:
    view = MethodThresholds()
    qtbot.addWidget(view)
    assert not view.hint.isHidden()
    view.set_methods({"A": 0.5, "B": 0.25}, "", lambda method: method == "A", True)
    assert view.hint.isHidden()
    assert view.sliders["B"].value() == 0.25
    assert view.use_buttons["A"].isEnabled()
    assert "edema" not in view.use_buttons["A"].toolTip(), "it may be of the tumour alone"
    assert not view.use_buttons["B"].isEnabled()
    assert not view.ensemble_use.isEnabled()
    slider = view.sliders["A"]
    view.set_methods({"A": 0.5, "B": 0.5}, "", lambda _: True, False)
    assert view.sliders["A"] is slider, "a drag goes on"
    with qtbot.waitSignal(view.use_requested) as used:
        view.use_buttons["B"].click()
    assert used.args == ["B"]
    with qtbot.waitSignal(view.ensemble_requested) as chosen:
        view.ensemble.activated.emit(view.ensemble.findText("Union"))
    assert chosen.args == [Ensemble("union")]
    view.set_methods({}, "", lambda _: False, False)
    assert not view.sliders


def test_a_search_is_a_heat_map_whose_pairs_can_be_taken(qtbot: Any) -> None:
    view = SearchView()
    qtbot.addWidget(view)
    assert "uses pixel masks" in view.button.text()
    assert view.plot.isHidden()
    rng = np.random.default_rng(0)
    truth = rng.random((4, 8, 8)) > 0.7
    maps = [np.clip(0.65 * truth + 0.3 * rng.random(truth.shape), 0, 1).astype(np.float32)] * 2
    grid = search_thresholds([(maps, truth)])
    view.set_result(("A", "B"), grid)
    assert not view.plot.isHidden()
    assert view.image.image.shape == (11, 11)
    assert "chosen with pixel masks" in view.note.text()
    taken = {}
    view.threshold_requested.connect(taken.__setitem__)
    scene = view.plot.getPlotItem().vb.mapViewToScene(pg.Point(0.31, 0.68))
    view._on_click(
        SimpleNamespace(button=lambda: Qt.MouseButton.LeftButton, scenePos=lambda: scene)
    )
    assert taken == {"A": 0.7, "B": 0.3}
    view.set_result((), None)
    assert view.plot.isHidden()


def test_a_search_begins_with_a_class_that_was_run(qtbot: Any) -> None:
    view = FiguresView()
    qtbot.addWidget(view)
    target = view.search.target
    view.set_tables([MethodRow("A", "core", 0.5, 1.0), MethodRow("A", "edema", 0.5, 1.0)], [])
    assert target.currentText() == "core"
    target.setCurrentText("edema")
    view.set_tables([MethodRow("A", "core", 0.5, 1.0), MethodRow("A", "edema", 0.5, 1.0)], [])
    assert target.currentText() == "edema"
    view.set_tables([], [])
    assert target.currentText() == "edema"


def test_undefined_figures_are_a_dash_with_a_reason(qtbot: Any) -> None:
    view = FiguresView()
    qtbot.addWidget(view)
    assert not view.export_button.isEnabled()
    nan = float("nan")
    rows = [
        MethodRow("A", "core", 0.5, 1.25, dice=nan, iou_expert=nan, hd95=None, energy_inside=0.5),
        MethodRow(
            "B", "core", None, np.float64(12.5), dice=np.float64(0.25), iou_expert=0.5, hd95=3.0
        ),
    ]
    view.set_tables(rows, [PairRow("core", "A", "B", nan)])
    line = {view.expert.item(row, 0).text(): row for row in range(2)}["A"]
    texts = [view.expert.item(line, column).text() for column in range(6)]
    assert texts == ["A", "–", "–", "–", "0.50", "–"]
    assert "neither" in view.expert.item(line, 1).toolTip()
    assert view.pairs.item(0, 2).text() == "–"
    view.result.sortItems(1)
    assert [view.result.item(row, 1).text() for row in range(2)] == ["1.2", "12.5"]
    assert view.tabs.isTabVisible(0)
    view.set_tables([MethodRow("A", "core", 0.5, 1.0)], [])
    assert not view.tabs.isTabVisible(0), "there is no expert"
    with qtbot.waitSignal(view.export_requested):
        view.export_button.click()


def test_a_table_of_figures_sorts_by_numbers_and_keeps_its_order(qtbot: Any) -> None:
    table = FigureTable((("Method", "", "method"), ("Dice", "With the expert", "dice")))
    qtbot.addWidget(table)
    rows = [
        MethodRow("A", "core", 0.5, 1.0, dice=0.9),
        MethodRow("B", "core", 0.5, 1.0, dice=float("nan")),
        MethodRow("C", "edema", 0.5, 1.0, dice=0.25),
        MethodRow("D", "edema", 0.5, 1.0),
    ]
    table.show_rows(rows)
    shown = lambda: [table.item(line, 0).text() for line in range(table.rowCount())]  # noqa: E731
    assert shown() == ["A", "B", "C", "D"], "as they came, until a heading is clicked"
    table.sortItems(1, Qt.SortOrder.DescendingOrder)
    assert shown()[:2] == ["A", "C"], "what is not defined comes last"
    assert table.item(0, 1).text() == "0.90"
    assert "Not defined" in table.item(shown().index("B"), 1).toolTip()
    assert table.item(0, 0).toolTip() == "<p>A, core</p>"
    table.show_rows(rows[:3])
    assert shown()[:2] == ["A", "C"]
    table.selectRow(0)
    assert {item.row() for item in table.selectedItems()} == {0}
    assert table.editTriggers() == table.EditTrigger.NoEditTriggers
