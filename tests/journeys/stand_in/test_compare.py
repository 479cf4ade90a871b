"""The dock "Compare CAMs" in a real viewer, with a small network and its own thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QApplication, QLabel

from napari_gliocam.cams.compare.ensemble import Ensemble
from napari_gliocam.errors import DeviceError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.ui.compare.dock import CompareDock
from napari_gliocam.ui.compare.figures import Figures
from napari_gliocam.ui.compare.layout import shape_for, zoom_for
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import engine
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.planes import show_plane
from napari_gliocam.ui.viewer.side_views import toggle_side_views

from ...small_case import make_case
from .conftest import tiny_bundle

#: Image, map, the expert's outline, the map's outline.
STRIDE = 4


@pytest.fixture
def compare(opened: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A case, the panel and the dock beside it."""
    monkeypatch.setattr(work, "loaded", lambda path: tiny_bundle())
    opened.state.device = "cpu"
    opened.panel.session.go_to(11)
    opened.dock = CompareDock.show_in(opened.viewer)
    qtbot.waitUntil(lambda: opened.dock.choice_view.run.button.isEnabled(), timeout=20_000)

    def run(*methods: str) -> Any:
        opened.dock.choice_view.choose(*methods)
        opened.dock.choice_view.classes["edema"].setChecked(True)
        job = opened.dock.run()
        assert job is not None
        return job

    opened.run = run
    return opened


@pytest.fixture
def compared(compare: Any, qtbot: Any) -> Any:
    """Two methods of core and edema on the slice in view."""
    job = compare.run("gradcam", "layercam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    return compare


def looks(viewer: Any) -> tuple[Any, ...]:
    """What closing must bring back."""
    grid = viewer.canvas.grid
    return (
        [(layer.name, layer.visible) for layer in viewer.layers],
        viewer.layers.selection.active.name,
        (grid.enabled, grid.stride, tuple(grid.shape), grid.spacing),
        viewer.scene.camera.zoom,
        tuple(viewer.scene.camera.center),
    )


def cells(dock: Any) -> dict[Any, Any]:
    """The volume of each picture by method and class."""
    return {(m.name, t): m.of(t) for m in dock.session.maps for t in m.targets}


def check_grid(compared: Any) -> None:
    viewer, dock = compared.viewer, compared.dock
    assert set(cells(dock)) == {
        (method, target) for method in ("GradCAM 4", "LayerCAM 4") for target in ("core", "edema")
    }
    assert viewer.canvas.grid.enabled
    assert viewer.canvas.grid.stride == STRIDE
    assert tuple(viewer.canvas.grid.shape) == (2, 2)
    shown = [layer for layer in viewer.layers if layer.visible]
    assert shown == dock.session.layers.cells()
    assert len(shown) == STRIDE * 4
    assert shown[0].name == "T1ce, GradCAM 4 core"
    assert shown[1].name.startswith("GradCAM 4\ncore, Dice 0.")
    assert shown[1].name_overlay.visible
    marks = viewer.canvas.overlays
    assert marks["gliocam_left"].visible
    assert not marks["gliocam_top"].visible, "the name is there"
    for group in range(4):  # what lies in one cell belongs together
        layers = shown[STRIDE * group :][:STRIDE]
        tags = [layer.metadata["napari-gliocam"].what for layer in layers]
        assert len({key for key, _ in tags}) == 1
        assert [part for _, part in tags] == ["image", "map", "expert", "outline"]
        truth = compared.opened.case.expert.labels == (1 if tags[0][0][1] == "core" else 2)
        np.testing.assert_array_equal(layers[2].data, truth)


def check_figures(compared: Any) -> None:
    view = compared.dock.figures_view
    assert view.expert.rowCount() == view.result.rowCount() == 4
    assert view.pairs.rowCount() == 2
    maps = cells(compared.dock)
    a, b = (maps[method, "core"][11] > 0.5 for method in ("GradCAM 4", "LayerCAM 4"))
    truth = compared.opened.case.expert.labels[11] == 1
    pair = next(row for row in view.pair_rows if row.target == "core")
    assert pair.iou == pytest.approx((a & b).sum() / (a | b).sum())
    row = next(r for r in view.rows if (r.method, r.target) == ("GradCAM 4", "core"))
    assert row.dice == pytest.approx(2 * (a & truth).sum() / (a.sum() + truth.sum()))
    assert row.iou_result is None
    edema = maps["GradCAM 4", "edema"][11] > 0.5
    assert row.overlap == pytest.approx((a & edema).sum() / (a | edema).sum())


def check_sorting(compared: Any) -> None:
    table = compared.dock.figures_view.result
    table.sortItems(1)
    values = [float(table.item(line, 1).text()) for line in range(table.rowCount())]
    assert values == sorted(values)


def test_what_a_comparison_shows(compared: Any, qtbot: Any, tmp_path: Path) -> None:
    """One viewer for all that looks and changes nothing that lasts."""
    check_grid(compared)
    check_figures(compared)
    check_sorting(compared)
    check_distances(compared, qtbot)
    check_export(compared, tmp_path, qtbot)
    check_keys(compared)


def test_threshold_moves_the_outline_and_the_figures(compared: Any, qtbot: Any) -> None:
    dock = compared.dock
    before = {row.method: row.volume_ml for row in dock.figures_view.rows if row.target == "core"}
    dock.thresholds_view.sliders["GradCAM 4"].setValue(0.2)
    outline = dock.session.layers.find(compared.opened, "cell", (("GradCAM 4", "core"), "outline"))
    volume = cells(dock)["GradCAM 4", "core"]
    qtbot.waitUntil(lambda: np.array_equal(outline.data, volume > np.float32(0.2)))
    qtbot.waitUntil(lambda: dock.figures_view.rows[0].threshold == 0.2)
    after = {row.method: row.volume_ml for row in dock.figures_view.rows if row.target == "core"}
    assert after["GradCAM 4"] > before["GradCAM 4"]
    assert after["LayerCAM 4"] == before["LayerCAM 4"]


def test_another_plane_shows_no_figure_of_an_axial_slice(compared: Any, qtbot: Any) -> None:
    layer = compared.dock.session.layers.cells()[1]
    assert "core, Dice" in layer.name
    show_plane(compared.viewer, "coronal")
    assert layer.name.splitlines()[1] == "core, axial slice 11"
    assert "axial plane" in compared.dock.message_view.text.text()
    show_plane(compared.viewer, "axial")
    assert "core, Dice" in layer.name


def test_thresholds_are_searched_by_pixel_masks_and_taken_by_a_click(
    compared: Any, qtbot: Any
) -> None:
    dock = compared.dock
    search = dock.figures_view.search
    search.target.setCurrentText("core")
    search.button.click()
    qtbot.waitUntil(lambda: not search.plot.isHidden(), timeout=20_000)
    methods = [maps.name for maps in dock.session.maps]
    search.threshold_requested.emit(methods[1], 0.3)
    qtbot.waitUntil(lambda: dock.session.threshold(methods[1]) == 0.3)
    assert dock.session.threshold(methods[0]) == 0.5
    dock.session.close_comparison()
    assert search.plot.isHidden()


def test_closing_restores_the_viewer(compare: Any, qtbot: Any) -> None:
    before = looks(compare.viewer)
    job = compare.run("gradcam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    assert looks(compare.viewer) != before
    compare.dock.figures_view.close_button.click()
    # The marks of the sides come in a turn of their own.
    qtbot.waitUntil(lambda: compare.viewer.canvas.overlays["gliocam_top"].visible)
    assert looks(compare.viewer) == before
    assert compare.dock.figures_view.expert.rowCount() == 0


def test_closing_the_dock_restores_the_viewer(compare: Any, qtbot: Any) -> None:
    before = looks(compare.viewer)
    job = compare.run("gradcam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    compare.viewer.window.remove_dock_widget(compare.dock)
    assert looks(compare.viewer) == before


def test_cancelled_scorecam_keeps_what_it_has(
    compare: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(*_: Any) -> None:
        from napari_gliocam.cams.methods import scorecam

        monkeypatch.setattr(scorecam, "CHUNK", {"cpu": 1})

    engine().run(few)
    dock = compare.dock
    told: list[str] = []

    def on_progress(progress: Any, place: Any, left: Any) -> None:
        told.append(dock.choice_view.run.stage.toolTip())
        if progress is not None and progress.done >= 3:
            dock.session.jobs.cancel("compare")

    dock.session.runs.progressed.connect(on_progress)
    job = compare.run("scorecam")
    qtbot.waitUntil(lambda: job.ended, timeout=60_000)
    assert any("channel" in text for text in told)
    maps = cells(dock)
    assert maps
    assert not any(one.complete for one in dock.session.maps)
    assert any(volume.any() for volume in maps.values())
    names = [layer.name for layer in compare.viewer.layers]
    assert any(name.endswith("stopped early") for name in names)
    assert "cancelled" in dock.message_view.text.text()
    assert dock.choice_view.run.currentIndex() == 0


def test_error_is_one_sentence_and_changes_nothing(
    compare: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(bundle: Any) -> None:
        raise DeviceError("The device is gone; choose another.")

    monkeypatch.setattr(work, "loaded", fail)
    before = looks(compare.viewer)
    job = compare.run("gradcam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    assert compare.dock.message_view.text.text() == "The device is gone; choose another."
    assert looks(compare.viewer) == before
    assert compare.dock.choice_view.run.currentIndex() == 0


def test_nothing_chosen_is_said(compare: Any) -> None:
    compare.dock.choice_view.choose()
    assert compare.dock.run() is None
    message = compare.dock.message_view
    assert "Nothing is chosen" in message.text.text()
    assert not message.isHidden()
    assert compare.panel.message_view.isHidden(), "it is the dock's own"
    message.close_button.click()
    assert message.isHidden()


def test_a_method_becomes_the_result_and_back(compared: Any, qtbot: Any) -> None:
    dock, opened = compared.dock, compared.opened
    job = compared.panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert [la for la in compared.viewer.layers if la.visible] == dock.session.layers.cells()
    own, settings = opened.result.thresholded.labels.copy(), opened.settings
    dock.thresholds_view.use_buttons["LayerCAM 4"].click()
    maps = cells(dock)
    core, edema = (maps["LayerCAM 4", target] > 0.5 for target in ("core", "edema"))
    np.testing.assert_array_equal(opened.result.thresholded.labels > 0, core | edema)
    result = dock.session.layers.result(opened)
    np.testing.assert_array_equal(result.data, opened.result.thresholded.labels)
    row = next(r for r in dock.figures_view.rows if r.method == "LayerCAM 4")
    assert row.iou_result is not None
    assert not dock.thresholds_view.undo_button.isHidden()
    dock.thresholds_view.undo_button.click()
    np.testing.assert_array_equal(opened.result.thresholded.labels, own)
    assert opened.settings == settings
    dock.figures_view.close_button.click()
    assert result.visible


def test_a_method_is_the_result_also_without_segment(compared: Any) -> None:
    compared.dock.thresholds_view.use_buttons["GradCAM 4"].click()
    compared.dock.figures_view.close_button.click()
    assert compared.viewer.layers["segmentation"].visible
    assert compared.panel.maps_view.buttons["aggregate", "core"].isEnabled()
    assert not compared.panel.maps_view.buttons["exit 1", "core"].isEnabled()


def test_an_ensemble_of_no_class_cannot_be_the_result(compared: Any, qtbot: Any) -> None:
    session, use = compared.dock.session, compared.dock.thresholds_view.ensemble_use
    session.set_ensemble(Ensemble("intersection"))
    assert use.isEnabled()
    for key in (("GradCAM 4", "edema"), ("LayerCAM 4", "core")):
        layer = next(la for la, tag in session.layers.tagged() if (key, "map") == tag.what)
        compared.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: [m.targets for m in session.maps] == [("core",), ("edema",)])
    assert session.ensemble.maps.targets == ()
    assert not use.isEnabled()


def test_another_case_closes_the_comparison(compared: Any) -> None:
    other = OpenCase(make_case("other"))
    compared.panel.session.layers.add_case(other)
    assert not compared.dock.session.layers.cells()
    assert not compared.viewer.canvas.grid.enabled
    shown = [layer for layer in compared.viewer.layers if layer.visible]
    assert {layer.metadata["napari-gliocam"].opened for layer in shown} == {other}


def test_another_case_stops_a_run(compare: Any) -> None:
    job = compare.run("scorecam")
    compare.panel.session.layers.add_case(OpenCase(make_case("other")))
    assert job.cancelling
    assert "small was stopped" in compare.dock.message_view.text.text()
    assert compare.dock.choice_view.run.currentIndex() == 0
    assert not compare.dock.session.layers.cells()


def check_export(compared: Any, tmp_path: Path, qtbot: Any) -> None:
    job = compared.dock.export(tmp_path / "figures.csv")
    qtbot.waitUntil(lambda: job.ended)
    lines = (tmp_path / "figures.csv").read_text().splitlines()
    assert lines[0] == "figure,class,method,other,value"
    assert sum(line.startswith("iou,") for line in lines) == 2
    assert any(line.startswith("threshold,core,GradCAM 4,,0.5") for line in lines)


def test_pictures_are_as_large_as_the_canvas_allows() -> None:
    square = (100.0, 100.0)
    assert shape_for(4, 1, (800.0, 800.0), square) == (2, 2)
    assert shape_for(4, 1, (200.0, 800.0), square) == (1, 4)
    assert shape_for(3, 2, (900.0, 600.0), square) == (3, 2)
    assert zoom_for((2, 2), (800.0, 400.0), square) == pytest.approx(2.0, rel=0.1)


def test_figures_compare_only_slices_that_both_have() -> None:
    case = make_case()
    asked = np.ones(case.grid.shape[0], dtype=bool)
    half = asked.copy()
    half[12:] = False
    volume = case.brain.astype(np.float32)
    figures = Figures(case, asked)
    for name, made in (("a", asked), ("b", half)):
        volumes = {"core": volume * made[:, None, None]}
        spoken_for = tuple(np.flatnonzero(made))
        figures.add(ClassMaps.of_targets(case.grid, volumes, name=name, spoken_for=spoken_for))
    _, (pair,) = figures.tables()
    assert pair.iou == 1.0


# ---- layers, scales, ensembles, distances


def test_layers_and_scales_are_further_cells(compare: Any, qtbot: Any) -> None:
    choice = compare.dock.choice_view
    choice.layers[3].setChecked(True)
    choice.scales.setCurrentIndex(2)
    choice.choose("gradcam", "average")
    job = compare.dock.run()
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    assert [method for method, _ in cells(compare.dock)] == [
        *("GradCAM 3", "GradCAM 4", "GradCAM, multi-scale 3", "GradCAM, multi-scale 4"),
        *("Average of exits", "Average of exits, multi-scale"),
    ]
    assert np.prod(compare.viewer.canvas.grid.shape) == 6


def test_a_score_before_the_layer_is_refused_in_one_sentence(compare: Any, qtbot: Any) -> None:
    compare.dock.choice_view.score.setCurrentText("Exit 2")
    job = compare.run("gradcam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    assert "Exit 2 does not depend on layer 4" in compare.dock.message_view.text.text()
    assert not compare.dock.session.maps


def test_an_ensemble_follows_the_thresholds(compared: Any, qtbot: Any) -> None:
    dock, opened = compared.dock, compared.opened
    view = dock.thresholds_view
    view.ensemble.setCurrentText("Intersection")
    view.ensemble.activated.emit(view.ensemble.currentIndex())
    made = dock.session.ensemble.maps
    assert len(dock.session.layers.cells()) == STRIDE * 6
    for value in (0.5, 0.2):
        view.sliders["GradCAM 4"].setValue(value)
        maps = cells(dock)
        wanted = (maps["GradCAM 4", "core"][11] > np.float32(value)) & (
            maps["LayerCAM 4", "core"][11] > 0.5
        )
        qtbot.waitUntil(lambda w=wanted: np.array_equal(made.core[11], w))
    qtbot.waitUntil(lambda: dock.figures_view.rows[0].threshold == 0.2)
    row = next(
        r for r in dock.figures_view.rows if r.method.startswith("Ens") and r.target == "core"
    )
    truth = opened.case.expert.labels[11] == 1
    both = made.core[11] > 0
    assert row.dice == pytest.approx(2 * (both & truth).sum() / (both.sum() + truth.sum()))
    view.ensemble_use.click()
    np.testing.assert_array_equal(
        opened.result.thresholded.labels[11] > 0, both | (made.edema[11] > 0)
    )
    view.ensemble.setCurrentText("None")
    view.ensemble.activated.emit(0)
    assert len(dock.session.layers.cells()) == STRIDE * 4


def check_distances(compared: Any, qtbot: Any) -> None:
    from napari_gliocam.measure import hausdorff95

    view, opened = compared.dock.figures_view, compared.opened
    qtbot.waitUntil(lambda: all(row.hd95 is not None for row in view.rows), timeout=20_000)
    row = next(r for r in view.rows if (r.method, r.target) == ("LayerCAM 4", "edema"))
    mask = cells(compared.dock)["LayerCAM 4", "edema"][11] > 0.5
    truth = opened.case.expert.labels[11] == 2
    assert row.hd95 == pytest.approx(hausdorff95(mask, truth, opened.case.grid.spacing[1:]))


# ---- beside the other panel


def test_what_the_other_panel_shows_waits_behind_the_comparison(compared: Any, qtbot: Any) -> None:
    job = compared.panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    compared.panel.maps_view.buttons["aggregate", "core"].click()
    shown = [layer for layer in compared.viewer.layers if layer.visible]
    assert shown == compared.dock.session.layers.cells()
    assert "waits behind the comparison" in compared.dock.message_view.text.text()
    compared.dock.figures_view.close_button.click()
    assert compared.viewer.layers["core map"].visible
    assert compared.panel.maps_view.buttons["aggregate", "core"].isChecked()


def _in_tabs(compare: Any, qtbot: Any) -> tuple[Any, Any, Any]:
    """Show the window at 1280 x 800; return it with the docks of panel and comparison, in tabs."""
    main = compare.dock.window()
    main.resize(1280, 800)
    main.show()
    qtbot.waitUntil(lambda: main.width() == 1280)
    panel, dock = compare.panel.holder, compare.dock.holder
    qtbot.waitUntil(lambda: panel in main.tabifiedDockWidgets(dock))
    return main, panel, dock


def test_a_modality_beside_the_canvas_leaves_the_tabs_and_the_window_as_they_are(
    compare: Any, qtbot: Any
) -> None:
    """The panel was torn out of its tabs, below the comparison, and the window grew."""
    main, panel, dock = _in_tabs(compare, qtbot)
    dock.raise_()
    qtbot.waitUntil(lambda: panel.visibleRegion().isEmpty())
    qtbot.wait(200)  # until the canvas has its width beside the dock in front
    before = main.width(), main.centralWidget().width()
    toggle_side_views(compare.viewer, "modality")
    qtbot.wait(200)
    assert panel in main.tabifiedDockWidgets(dock)
    assert panel.visibleRegion().isEmpty()
    assert main.width() == before[0]
    toggle_side_views(compare.viewer, "modality")
    qtbot.waitUntil(lambda: (main.width(), main.centralWidget().width()) == before)


def test_the_tab_in_front_stays_there_where_another_panel_is_below(
    compare: Any, qtbot: Any
) -> None:
    _, panel, dock = _in_tabs(compare, qtbot)
    below = QLabel("below")
    compare.viewer.window.add_dock_widget(below, area="right")
    dock.raise_()
    qtbot.waitUntil(lambda: panel.visibleRegion().isEmpty())
    qtbot.waitUntil(lambda: not below.visibleRegion().isEmpty())
    toggle_side_views(compare.viewer, "modality")
    qtbot.wait(200)
    assert not dock.visibleRegion().isEmpty()
    assert panel.visibleRegion().isEmpty()
    toggle_side_views(compare.viewer, "modality")


def check_keys(compared: Any) -> None:
    from napari_gliocam.ui.plugin import commands

    def names(part: str) -> set[str]:
        layers = compared.dock.session.layers
        return {
            layer.name.partition(",")[0]
            for layer in layers.cells()
            if layer.metadata["napari-gliocam"].what[1] == part and layer.visible
        }

    commands.toggle_overlay(compared.viewer)
    assert not names("map")
    commands.toggle_overlay(compared.viewer)
    assert names("map")
    assert names("image") == {"T1ce", "FLAIR"}
    commands.cycle_modality(compared.viewer)
    assert len(names("image")) == 1
    assert compared.dock.choice_view.modality.currentIndex() == 1


def test_a_refined_result_comes_back_refined(compared: Any, qtbot: Any) -> None:
    from napari_gliocam.refine.parameters import ComponentParameters, Refinement

    opened, panel = compared.opened, compared.panel
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    panel.session.set_refinement(Refinement(components=ComponentParameters()))
    qtbot.waitUntil(lambda: opened.result.current is not None, timeout=20_000)
    refined = opened.result.current
    compared.dock.thresholds_view.use_buttons["LayerCAM 4"].click()
    assert opened.result.refined is not refined
    compared.dock.thresholds_view.undo_button.click()
    assert opened.result.current is refined
    np.testing.assert_array_equal(panel.session.layers.result(opened).data, refined.labels)


def test_segment_after_a_method_has_its_own_thresholds_again(compared: Any, qtbot: Any) -> None:
    opened, before = compared.opened, compared.opened.settings
    compared.dock.thresholds_view.use_buttons["LayerCAM 4"].click()
    assert opened.settings != before
    job = compared.panel.segment()
    qtbot.waitUntil(lambda: job.ended)
    assert opened.settings == before
    assert opened.kept is None


def test_undo_without_segment_leaves_no_result(compared: Any) -> None:
    before = compared.opened.settings
    compared.dock.thresholds_view.use_buttons["GradCAM 4"].click()
    compared.dock.thresholds_view.undo_button.click()
    assert compared.opened.result is None
    assert compared.opened.settings == before
    assert "segmentation" not in compared.viewer.layers
    assert not compared.panel.maps_view.buttons["aggregate", "core"].isEnabled()


def test_a_deleted_layer_takes_its_cell_along(compared: Any, qtbot: Any) -> None:
    layers = compared.dock.session.layers
    compared.viewer.layers.remove(layers.cells()[0])
    qtbot.waitUntil(lambda: len(layers.cells()) == STRIDE * 3)
    assert len(compared.dock.figures_view.rows) == 3


def test_removing_every_layer_closes_the_comparison(compared: Any, qtbot: Any) -> None:
    compared.viewer.layers.clear()
    qtbot.waitUntil(lambda: not compared.viewer.canvas.grid.enabled)
    assert compared.state.current is None
    assert compared.dock.session.figures is None


def test_another_run_keeps_zoom_and_what_was_before(compared: Any, qtbot: Any) -> None:
    compared.viewer.scene.camera.zoom = 7.0
    compared.panel.session.go_to(10)
    job = compared.run("gradcam", "layercam")
    qtbot.waitUntil(lambda: job.ended, timeout=30_000)
    assert compared.viewer.scene.camera.zoom == 7.0
    assert all(m.spoken_for == (10,) for m in compared.dock.session.maps)
    compared.dock.figures_view.close_button.click()
    assert not compared.viewer.canvas.grid.enabled


@pytest.fixture
def tested(compared: Any, qtbot: Any) -> Any:
    """Every map of the comparison put to the test on the slice in view."""
    job = compared.dock.session.test("slice")
    qtbot.waitUntil(lambda: job.ended, timeout=60_000)
    return compared


def bars(dock: Any) -> dict[Any, Any]:
    """The bar on each picture."""
    return dock.session.grid._bars._bars


def test_shares_of_the_sequences_are_drawn_in_each_cell(tested: Any) -> None:
    dock = tested.dock
    assert bars(dock).keys() == {(m.name, t) for m in dock.session.maps for t in m.targets}
    keys = list(bars(dock))
    canvas = bars(dock)[keys[0]].parentWidget()
    for place, key in enumerate(keys):  # two methods below each other, core and edema beside
        bar, (row, column) = bars(dock)[key], divmod(place, 2)
        assert not bar.isHidden()
        assert {words.split()[0] for words in bar.words} == {"class", "map"}
        assert all(f" {m} " in words for words in bar.words for m in ("T1c", "T2", "F"))
        cell = canvas.height() // 2, canvas.width() // 2
        assert row * cell[0] < bar.y() < bar.geometry().bottom() <= (row + 1) * cell[0]
        assert column * cell[1] < bar.x() < bar.geometry().right() <= (column + 1) * cell[1]
    before = bars(dock)[keys[-1]].pos()
    size = canvas.size()
    canvas.resize(size.width() - 60, size.height() - 80)
    QApplication.sendEvent(canvas, QResizeEvent(canvas.size(), size))  # it was never shown
    assert bars(dock)[keys[-1]].pos() != before
    dock.session.close_comparison()
    assert not bars(dock)


def test_cancel_of_the_tests_keeps_what_is_there(tested: Any, qtbot: Any) -> None:
    dock = tested.dock
    rows = dock.session.trust.rows
    assert len(rows) == 4
    dock.session.test("case")
    assert dock.session.trust.rows == rows, "those before, until there are others"
    job = dock.session.jobs.running("test")
    dock.figures_view.trust.run.cancel_button.click()
    qtbot.waitUntil(lambda: job.ended, timeout=60_000)
    assert dock.session.trust.rows
    assert dock.figures_view.trust.rows == dock.session.trust.rows
    assert dock.figures_view.trust.run.currentIndex() == 0
    assert bars(dock)


def test_a_case_closed_while_its_maps_are_tested_leaves_nothing(tested: Any, qtbot: Any) -> None:
    dock = tested.dock
    job = dock.session.test("case")
    tested.viewer.layers.clear()
    qtbot.waitUntil(lambda: engine().idle, timeout=60_000)
    assert job.cancelling
    assert dock.session.trust.rows == []
    assert not bars(dock)
    assert dock.figures_view.trust.run.currentIndex() == 0
    assert not dock.figures_view.trust.run.button.isEnabled()
