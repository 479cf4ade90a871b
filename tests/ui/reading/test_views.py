"""Each view of the dock Reading, built alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QTableWidget

from napari_gliocam.case import Modality
from napari_gliocam.measure import measure_labels
from napari_gliocam.measure.classes.class_overlap import claims_of, method_overlap
from napari_gliocam.measure.classes.voxel import read_voxel
from napari_gliocam.measure.lesion.enhancing import enhancing_core
from napari_gliocam.measure.lesion.slice_areas import slice_areas
from napari_gliocam.measure.scores.confusion import compare_labels
from napari_gliocam.targets import BOTH, CORE, EDEMA
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.sequences import Shares
from napari_gliocam.trust.statement import state_trust
from napari_gliocam.ui.reading.agreement_view import AgreementView
from napari_gliocam.ui.reading.measures_view import MeasuresView
from napari_gliocam.ui.reading.overlap_view import OverlapView
from napari_gliocam.ui.reading.slice_chart import SliceChart
from napari_gliocam.ui.reading.voxel_view import VoxelView

from ...small_case import make_case, make_maps


def texts(table: QTableWidget, line: int) -> list[str]:
    return [table.item(line, column).text() for column in range(table.columnCount())]


def test_measures(qtbot: Any) -> None:
    view = MeasuresView()
    qtbot.addWidget(view)
    view.set_measures(None, "Measuring…")
    assert view.sentence.text() == "Measuring…"
    assert not view.diameters_button.isEnabled()
    case = make_case()
    assert case.expert is not None
    measures = measure_labels(case.expert.labels, case.grid)
    view.set_measures(measures)
    assert texts(view.table, 0)[1] == f"{measures.case.tumour.ml:.2f} ml"
    assert view.enhancing_sentence.isHidden()
    assert not view.enhancing.isChecked(), "off by default"
    core = enhancing_core(case, case.expert.labels)
    view.set_enhancing(core)
    assert f"Enhancing {core.ml:.1f} ml" in view.enhancing_sentence.text()
    assert "A rule of intensity, no network" in view.enhancing_sentence.text()
    view.set_enhancing("It has no T1ce.")
    assert view.enhancing_sentence.text() == "It has no T1ce."
    with qtbot.waitSignal(view.enhancing_requested) as asked:
        view.enhancing.click()
    assert asked.args == [True]
    view.set_painted(1)
    assert view.painted.text() == "1 voxel painted by hand"
    with qtbot.waitSignal(view.diameters_slice_requested):
        view.go_button.click()


def test_overlap(qtbot: Any) -> None:
    view = OverlapView()
    view.set_addable(["LayerCAM"])
    qtbot.addWidget(view)
    assert not view.show_button.isEnabled()
    case = make_case()
    maps = make_maps(case)
    nothing = np.zeros(case.grid.shape, dtype=np.uint8)
    rows = [
        method_overlap("some", claims_of(maps), case.grid),
        method_overlap("none", nothing, case.grid),
    ]
    view.set_methods(["some", "none"], "none")
    view.set_rows(rows)
    assert view.methods.currentText() == "none"
    assert texts(view.table, 1) == ["none", "0.0", "–", "–", "no overlap"]
    assert "neither core nor edema" in view.table.item(1, 3).toolTip()
    with qtbot.waitSignal(view.slice_requested) as went:
        view.table.cellDoubleClicked.emit(0, 0)
    assert went.args == [rows[0].worst[0].index]
    with qtbot.waitSignal(view.add_requested) as added:
        view.add_button.click()
    assert added.args == ["LayerCAM"]
    view.set_stage("LayerCAM: queued")
    with qtbot.waitSignal(view.cancel_requested):
        view.add_button.click()


def test_agreement(qtbot: Any) -> None:
    view = AgreementView()
    qtbot.addWidget(view)
    case = make_case()
    assert case.expert is not None
    expert = case.expert.labels
    view.set_others(["expert labels"], 0, there=True)
    no_edema = np.where(expert == CORE, expert, 0)
    view.set_comparison(compare_labels(no_edema, no_edema, case.grid.spacing))
    assert texts(view.table, 1)[:2] == ["core", "1.000"]
    pooled = next(
        i for i in range(view.conventions.count()) if view.conventions.itemText(i) == "pooled"
    )
    view.conventions.setCurrentIndex(pooled)
    view.conventions.activated.emit(pooled)
    assert texts(view.table, 2)[1] == "–"
    assert "neither the result nor the reference shows edema" in view.table.item(2, 1).toolTip()
    view.set_others([], 0, there=True)
    assert not view.show_button.isEnabled()
    assert view.file_button.isEnabled()


def test_voxel_is_plain_text(qtbot: Any) -> None:
    view = VoxelView()
    qtbot.addWidget(view)
    assert view.maps.isHidden()
    case = make_case()
    maps = make_maps(case)
    labels = claims_of(maps)
    voxel = tuple(int(i) for i in np.argwhere(labels == CORE)[0])
    view.set_voxel(read_voxel(case, voxel, labels=labels, maps=maps))
    assert f"slice {voxel[0]}, row {voxel[1]}" in view.title.text()
    assert "<" not in view.title.text()
    assert view.maps.item(0, 0).text() == "aggregate"
    rows = {texts(view.maps, line)[0]: texts(view.maps, line) for line in range(7)}
    exits = [float(rows[f"exit {number}"][1].split()[0]) for number in (1, 2, 3, 4)]
    assert float(rows["doubt"][1]) == pytest.approx(2 * np.std(exits), abs=0.02)
    view.set_voxel(
        read_voxel(case, voxel, labels=labels, maps=maps),
        {"core": Shares({Modality.T1CE: 3.0, Modality.FLAIR: -1.0})},
    )
    assert view.shares.words == ["core T1ce 75 % FLAIR −25 %"]
    assert view.note.isHidden()
    view.set_voxel(read_voxel(case, voxel), {}, "Sequences on slice 3: computing…")
    assert view.shares.isHidden()
    assert "computing" in view.note.text()
    view.set_voxel(None, {}, "")
    assert view.note.isHidden()


def test_how_far_to_trust_the_result(qtbot: Any) -> None:
    view = MeasuresView()
    qtbot.addWidget(view)
    assert view.trust_box.isHidden()
    trust = state_trust(apply_thresholds(make_maps(make_case())))
    assert trust is not None
    view.set_trust(trust)
    assert not view.trust_box.isHidden()
    assert view.trust.text().splitlines() == list(trust.sentences)
    assert view.sequences.button.isEnabled()
    assert view.shares.isHidden()
    one = Shares({Modality.T1CE: 3.0, Modality.FLAIR: -1.0})
    view.set_sequences([(1, "core", one)])
    assert view.shares.words == ["Lesion 1, core T1ce 75 % FLAIR −25 %"]
    assert view.caution.isHidden()
    view.set_sequences([(1, "core", one)], "The networks never learned to do without FLAIR.")
    assert not view.caution.isHidden()
    assert "without FLAIR" in view.caution.text()
    view.set_sequences([])
    assert view.caution.isHidden()
    view.set_trust(None)
    assert view.trust_box.isHidden()


@pytest.mark.parametrize("there", [True, False])
def test_chart(qtbot: Any, there: bool) -> None:
    chart = SliceChart()
    qtbot.addWidget(chart)
    for word in ("core", "edema", "overlap", "p(core)", "p(edema)"):
        assert word in chart.legend.text()
    case = make_case()
    maps = make_maps(case)
    areas = slice_areas(claims_of(maps), case.grid) if there else None
    chart.set_areas(areas, None, maps.probabilities)
    drawn = {label: chart.areas[label].getData()[1] for label in (CORE, EDEMA, BOTH)}
    assert all((values is not None and len(values) > 0) == there for values in drawn.values())
    seen: list[int] = []
    chart.slice_requested.connect(seen.append)
    chart.go(1e6)
    assert seen == ([case.grid.shape[0] - 1] if there else [])
