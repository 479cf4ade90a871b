"""The real panel in a real viewer, with a stand-in for the networks."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.ui.compare.dock import CompareDock
from napari_gliocam.ui.model.state import OpenCase, state_of, unwrap
from napari_gliocam.ui.plugin import commands
from napari_gliocam.ui.viewer.side_views import SideViews

from ...small_case import make_case, make_maps


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_empty_panel_says_that_no_case_is_open(gliocam: Any) -> None:
    panel = gliocam.panel
    assert panel.case_view.cases.currentText() == "No case is open"
    assert not panel.run_view.segment_button.isEnabled()
    assert not panel.results_view.save_button.isEnabled()
    assert panel.run_view.origin.text() == "Made for a test."
    assert "not a medical device" in panel.run_view.notice.toolTip()
    assert panel.segment() is None
    assert panel.save("nowhere.nii.gz") is None


def test_case_comes_up_as_layers(opened: Any) -> None:
    viewer, panel = opened.viewer, opened.panel
    assert names(viewer) == ["T1", "T2", "T1ce", "FLAIR", "expert labels"]
    assert [layer.name for layer in viewer.layers if layer.visible] == ["FLAIR"]
    assert viewer.layers.selection.active.name == "FLAIR"
    assert panel.case_view.cases.currentText() == "small"
    assert panel.run_view.segment_button.isEnabled()
    assert panel.results_view.next_button.isEnabled()
    assert not panel.results_view.save_button.isEnabled()


def test_segment_adds_labels_and_a_map_comes_when_it_is_shown(segmented: Any) -> None:
    viewer, opened = segmented.viewer, segmented.opened
    assert not [name for name in names(viewer) if name.endswith("map")]
    labels = viewer.layers["segmentation"]
    expected = apply_thresholds(opened.result.maps, Thresholds()).labels
    np.testing.assert_array_equal(labels.data, expected)
    assert labels.visible
    assert [n for n in names(viewer) if n != "threshold"][-1] == "segmentation"
    assert viewer.layers.selection.active.name == "FLAIR"
    assert segmented.panel.results_view.save_button.isEnabled()
    volumes = segmented.panel.results_view.volumes
    assert volumes["core"].text() == f"{opened.result.thresholded.volumes_ml['core']:.1f} ml"
    assert opened.result.volumes_ml["tumour"] == pytest.approx(
        np.count_nonzero(expected) * opened.case.grid.voxel_ml
    )


def test_a_segmentation_network_is_a_choice(opened: Any, qtbot: Any) -> None:
    panel, state, viewer = opened.panel, opened.state, opened.viewer
    assert panel.run_view.networks_row.isHidden()
    state.bundle = replace(state.bundle, segmenter=SegmenterDesign())
    networks = panel.run_view.networks
    titles = [networks.itemText(i) for i in range(networks.count())]
    assert titles == ["Segmentation network", "Maps", "Both, side by side"]
    networks.setCurrentIndex(1)
    networks.activated.emit(1)
    assert state.request_for(state.current).networks == "maps"
    state.events.devices.emit(state.devices)
    assert networks.currentText() == "Maps", "still the one that will segment"
    networks.activated.emit(2)
    assert state.request_for(state.current).networks == "bundle"
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    networks.activated.emit(1)
    assert "Click Segment" in state.message.text, "the labels in view are of the choice before"
    compare = CompareDock.show_in(viewer)  # it is open already
    assert compare.choice_view.request().methods == ("segmenter", "guided")
    state.bundle = replace(state.bundle, segmenter=None)
    assert state.networks == "bundle"
    assert compare.choice_view.request().methods == ("guided",)


def test_bar_shows_real_counts_and_the_stage(opened: Any, stand_in: Any, qtbot: Any) -> None:
    stand_in.steps, stand_in.delay = 20, 0.02
    panel = opened.panel
    panel.session.set_refinement(Refinement.nothing())
    job = panel.segment()
    assert panel.run_view.stack.currentIndex() == 1
    qtbot.waitUntil(lambda: opened.state.progress is not None and opened.state.progress.done > 3)
    done = opened.state.progress.done
    assert panel.run_view.stage.text() == f"Running the networks: {done} of 20 slices"
    assert (panel.run_view.bar.value(), panel.run_view.bar.maximum()) == (done, 20)
    assert panel.segment() is None, "one run at a time"
    qtbot.waitUntil(lambda: job.ended)
    assert panel.run_view.stack.currentIndex() == 0


def test_thresholds_follow_the_slider_without_a_network(
    segmented: Any, stand_in: Any, qtbot: Any
) -> None:
    viewer, panel, opened = segmented.viewer, segmented.panel, segmented.opened
    labels = viewer.layers["segmentation"]
    array = labels.data
    before = opened.result.volumes_ml
    for value in np.linspace(0.4, 0.2, 15):
        panel.threshold_view.tumour.setValue(value)
        qtbot.wait(2)
    panel.threshold_view.class_.setValue(0.31)
    wanted = Thresholds(tumour_threshold=0.2, class_threshold=0.31)
    qtbot.waitUntil(lambda: opened.settings == wanted and not opened.result.thresholded.pending)
    assert stand_in.runs == 1
    assert labels.data is array, "the array is written in place"
    np.testing.assert_array_equal(array, apply_thresholds(opened.result.maps, wanted).labels)
    qtbot.waitUntil(lambda: opened.result.volumes_ml != before)
    assert opened.result.volumes_ml == apply_thresholds(opened.result.maps, wanted).volumes_ml


def test_slice_in_view_is_first(segmented: Any) -> None:
    viewer, opened, session = segmented.viewer, segmented.opened, segmented.panel.session
    index = 9
    session.go_to(index)
    shown = []
    viewer.layers["segmentation"].events.set_data.connect(lambda e: shown.append(1))
    wanted = Thresholds(tumour_threshold=0.1, class_threshold=0.2)
    session.set_settings(wanted)
    expected = apply_thresholds(opened.result.maps, wanted).labels
    np.testing.assert_array_equal(opened.result.thresholded.labels[index], expected[index])
    assert opened.result.thresholded.pending, "the rest comes later"
    assert shown
    session.go_to(index + 1)
    np.testing.assert_array_equal(opened.result.thresholded.labels[index + 1], expected[index + 1])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_every_viewing_plane_is_live(segmented: Any, order: tuple[int, int, int]) -> None:
    viewer, opened, session = segmented.viewer, segmented.opened, segmented.panel.session
    viewer.dims.order = order
    axis = order[0]
    index = opened.case.grid.shape[axis] // 2 + 1
    viewer.dims.set_point(
        axis, opened.case.grid.origin[axis] + index * opened.case.grid.spacing[axis]
    )
    wanted = Thresholds(tumour_threshold=0.15, class_threshold=0.25)
    session.set_settings(wanted)
    expected = apply_thresholds(opened.result.maps, wanted).labels
    np.testing.assert_array_equal(
        opened.result.thresholded.labels.take(index, axis), expected.take(index, axis)
    )


def test_exclusive_off_shows_where_both_claim(segmented: Any, qtbot: Any) -> None:
    panel, opened = segmented.panel, segmented.opened
    panel.threshold_view.exclusive.setChecked(False)
    qtbot.waitUntil(lambda: not opened.result.thresholded.pending)
    assert 3 in opened.result.thresholded.labels
    panel.threshold_view.reset()
    assert not opened.settings.exclusive
    panel.threshold_view.exclusive.setChecked(True)
    panel.threshold_view.gate.setChecked(False)
    assert opened.settings == Thresholds(gate=False)


def test_maps_are_toggles_and_follow_the_layers(segmented: Any) -> None:
    viewer, panel, opened = segmented.viewer, segmented.panel, segmented.opened
    button = panel.maps_view.buttons["exit 2", "edema"]
    button.click()
    layer = viewer.layers["edema exit 2"]
    assert layer.visible
    assert tuple(layer.contrast_limits) == (0.0, 1.0)
    np.testing.assert_array_equal(layer.data, opened.result.maps.volume("exit 2", "edema"))
    layer.visible = False
    assert not button.isChecked(), "the eye in the layer list counts too"
    button.click()
    assert layer.visible
    viewer.layers.remove("edema exit 2")
    assert not button.isChecked()
    button.click()
    assert "edema exit 2" in names(viewer)
    nothing = panel.maps_view.buttons["guided", "tumour"]
    assert not nothing.isEnabled()
    assert "no guided tumour map" in nothing.toolTip()


def test_every_map_can_be_shown(segmented: Any) -> None:
    panel, viewer = segmented.panel, segmented.viewer
    for button in panel.maps_view.buttons.values():
        button.click()
    there = [button for button in panel.maps_view.buttons.values() if button.isEnabled()]
    assert len(panel.session.layers.shown_maps(segmented.opened)) == len(there) >= 17
    assert {str(u) for layer in viewer.layers for u in layer.units} == {"millimeter"}
    assert viewer.layers.units is not None
    assert [n for n in names(viewer) if n != "threshold"][-1] == "segmentation"


def test_user_may_delete_any_layer(segmented: Any, qtbot: Any) -> None:
    viewer, panel, opened = segmented.viewer, segmented.panel, segmented.opened
    panel.maps_view.buttons["aggregate", "core"].click()
    for name in ("segmentation", "core map", "FLAIR", "expert labels"):
        viewer.layers.remove(name)
    panel.threshold_view.tumour.setValue(0.3)
    qtbot.waitUntil(
        lambda: not opened.result.thresholded.pending and opened.settings.tumour_threshold == 0.3
    )
    assert "segmentation" in names(viewer), "moving a threshold brings the labels back"
    panel.maps_view.buttons["aggregate", "core"].click()
    assert viewer.layers["core map"].visible
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert "FLAIR" not in names(viewer)
    viewer.layers.clear()
    assert panel.state.current is None
    assert panel.case_view.cases.currentText() == "No case is open"
    assert panel.results_view.volumes["core"].text() == "–"


def test_new_result_keeps_what_the_user_set(segmented: Any, qtbot: Any) -> None:
    viewer, panel = segmented.viewer, segmented.panel
    panel.maps_view.buttons["aggregate", "core"].click()
    labels, core = viewer.layers["segmentation"], viewer.layers["core map"]
    labels.opacity, labels.visible, core.opacity = 0.9, False, 0.2
    panel.maps_view.buttons["exit 1", "core"].click()
    old = viewer.layers["core exit 1"].data
    panel.session.set_settings(Thresholds(tumour_threshold=0.25))
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert (labels.opacity, labels.visible, core.opacity) == (0.9, False, 0.2)
    assert not np.array_equal(viewer.layers["core exit 1"].data, old)
    assert segmented.opened.settings.tumour_threshold == 0.25
    expected = apply_thresholds(segmented.opened.result.maps, segmented.opened.settings).labels
    np.testing.assert_array_equal(labels.data, expected)


def test_a_shown_map_that_the_new_result_lacks_goes(segmented: Any) -> None:
    viewer, opened = segmented.viewer, segmented.opened
    segmented.panel.maps_view.buttons["exit 1", "core"].click()
    maps = replace(opened.result.maps, trace=None)
    opened.use(maps, opened.settings)
    segmented.panel.session.layers.show_result(opened)
    assert "core exit 1" not in names(viewer)
    assert "segmentation" in names(viewer)


def test_libraries_are_spared_from_garbage_collection_while_a_panel_is_open(
    segmented: Any, qtbot: Any
) -> None:
    session = segmented.panel.session
    session._spare_libraries()
    assert gc.get_freeze_count() > 100_000
    session.close_case()
    assert gc.get_freeze_count() == 0, "a case that was open then can be collected"


def test_cancel_leaves_layers_as_they_were(segmented: Any, stand_in: Any, qtbot: Any) -> None:
    viewer, panel = segmented.viewer, segmented.panel
    before = [(layer, layer.data) for layer in viewer.layers]
    stand_in.steps, stand_in.delay = 500, 0.01
    job = panel.segment()
    qtbot.waitUntil(lambda: panel.state.progress is not None and panel.state.progress.done > 0)
    panel.run_view.cancel_button.click()
    assert panel.run_view.stage.text() == "Cancelling…"
    qtbot.waitUntil(lambda: job.ended, timeout=500)
    assert stand_in.closed == 1
    assert [layer.name for layer, _ in before] == names(viewer)
    assert all(layer.data is data for layer, data in before)
    assert panel.run_view.stack.currentIndex() == 0
    assert "nothing changed" in panel.message_view.text.text()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CaseError("flair.nii.gz is bad; export it again."), "flair.nii.gz is bad; export"),
        (ValueError("inside"), "Segment failed unexpectedly (ValueError)"),
        (MemoryError(), "ran out of memory; close other programs"),
    ],
)
def test_failure_is_one_sentence_in_the_panel(
    segmented: Any, stand_in: Any, qtbot: Any, error: Exception, sentence: str
) -> None:
    viewer, panel = segmented.viewer, segmented.panel
    before = [layer.data for layer in viewer.layers]
    stand_in.error = error
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert sentence in panel.message_view.text.text()
    assert "\n" not in panel.message_view.text.text()
    assert not panel.message_view.isHidden()
    assert all(a is layer.data for a, layer in zip(before, viewer.layers, strict=True))
    panel.message_view.close_button.click()
    assert panel.message_view.isHidden()


def test_removing_the_case_while_it_runs(opened: Any, stand_in: Any, qtbot: Any) -> None:
    stand_in.steps = 30
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: opened.state.progress is not None)
    opened.viewer.layers.clear()
    qtbot.waitUntil(lambda: job.ended)
    assert len(opened.viewer.layers) == 0
    assert opened.opened.result is None


def test_another_case_while_one_runs(opened: Any, stand_in: Any, qtbot: Any) -> None:
    viewer, panel = opened.viewer, opened.panel
    stand_in.steps = 30
    job = panel.segment()
    qtbot.waitUntil(lambda: opened.state.progress is not None)
    second = OpenCase(make_case("second", seed=1))
    panel.session.layers.add_case(second)
    assert opened.state.current is second
    assert "(small)" in panel.run_view.stage.text(), "the case of the run, which is out of sight"
    assert not viewer.layers["FLAIR · small"].visible, "the first is set aside"
    qtbot.waitUntil(lambda: job.ended)
    assert second.result is None
    assert opened.opened.result is not None, "its own case gets the result"
    assert not panel.session.layers.result(opened.opened).visible
    assert panel.results_view.volumes["core"].text() == "–"
    assert "Segment finished small" in opened.state.message.text
    panel.case_view.cases.activated.emit(0)
    assert opened.state.current is opened.opened
    assert opened.state.message is None
    assert viewer.layers["FLAIR · small"].visible
    assert panel.session.layers.result(opened.opened).visible
    assert not viewer.layers["FLAIR · second"].visible
    assert panel.results_view.volumes["core"].text() != "–"


def choice_of(panel: Any, opened: OpenCase, target: str, source: str) -> tuple[Any, int]:
    from napari_gliocam.case import Modality

    held = opened.assignment()[Modality(source)]
    return Modality(target), panel._sources.index(held)


def test_result_of_a_changed_case_is_not_mixed_up(opened: Any, qtbot: Any) -> None:
    panel, opened = opened.panel, opened.opened
    before = opened.case
    job = panel.segment()
    panel.case_view.modality_requested.emit(*choice_of(panel, opened, "t1", "t2"))
    qtbot.waitUntil(lambda: job.ended)
    assert opened.result.case is before
    assert opened.case is not before


def test_each_case_keeps_its_own_thresholds(segmented: Any) -> None:
    panel = segmented.panel
    panel.threshold_view.tumour.setValue(0.3)
    panel.threshold_view.drag_ended.emit()
    panel.session.set_settings(Thresholds(tumour_threshold=0.3))
    panel.session.layers.add_case(OpenCase(make_case("second")))
    assert panel.threshold_view.tumour.value() == pytest.approx(0.40)
    panel.case_view.cases.activated.emit(0)
    assert panel.threshold_view.tumour.value() == pytest.approx(0.30)


def test_a_message_stays_where_no_case_is_closed(gliocam: Any) -> None:
    gliocam.state.fail("photo.png holds no case.")
    gliocam.viewer.add_image(np.zeros((4, 5)))
    assert gliocam.state.message is not None


def test_without_a_case_the_thresholds_are_those_of_the_next_one(segmented: Any) -> None:
    view = segmented.panel.threshold_view
    usual = view.settings()
    view.tumour.setValue(0.7)
    segmented.viewer.layers.clear()
    assert view.settings() == usual


def test_the_gate_of_a_case_without_a_result_is_its_own(segmented: Any) -> None:
    panel = segmented.panel
    panel.session.set_settings(Thresholds(gate_probability=0.1))
    assert panel.threshold_view.gate.text() == "Hide class where slice p < 0.1"
    panel.session.layers.add_case(OpenCase(make_case("second")))
    limit = segmented.state.current.settings.gate_probability
    assert panel.threshold_view.gate.text() == f"Hide class where slice p < {limit:g}"


def test_probabilities_of_the_slice_in_view(segmented: Any) -> None:
    panel, opened = segmented.panel, segmented.opened
    for index in (3, 12):
        panel.session.go_to(index)
        assert panel.results_view.slice_label.text() == f"Slice {index}"
        text = panel.results_view.probabilities["edema"].text()
        assert text == f"p = {opened.result.maps.probabilities[index, 2]:.2f}"


def test_segment_goes_to_the_lesion_when_none_is_in_view(opened: Any, qtbot: Any) -> None:
    opened.panel.session.go_to(0)
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    index = int(np.argmax(opened.opened.result.thresholded.lesion_voxels()))
    assert opened.panel.results_view.slice_label.text() == f"Slice {index}"


def test_panel_can_be_closed_and_opened_again(segmented: Any, qtbot: Any) -> None:
    viewer = segmented.viewer
    viewer.window.remove_dock_widget("all")
    qtbot.wait(50)
    assert state_of(viewer).panels == 0
    viewer.layers["segmentation"].visible = False
    viewer.layers.remove("T1")
    _, panel = viewer.window.add_plugin_dock_widget("napari-gliocam", "Gliocam")
    panel = getattr(panel, "__wrapped__", panel)
    assert panel.state is segmented.state
    assert panel.results_view.volumes["core"].text().endswith(" ml")
    panel.maps_view.buttons["aggregate", "core"].click()
    assert viewer.layers["core map"].visible


def test_closing_the_panel_while_it_runs(opened: Any, stand_in: Any, qtbot: Any) -> None:
    stand_in.steps = 1000
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: opened.state.progress is not None)
    opened.viewer.window.remove_dock_widget("all")
    qtbot.waitUntil(lambda: job.ended, timeout=2000)
    assert stand_in.closed == 1
    assert opened.state.running is None
    assert len(opened.viewer.layers) == 5


def test_closing_the_window_while_it_runs(opened: Any, stand_in: Any, qtbot: Any) -> None:
    stand_in.steps = 1000
    opened.panel.segment()
    qtbot.waitUntil(lambda: opened.state.progress is not None)
    # the fixture closes the window, then checks that nothing of it is left


def test_save_failure_is_a_sentence(segmented: Any, tmp_path: Any, qtbot: Any) -> None:
    job = segmented.panel.save(tmp_path / "result.txt")
    qtbot.waitUntil(lambda: job.ended)
    assert "does not end in .nii.gz or .nii" in segmented.panel.message_view.text.text()


def test_bundle_that_is_none(gliocam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Any = None) -> None:
        raise GliocamError("That is no bundle; choose another folder.")

    monkeypatch.setattr("napari_gliocam.nets.bundle_info.read_bundle_info", refuse)
    before = gliocam.state.bundle
    gliocam.panel.session.set_bundle("somewhere")
    assert gliocam.state.bundle is before
    assert "That is no bundle" in gliocam.panel.message_view.text.text()


def test_fits_a_screen_of_900_pixels(segmented: Any) -> None:
    from qtpy.QtWidgets import QScrollArea

    body = segmented.panel.findChild(QScrollArea).widget()
    assert body.sizeHint().height() < 900 - 90
    assert body.minimumSizeHint().width() < 340


def test_maps_of_the_stand_in_are_real(case: Any) -> None:
    maps = make_maps(case)
    labels = apply_thresholds(maps, Thresholds()).labels
    assert {1, 2} <= set(np.unique(labels))


def test_suggested_name_is_not_that_of_the_expert_labels(
    gliocam: Any, case_folder: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = gliocam.panel
    for job in (panel.open(case_folder), panel.segment):
        job = job() if callable(job) else job
        qtbot.waitUntil(lambda job=job: job.ended)
    asked = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *given: asked.append(given[2]) or (given[2], "")
    )
    panel.results_view.save_button.click()
    assert asked == [str(case_folder / "BraTS2021_00000_gliocam_seg.nii.gz")]
    qtbot.waitUntil(lambda: (case_folder / "BraTS2021_00000_gliocam_seg.nii.gz").exists())


def test_closing_asks_while_something_runs_or_strokes_are_not_saved(
    segmented: Any, stand_in: Any, qtbot: Any, tmp_path: Any
) -> None:
    viewer, panel = segmented.viewer, segmented.panel
    window = getattr(viewer, "__wrapped__", viewer).window
    tasks = window._task_status_manager.get_status
    stand_in.steps = 50
    job = panel.segment()
    assert tasks() == ["Gliocam: Segment is under way"]
    job.cancel()
    qtbot.waitUntil(lambda: job.ended)
    assert tasks() == []
    layer = panel.session.layers.result(segmented.opened)
    layer.data_setitem((np.array([3]), np.array([20]), np.array([20])), 1)
    assert tasks() == ["Gliocam: Strokes painted by hand are not saved"]
    job = panel.save(tmp_path / "small_gliocam_seg.nii.gz")
    qtbot.waitUntil(lambda: job.ended)
    assert tasks() == []
    assert viewer.title == "small – napari"


def test_map_has_a_colour_bar_and_the_contour_of_its_threshold(segmented: Any) -> None:
    viewer, panel, opened = segmented.viewer, segmented.panel, segmented.opened
    index = int(np.argmax(opened.result.thresholded.lesion_voxels()))
    panel.session.go_to(index)
    result = viewer.layers["segmentation"]
    assert result.contour == 0
    panel.maps_view.buttons["aggregate", "core"].click()
    assert result.contour == 1, "a filled segmentation would mix its colours with the map's"
    assert viewer.layers["core map"].colorbar.visible
    layer = viewer.layers["threshold"]
    for threshold in (0.5, 0.3):
        panel.session.set_settings(Thresholds(class_threshold=threshold))
        expected = opened.result.maps.core[index] > threshold
        np.testing.assert_array_equal(layer.data[index] > 0, expected)
    panel.session.go_to(index + 1)
    assert layer.data[index].max() == 0
    panel.maps_view.buttons["aggregate", "core"].click()
    assert not layer.visible
    assert result.contour == 0
    panel.results_view.outline.click()
    assert result.contour == 1


def test_buttons_of_the_side_views_look_pressed_while_they_are_on(opened: Any, qtbot: Any) -> None:
    buttons = opened.panel.case_view.side_views

    def pressed() -> list[str]:
        return [kind for kind, button in buttons.items() if button.isChecked()]

    buttons["planes"].click()
    assert pressed() == ["planes"]
    buttons["modality"].click()
    assert pressed() == ["modality"]
    commands.show_three_planes(opened.viewer)
    assert pressed() == ["planes"]
    buttons["planes"].click()
    assert pressed() == []
    commands.show_side_by_side(opened.viewer)
    views = unwrap(opened.viewer).window._qt_window.findChildren(SideViews)
    next(one for one in views if one.holder is not None).holder.destroyOnClose()
    assert pressed() == []
