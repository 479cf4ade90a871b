"""Keys, navigation, manifest, preferences."""

from __future__ import annotations

from dataclasses import asdict
from fnmatch import fnmatchcase
from importlib.resources import files as resources
from itertools import permutations
from pathlib import Path
from string import ascii_uppercase, digits
from typing import Any

import numpy as np
import pytest
from napari.utils.key_bindings import coerce_keybinding
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_gliocam.refine.parameters import METHODS, Refinement
from napari_gliocam.ui.jobs.engine import files
from napari_gliocam.ui.plugin import commands, preference
from napari_gliocam.ui.viewer import navigate

from .conftest import press_on_canvas

MANIFEST = PluginManifest.from_file(str(resources("napari_gliocam") / "napari.yaml"))


def test_lesion_slices_are_stepped_through(segmented: Any) -> None:
    viewer, opened = segmented.viewer, segmented.opened
    slices = np.flatnonzero(opened.result.thresholded.lesion_voxels())
    segmented.panel.session.go_to(0)
    seen = []
    for _ in slices:
        press_on_canvas(viewer, commands.NEXT_LESION)
        seen.append(navigate.slice_in_view(viewer, opened.case.grid))
    assert seen == list(slices)
    press_on_canvas(viewer, commands.NEXT_LESION)
    assert segmented.state.message.text == "No slice above this one shows tumour."
    press_on_canvas(viewer, commands.PREVIOUS_LESION)
    assert segmented.state.message is None, "it spoke of a slice that is not in view any more"
    assert navigate.slice_in_view(viewer, opened.case.grid) == slices[-2]
    segmented.panel.results_view.previous_button.click()
    assert navigate.slice_in_view(viewer, opened.case.grid) == slices[-3]


def test_expert_labels_are_followed_before_there_is_a_result(opened: Any) -> None:
    opened.panel.session.go_to(0)
    press_on_canvas(opened.viewer, commands.NEXT_LESION)
    expert = opened.opened.case.expert.labels.any(axis=(1, 2))
    first = int(np.flatnonzero(expert)[0])
    assert navigate.slice_in_view(opened.viewer, opened.opened.case.grid) == first


def test_overlay_is_toggled(segmented: Any) -> None:
    labels = segmented.viewer.layers["segmentation"]
    press_on_canvas(segmented.viewer, commands.TOGGLE_OVERLAY)
    assert not labels.visible
    press_on_canvas(segmented.viewer, commands.TOGGLE_OVERLAY)
    assert labels.visible


def test_modalities_are_cycled(opened: Any) -> None:
    viewer = opened.viewer
    seen = []
    for _ in range(5):
        press_on_canvas(viewer, commands.CYCLE_MODALITY)
        seen += [layer.name for layer in viewer.layers if layer.visible]
    assert seen == ["T1ce", "T2", "T1", "FLAIR", "T1ce"]


@pytest.mark.parametrize("dock", [w.display_name for w in MANIFEST.contributions.widgets])
def test_keys_of_the_canvas_work_beside_every_dock(opened: Any, dock: str) -> None:
    if dock == "Train":
        pytest.importorskip("lightning")
    viewer = opened.viewer
    viewer.window.add_plugin_dock_widget("napari-gliocam", dock)
    press_on_canvas(viewer, commands.CYCLE_MODALITY)
    assert [layer.name for layer in viewer.layers if layer.visible] == ["T1ce"]
    navigate.go_to_slice(viewer, opened.opened.case.grid, 0)
    press_on_canvas(viewer, commands.NEXT_LESION)
    assert navigate.slice_in_view(viewer, opened.opened.case.grid) > 0


@pytest.mark.parametrize("dock", [w.display_name for w in MANIFEST.contributions.widgets])
def test_every_key_holds_beside_every_dock(segmented: Any, dock: str) -> None:
    if dock == "Train":
        pytest.importorskip("lightning")
    segmented.viewer.window.add_plugin_dock_widget("napari-gliocam", dock)
    bound = {getattr(commands, name) for name in dir(commands) if name.isupper()} - {True, False}
    for key in sorted({*bound, *ascii_uppercase, *digits}):
        press_on_canvas(segmented.viewer, key)
    assert segmented.state.open_cases == (segmented.opened,)


@pytest.mark.parametrize(("first", "second"), [*permutations(("menu", "button", "napari"), 2)])
@pytest.mark.parametrize("widget", MANIFEST.contributions.widgets, ids=lambda w: w.display_name)
def test_a_dock_is_one_whichever_way_it_is_opened(
    make_napari_viewer_proxy: Any, widget: Any, first: str, second: str
) -> None:
    from napari._app_model import get_app_model

    if widget.display_name == "Train":
        pytest.importorskip("lightning")
    viewer = make_napari_viewer_proxy()
    window = getattr(viewer, "__wrapped__", viewer).window
    (command,) = (c for c in MANIFEST.contributions.commands if c.id == widget.command)
    dock = import_python_name(command.python_name)

    def menu() -> None:
        get_app_model().commands.execute_command(widget.command).result()

    ways = {
        "menu": menu,
        "button": lambda: dock.show_in(viewer),
        "napari": lambda: window.add_plugin_dock_widget("napari-gliocam", widget.display_name),
    }
    ways[first]()
    (made,) = window._qt_window.findChildren(dock)
    ways[second]()
    assert window._qt_window.findChildren(dock) == [made]
    window.remove_dock_widget(made)
    ways[second]()
    (again,) = window._qt_window.findChildren(dock)
    assert again is not made, "a dock that was closed is opened anew"


def test_a_panel_inside_another_widget_is_no_dock_of_napari(gliocam: Any) -> None:
    window = getattr(gliocam.viewer, "__wrapped__", gliocam.viewer).window
    before = dict(window._wrapped_dock_widgets)
    window.remove_dock_widget(gliocam.panel)
    assert not window._wrapped_dock_widgets.keys() & before.keys()
    inside = type(gliocam.panel)(gliocam.viewer)
    outside = QWidget()
    inside.setParent(outside)
    assert not window._wrapped_dock_widgets
    inside.setParent(None)


@pytest.mark.parametrize("dock", [w.display_name for w in MANIFEST.contributions.widgets])
def test_long_tooltips_are_wrapped(segmented: Any, dock: str) -> None:
    if dock == "Train":
        pytest.importorskip("lightning")
    holder, _ = segmented.viewer.window.add_plugin_dock_widget("napari-gliocam", dock)
    tips = {child.toolTip() for child in holder.widget().findChildren(QWidget)}
    assert [tip for tip in tips if len(tip) > 80 and not tip.startswith("<p>")] == []


def test_keys_do_nothing_without_a_case(make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    for key in ("NEXT_LESION", "PREVIOUS_LESION", "TOGGLE_OVERLAY", "CYCLE_MODALITY"):
        press_on_canvas(viewer, getattr(commands, key))
    commands.next_lesion()
    assert len(viewer.layers) == 0


def test_commands_work_on_the_active_viewer(opened: Any) -> None:
    commands.cycle_modality()
    assert [layer.name for layer in opened.viewer.layers if layer.visible] == ["T1ce"]


@pytest.mark.parametrize("index", [0, 1, 7, 19])
def test_slice_and_part_in_view_agree(opened: Any, index: int) -> None:
    grid = opened.opened.case.grid
    navigate.go_to_slice(opened.viewer, grid, index)
    assert navigate.slice_in_view(opened.viewer, grid) == index
    assert navigate.part_in_view(opened.viewer, grid) == (slice(index, index + 1),)
    layer = opened.viewer.layers["FLAIR"].__wrapped__
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data[index])


def test_nothing_is_in_view_in_3d_or_outside(opened: Any) -> None:
    grid = opened.opened.case.grid
    opened.viewer.dims.ndisplay = 3
    assert navigate.part_in_view(opened.viewer, grid) is None
    opened.viewer.dims.ndisplay = 2
    opened.viewer.add_points(np.array([[900.0, 0, 0]]))
    opened.viewer.dims.set_point(0, 900.0)
    assert navigate.part_in_view(opened.viewer, grid) is None
    assert navigate.slice_in_view(opened.viewer, grid) is None


def test_manifest_names_things_that_exist() -> None:
    assert MANIFEST.name == "napari-gliocam"
    for command in MANIFEST.contributions.commands:
        assert command.python_name
        module, _, attribute = command.python_name.partition(":")
        assert callable(getattr(__import__(module, fromlist=[attribute]), attribute))


def test_every_command_runs_from_the_palette(
    opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case_folder: Path, qtbot: Any
) -> None:
    from napari._app_model import get_app_model

    viewer = getattr(opened.viewer, "__wrapped__", opened.viewer)
    asked: list[str] = []

    def answer(path: Path) -> Any:
        return lambda *given, **more: asked.append(given[1]) or (str(path), "")

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer(tmp_path / "labels"))
    monkeypatch.setattr(
        QFileDialog, "getExistingDirectory", lambda *given: answer(case_folder)(*given)[0]
    )
    palette = viewer.window._qt_window._command_palette
    palette.update_context(viewer.window._qt_window)
    found = [c for c in palette._list.all_commands if c.id.startswith("napari-gliocam")]
    names = {c.id.partition(".")[2] for c in found if "." in c.id}
    docks = {w.command.partition(".")[2] for w in MANIFEST.contributions.widgets}
    samples = {s.command.partition(".")[2] for s in MANIFEST.contributions.sample_data}
    every = {c.id.partition(".")[2] for c in MANIFEST.contributions.commands}
    assert names | docks | samples >= every
    viewer.layers.selection.active = viewer.layers["expert labels"]
    for command in sorted(found, key=lambda c: c.id.endswith("close_case")):
        if command.enablement is not None:
            assert command.enablement.eval(palette._list._app_model_context)
        get_app_model().commands.execute_command(command.id).result()
        qtbot.wait(1)
    qtbot.waitUntil(lambda: (tmp_path / "labels.nii.gz").exists())
    assert len(asked) == 2
    qtbot.waitUntil(lambda: files().idle)
    qtbot.waitUntil(lambda: "BraTS2021_00000" in [o.case.name for o in opened.state.open_cases])


def test_titles_say_whose_commands_they_are() -> None:
    for command in MANIFEST.contributions.commands:
        assert command.title.startswith("Gliocam: ")
        assert command.short_title


def test_manifest_lists_the_keys_that_are_bound() -> None:
    keys = {b.command.partition(".")[2]: b.key for b in MANIFEST.contributions.keybindings}
    bound = {name.lower(): getattr(commands, name) for name in dir(commands) if name.isupper()}
    names = {"next_lesion", "previous_lesion", "toggle_overlay", "cycle_modality"}
    names |= {"flip_refinement", "next_conflict", "previous_conflict", "toggle_outline"}
    names |= {"next_doubt", "previous_doubt", "next_doubtful_lesion"}
    assert set(keys) == names
    for name in names:
        assert coerce_keybinding(keys[name]) == coerce_keybinding(bound[name])


def test_case_reader_is_preferred_where_nobody_else_is(gliocam: Any, preferences: Any) -> None:
    assert set(preferences.extension2reader.values()) == {"napari-gliocam"}
    assert {"*.nii", "*.nii.gz"} <= set(preferences.extension2reader)
    for name in ("a.nii", "a.NII", "a.nii.gz", "a.NII.GZ", "a.Nii.gz"):
        assert any(fnmatchcase(name, pattern) for pattern in preferences.extension2reader)
    preferences.extension2reader = {"*.gz": "other", "*.nii": "other"}
    preference.prefer_case_reader()
    assert preferences.extension2reader["*.nii"] == "other"
    assert "*.nii.gz" not in preferences.extension2reader
    assert not any("[gG][zZ]" in pattern for pattern in preferences.extension2reader)


def test_defaults_of_the_preferences(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = MANIFEST.contributions.configurations["defaults"].properties
    assert properties["refinement"].enum == ["default", *METHODS]
    assert {name: one.default for name, one in properties.items()} == asdict(preference.Defaults())
    assert preference.Defaults().wanted == Refinement()
    assert preference.Defaults(refinement="none").wanted == Refinement.nothing()
    assert preference.Defaults(refinement="crf").wanted.method == "crf"
