"""The dock Reading, in a real window."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure import measure_labels
from napari_gliocam.measure.classes.class_overlap import claims_of
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.plugin import commands
from napari_gliocam.ui.reading.dock import ReadingDock
from napari_gliocam.ui.reading.work import OWN

from .conftest import press_on_canvas, tiny_bundle

PATIENCE_MS = 120_000


@pytest.fixture
def reading(segmented: Any, qtbot: Any) -> Any:
    """The panel with a segmented case and the dock, measured."""
    dock = ReadingDock.show_in(segmented.viewer)
    made = SimpleNamespace(**vars(segmented), dock=dock, session=dock.session)
    settle(made, qtbot)
    return made


def settle(reading: Any, qtbot: Any) -> Any:
    """Wait until the figures are those of the result that is shown."""
    session, opened = reading.session, reading.opened

    def done() -> bool:
        last = session.last
        return (
            last is not None
            and session._depth is not None
            and not session._rest.isActive()
            and not any(session.jobs.running(n) for n in ("measure", "table", "compare", "row"))
            and np.array_equal(last.result.labels, opened.result.segmentation.labels)
        )

    qtbot.waitUntil(done, timeout=PATIENCE_MS)
    return session.last


def column(table: Any, index: int = 1) -> dict[str, str]:
    rows = range(table.rowCount())
    return {table.item(row, 0).text(): table.item(row, index).text() for row in rows}


def test_measures_follow_thresholds_and_brush(reading: Any, qtbot: Any) -> None:
    opened, view = reading.opened, reading.dock.measures_view
    expected = measure_labels(opened.result.painted.labels, opened.case.grid)
    assert column(view.table)["Tumour"] == f"{expected.case.tumour.ml:.2f} ml"
    before = column(view.table)

    reading.panel.session.set_settings(Thresholds(tumour_threshold=0.6))
    reading.panel.session.settle()
    settle(reading, qtbot)
    assert column(view.table)["Tumour"] != before["Tumour"]

    layer = reading.viewer.layers["segmentation"]
    where = tuple(axis[:40] for axis in np.nonzero(opened.case.brain & (layer.data == 0)))
    layer.data_setitem(where, 1)
    made = settle(reading, qtbot)
    assert made.result.painted == 40
    assert not view.painted_row.isHidden()
    painted = column(view.table)
    layer.undo()
    settle(reading, qtbot)
    assert column(view.table) != painted
    layer.redo()
    settle(reading, qtbot)
    assert column(view.table) == painted
    view.discard_button.click()
    assert settle(reading, qtbot).result.painted == 0
    assert view.painted_row.isHidden()


def test_old_figures_are_marked_at_once_until_the_new_ones_are_there(
    segmented: Any, qtbot: Any
) -> None:
    dock = ReadingDock.show_in(segmented.viewer)
    assert dock.measures_view.sentence.text() == "Measuring…"  # not "click Segment"
    assert dock.status.text() == "Measuring…"
    reading = SimpleNamespace(**vars(segmented), dock=dock, session=dock.session)
    settle(reading, qtbot)
    qtbot.waitUntil(lambda: not dock.status.text())
    segmented.panel.session.set_settings(Thresholds(tumour_threshold=0.6))
    assert dock.status.text() == "Measuring…"
    segmented.panel.session.settle()
    settle(reading, qtbot)
    qtbot.waitUntil(lambda: not dock.status.text())


def test_nothing_found_is_said(reading: Any, qtbot: Any) -> None:
    view = reading.dock.measures_view
    view.diameters_button.click()
    assert "diameters" in reading.viewer.layers
    reading.panel.session.set_settings(Thresholds(tumour_threshold=1.0))
    reading.panel.session.settle()
    settle(reading, qtbot)
    assert "No lesion found" in view.sentence.text()
    assert column(view.table)["Tumour, product"] == "0 mm²"
    assert not view.diameters_button.isEnabled()
    assert not len(reading.viewer.layers["diameters"].data)


def check_diameters(reading: Any) -> None:
    view, session = reading.dock.measures_view, reading.session
    view.diameters_button.click()
    long = session.last.measures.lesions[0].tumour.diameters.long
    layer = reading.viewer.layers["diameters"]
    np.testing.assert_allclose(layer.data[0], [long.start, long.end])
    assert f"tumour {long.mm:.1f} × " in layer.features["size"][0]
    ends = np.array([layer.data_to_world(point) for point in layer.data[0]])
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(long.mm, rel=1e-6)
    view.go_button.click()
    assert reading.dock.chart.line.value() == session.last.measures.case.tumour.diameters.slice
    view.diameters_button.click()
    assert "diameters" not in reading.viewer.layers


def check_chart(reading: Any) -> None:
    from napari_gliocam.ui.viewer.navigate import slice_in_view

    grid = reading.opened.case.grid
    reading.dock.chart.go(3.4)
    assert slice_in_view(reading.viewer, grid) == 3
    assert reading.dock.chart.line.value() == 3
    reading.dock.chart.go(1e6)
    assert slice_in_view(reading.viewer, grid) == grid.shape[0] - 1
    areas = reading.session.last.areas
    shown = reading.dock.chart.areas[1].getData()[1]
    np.testing.assert_allclose(shown, areas.core)


def check_steps(reading: Any) -> None:
    from napari_gliocam.ui.viewer.navigate import slice_in_view

    opened = reading.opened
    claimed = claims_of(opened.result.maps, settings=opened.settings)
    conflicts = np.flatnonzero((claimed == 3).any(axis=(1, 2)))
    assert conflicts.size
    reading.session.go_to(0)
    seen = []
    for _ in conflicts:
        press_on_canvas(reading.viewer, commands.NEXT_CONFLICT)
        seen.append(slice_in_view(reading.viewer, opened.case.grid))
    expected = conflicts[conflicts > 0].tolist()
    assert seen[: len(expected)] == expected
    press_on_canvas(reading.viewer, commands.NEXT_CONFLICT)
    assert "No slice above" in reading.state.message.text
    views = reading.dock.message_view, reading.panel.message_view
    assert all(not view.isHidden() and "No slice above" in view.text.text() for view in views)
    reading.dock.message_view.close_button.click()
    assert all(view.isHidden() for view in views)


def test_what_a_reading_shows(reading: Any) -> None:
    """One viewer for all that looks and changes nothing that lasts."""
    check_diameters(reading)
    check_chart(reading)
    check_steps(reading)
    check_voxel(reading)


def test_claims_of_every_method_follow_its_threshold(reading: Any, qtbot: Any) -> None:
    opened, view = reading.opened, reading.dock.overlap_view
    result = reading.viewer.layers["segmentation"]
    view.show_button.click()
    layer = reading.viewer.layers["core, edema, overlap"]
    assert not result.visible, "two colours would mix"
    np.testing.assert_array_equal(
        layer.data, claims_of(opened.result.maps, settings=opened.settings)
    )

    index = [view.methods.itemText(i) for i in range(view.methods.count())].index("Exit 2")
    view.methods.setCurrentIndex(index)
    view.methods.activated.emit(index)
    view.threshold.setValue(0.3)
    settle(reading, qtbot)
    low = replace(opened.settings, class_threshold=0.3)
    expected = claims_of(opened.result.maps, row="exit 2", settings=low)
    np.testing.assert_array_equal(layer.data, expected)
    assert opened.settings.class_threshold == 0.5, "the result keeps its own"
    rows = column(view.table)
    both = np.count_nonzero(expected == 3) * opened.case.grid.voxel_ml
    assert rows["Exit 2"] == f"{both:.1f}"
    assert set(rows) == set(OWN.values())

    reading.panel.session.set_settings(Thresholds(class_threshold=0.4))
    assert view.threshold.value() == pytest.approx(0.4)
    view.show_button.click()
    assert "core, edema, overlap" not in reading.viewer.layers
    assert result.visible


def test_a_method_that_needs_the_networks_is_added(
    reading: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_gliocam.ui.reading import work as reading_work

    maps, view = reading.opened.result.maps, reading.dock.overlap_view

    def explaining(case: Any, bundle: Any, device: str, method: str, title: str) -> ClassMaps:
        assert method == "layercam"
        return replace(maps, name=title)

    monkeypatch.setattr(reading_work, "explaining", explaining)
    view.add.setCurrentText("LayerCAM")
    view.add_button.click()
    assert view.add_button.text() == "Cancel"
    qtbot.waitUntil(lambda: "LayerCAM" in column(view.table), timeout=PATIENCE_MS)
    assert view.methods.currentText() == "LayerCAM"
    assert view.add_button.text() == "Add"


def test_agreement_with_the_expert_and_with_a_file(reading: Any, qtbot: Any, tmp_path: Any) -> None:
    opened, view = reading.opened, reading.dock.agreement_view
    figures = column(view.table)
    assert 0 < float(figures["tumour"]) < 1
    view.show_button.click()
    layer, expert = reading.viewer.layers["TP, FP, FN"], opened.case.expert.labels
    wrong = (opened.result.painted.labels > 0) != (expert > 0)
    np.testing.assert_array_equal(np.isin(layer.data, (2, 3)), wrong)

    path, grid = tmp_path / "other_seg.nii.gz", opened.case.grid
    nib.save(nib.Nifti1Image(grid.to_file(opened.result.painted.labels), grid.affine), path)
    reading.session.agreement.open(path)
    qtbot.waitUntil(lambda: view.others.currentText() == path.name, timeout=PATIENCE_MS)
    settle(reading, qtbot)
    assert column(view.table)["tumour"] == "1.000"
    assert not np.isin(layer.data, (2, 3)).any()

    elsewhere = grid.affine @ np.diag([2.0, 2, 2, 1])
    nib.save(nib.Nifti1Image(grid.to_file(opened.result.painted.labels), elsewhere), path)
    job = reading.session.agreement.open(path)
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert "another grid" in reading.state.message.text


def check_voxel(reading: Any) -> None:
    opened, session, view = reading.opened, reading.session, reading.dock.voxel_view
    voxel = tuple(np.argwhere(opened.result.painted.labels == 1)[0])
    position = reading.viewer.layers["segmentation"].data_to_world(voxel)
    found = session.read(position)
    assert found.voxel == voxel
    session.voxel_changed.emit(found)
    assert "core" in view.title.text()
    assert "tumour" in view.reason.text()
    assert ">" in view.reason.text()
    session.voxel_changed.emit(session.read((-1e6, 0.0, 0.0)))
    assert view.maps.isHidden()


def test_report_has_what_was_painted(reading: Any, qtbot: Any, tmp_path: Any) -> None:
    layer = reading.viewer.layers["segmentation"]
    where = tuple(axis[:9] for axis in np.nonzero(reading.opened.case.brain & (layer.data == 0)))
    layer.data_setitem(where, 1)
    reading.dock.heading.setText("Second <reading>")
    job = reading.dock.report(tmp_path)
    assert reading.state.message.text == "Writing the report…"
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    name = reading.opened.case.name
    page = (tmp_path / f"{name}_report.html").read_text()
    assert "Second &lt;reading&gt;" in page
    assert "not a medical device" in page
    assert json.loads((tmp_path / f"{name}_report.json").read_text())
    assert name in reading.state.message.text


@pytest.mark.parametrize("agreed", [True, False])
def test_an_earlier_report_is_replaced_only_after_a_question(
    reading: Any, monkeypatch: Any, tmp_path: Any, agreed: bool
) -> None:
    asked, written = [], []
    button = QMessageBox.StandardButton.Yes if agreed else QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "exec", lambda box: asked.append(box.text()) or button)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    monkeypatch.setattr(reading.dock, "report", written.append)
    reading.dock.report_button.click()
    assert (len(asked), len(written)) == (0, 1)
    name = f"{reading.opened.case.name}_report.csv"
    (tmp_path / name).write_text("mine")
    reading.dock.report_button.click()
    assert name in asked[0]
    assert len(written) == (2 if agreed else 1)


def test_it_follows_the_case_and_leaves_nothing(reading: Any, qtbot: Any) -> None:
    reading.dock.measures_view.diameters_button.click()
    reading.dock.overlap_view.show_button.click()
    before = {layer.name for layer in reading.viewer.layers} - {"diameters", "core, edema, overlap"}
    reading.session.close()
    assert {layer.name for layer in reading.viewer.layers} == before
    assert reading.viewer.layers["segmentation"].visible
    assert reading.session._on_move not in reading.viewer.mouse_move_callbacks


def test_without_a_case_it_waits(gliocam: Any) -> None:
    dock = ReadingDock.show_in(gliocam.viewer)
    assert "click Segment in the panel" in dock.measures_view.sentence.text()
    assert not dock.report_button.isEnabled()
    assert not dock.overlap_view.show_button.isEnabled()
    assert dock.report("nowhere") is None
    press_on_canvas(gliocam.viewer, commands.NEXT_CONFLICT)


@pytest.fixture
def sequences(reading: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The dock with a small network behind *Which sequence said so?*."""
    monkeypatch.setattr(work, "loaded", lambda path: tiny_bundle())
    reading.state.device = "cpu"
    return reading


def point_at(reading: Any, voxel: Any) -> None:
    """Move the mouse over the canvas, as napari passes it on."""
    at = reading.viewer.layers["segmentation"].data_to_world(voxel)
    reading.session._on_move(reading.viewer, SimpleNamespace(position=at))


def test_the_voxel_in_view_follows_result_and_case(reading: Any, qtbot: Any) -> None:
    view = reading.dock.voxel_view
    point_at(reading, tuple(np.argwhere(reading.opened.result.painted.labels == 1)[0]))
    exits = [row for row in range(view.maps.rowCount()) if "exit" in view.maps.item(row, 0).text()]
    before = [view.maps.item(row, 1).text() for row in exits]
    job = reading.panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert [view.maps.item(row, 1).text() for row in exits] != before, "the maps are others now"
    reading.viewer.layers.clear()
    assert view.title.text() == "Point at a voxel of the case."


def click_on(reading: Any, voxel: Any, *, drag: float = 0.0) -> None:
    """Press and release the mouse on the canvas, as napari passes it on."""
    at = reading.viewer.layers["segmentation"].data_to_world(voxel)
    event = SimpleNamespace(position=at, pos=np.array([50.0, 50.0]), type="mouse_press")
    steps = reading.session._on_press(reading.viewer, event)
    next(steps)
    event.type, event.pos = "mouse_move", event.pos + drag
    next(steps)
    event.type = "mouse_release"
    assert next(steps, None) is None


def test_sequences_of_a_voxel_are_computed_at_a_click(sequences: Any, qtbot: Any) -> None:
    session, view = sequences.session, sequences.dock.voxel_view
    voxel = tuple(np.argwhere(sequences.opened.result.painted.labels == 1)[0])
    click_on(sequences, voxel)
    assert not session.jobs.running("voxel"), "the tab is not in view"
    sequences.dock.tabs.setCurrentWidget(view)
    point_at(sequences, voxel)
    assert "Click on a voxel" in view.note.text()
    click_on(sequences, voxel, drag=40.0)
    assert not session.jobs.running("voxel"), "a drag moves the picture"
    click_on(sequences, voxel, drag=1.0)
    assert view.note.text() == f"Sequences on slice {voxel[0]}: computing…"
    qtbot.waitUntil(lambda: bool(view.shares.words), timeout=PATIENCE_MS)
    assert [words.split()[0] for words in view.shares.words] == ["core", "edema"]
    assert view.note.isHidden()
    click_on(sequences, voxel)
    assert not session.jobs.running("voxel"), "it is known"
    assert sequences.opened.sequences is None, "one slice says nothing of a lesion"
    session.sequences.follow(sequences.opened)
    assert "Click on a voxel" in view.note.text()


def test_cancelled_sequences_keep_the_slices_that_are_done(sequences: Any, qtbot: Any) -> None:
    session, view, opened = sequences.session, sequences.dock.measures_view, sequences.opened
    qtbot.waitUntil(view.sequences.button.isEnabled, timeout=PATIENCE_MS)
    view.sequences.button.click()
    job = session.jobs.running("sequences")
    job.progressed.connect(
        lambda progress: progress.done and view.sequences.cancel_button.click(),
    )
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert job.cancelling
    assert not opened.sequences.is_empty
    assert "Stopped early" in view.caution.text()
    assert view.shares.words
    kept = opened.sequences
    job = session.sequences.start()
    view.sequences.cancel_button.click()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert opened.sequences is kept


def test_sequences_are_refused_in_a_sentence(sequences: Any) -> None:
    maps = sequences.opened.result.maps
    maps.provenance["bundle"] = {"name": "another"}
    assert sequences.session.sequences.start() is None
    assert "of the bundle another" in sequences.state.message.text


def test_a_case_closed_while_sequences_are_shared_out(sequences: Any, qtbot: Any) -> None:
    sequences.session.sequences.start()
    sequences.viewer.layers.clear()
    assert sequences.session.jobs.running("sequences") is None
    assert sequences.dock.measures_view.sequences.currentIndex() == 0
    assert sequences.dock.voxel_view.note.isHidden()
