"""The dock "Train" in a real viewer, with tiny networks in a process of their own."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QMessageBox

pytest.importorskip("lightning")

from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.labels.tags import SKIPPED, Tag
from napari_gliocam.train.run.events import End, Event, TrainingReport
from napari_gliocam.ui.jobs.engine import engine, files
from napari_gliocam.ui.train import session as train_session

from ...small_case import make_case, write_case
from .conftest import press_on_canvas

COUNT = 4


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for number in range(COUNT):
        name = f"BraTS2021_0000{number}"
        write_case(make_case(name, seed=number), folder / name)
    return folder


@pytest.fixture
def train(
    make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The dock as the menu opens it; bundles go to a folder of the test."""
    bundles = tmp_path / "bundles"
    monkeypatch.setattr(train_session, "bundles_folder", lambda: bundles)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return open_dock(make_napari_viewer_proxy())


def open_dock(viewer: Any) -> Any:
    _, dock = viewer.window.add_plugin_dock_widget("napari-gliocam", "Train")
    dock = getattr(dock, "__wrapped__", dock)
    dock.session.state.device = "cpu"
    return dock


def press(dock: Any, key: str) -> None:
    """Press a key on the canvas."""
    press_on_canvas(dock.session.viewer, key)


def open_by_name(dock: Any, qtbot: Any, name: str) -> None:
    job = dock.session.open_by_name(name)
    assert dock.message_view.text.text() == f"Opening {name}…"
    qtbot.waitUntil(lambda: job.ended)


def open_folder(dock: Any, qtbot: Any, folder: Path, labels: Path) -> None:
    job = dock.session.open_folder(folder, labels)
    assert "Looking for cases" in dock.message_view.text.text()
    qtbot.waitUntil(lambda: job.ended)


def test_slices_are_tagged_with_keys_and_every_answer_is_on_disk(
    train: Any, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    view, tagging = train.tag_view, train.session.tagging
    assert not view.buttons["core"].isEnabled()
    labels = tmp_path / "labels.csv"
    open_folder(train, qtbot, cases, labels)
    assert view.list.topLevelItemCount() == COUNT
    open_by_name(train, qtbot, "BraTS2021_00001")
    number = tagging.here().number
    press(train, "C")
    assert view.buttons["core"].isChecked()
    press(train, "E")
    assert tagging.here().number == number
    assert tagging.here().tag == Tag(True, True)
    press(train, "C")
    tagging.step(1)
    view.buttons["neither"].click()
    press(train, "K")
    assert tagging.here().number == number + 3
    assert files().wait_idle(10)
    assert load_tags(labels)[0].cases == {
        "BraTS2021_00001": {number: Tag(edema=True), number + 1: Tag(), number + 2: SKIPPED}
    }
    assert view.list.topLevelItem(1).text(1) == "3 of 20"
    view.rest_button.click()
    assert view.list.topLevelItem(1).text(1) == "20 of 20"
    assert files().wait_idle(10)
    assert len(load_tags(labels)[0]) == 20
    tagging.step(-2)
    assert tagging.here().tag == Tag()
    press(train, "U")
    assert len(tagging.tags) == 3
    view.rest_button.click()
    assert files().wait_idle(10)
    open_folder(train, qtbot, cases, labels)  # reopened, nothing is lost
    assert len(tagging.tags) == 20
    assert not view.undo_button.isEnabled()


def test_core_and_edema_go_on_where_that_is_chosen_and_undo_goes_back(
    train: Any, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    view, tagging = train.tag_view, train.session.tagging
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    open_by_name(train, qtbot, "BraTS2021_00001")
    first = tagging.here().number
    view.advance.setChecked(True)
    press(train, "C")
    press(train, "E")
    assert tagging.here().number == first + 2
    press(train, "U")
    assert (tagging.here().number, tagging.here().tag) == (first + 1, None)
    view.undo_button.click()
    assert (tagging.here().number, tagging.here().tag) == (first, None)
    press(train, "U")
    assert "no label to undo" in train.message_view.text.text()


def test_labels_from_masks_ask_before_they_replace_those_given_by_hand(
    train: Any, qtbot: Any, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagging = train.session.tagging
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    open_by_name(train, qtbot, "BraTS2021_00001")
    number = tagging.here().number
    press(train, "K")
    press(train, "O")
    asked: list[str] = []

    def derive(title: str) -> None:
        def click(box: QMessageBox) -> int:
            asked.append(box.text())
            box.clickedButton = lambda: next(b for b in box.buttons() if b.text() == title)
            return 0

        monkeypatch.setattr(QMessageBox, "exec", click)
        job = train.session.derive()
        qtbot.waitUntil(lambda: job.ended, timeout=120_000)

    derive("Cancel")
    assert "2 slices have a label already" in asked[0]
    assert len(tagging.tags) == 2
    derive("Keep mine, fill in the rest")
    assert tagging.tags.of("BraTS2021_00001")[number] == SKIPPED
    assert len(tagging.tags) == 20 * COUNT
    derive("Replace all")
    assert tagging.tags.of("BraTS2021_00001")[number] != SKIPPED
    press(train, "U")
    assert tagging.tags.of("BraTS2021_00001")[number] == SKIPPED


def test_a_wrong_csv_is_a_sentence_and_tags_come_from_masks(
    train: Any, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("case,slice,core,edema\nx,1,1,0\nx,1,0,0\n")
    job = train.session.load_labels(wrong)
    qtbot.waitUntil(lambda: job.ended)
    assert "lines 2 and 3 contradict" in train.message_view.text.text()
    train.tag_view.derive_button.click()
    qtbot.waitUntil(lambda: len(train.session.tagging.tags) > 0, timeout=120_000)
    assert len(train.session.tagging.tags.cases) == COUNT
    assert "labelled from the masks" in train.message_view.text.text()


def test_nothing_is_trained_without_cases_or_labels(
    train: Any, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    train.choice_view.check.button.click()
    assert "Open a folder" in train.message_view.text.text()
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    train.choice_view.check.button.click()
    assert "No slice is tagged" in train.message_view.text.text()
    assert not train.choice_view.start_button.isEnabled()


def test_advanced_is_folded_and_shows_what_the_recipe_says(train: Any) -> None:
    view, state = train.choice_view, train.session.state
    state.devices = (("auto", "Automatic"), ("cpu", "CPU"))
    assert view.devices.currentText() == "CPU"
    state.device = "auto"  # in the panel
    assert view.devices.currentText() == "Automatic"
    assert view.advanced.isHidden()
    weights = ("weight_class", "weight_separate", "weight_agree")
    assert [view.form.fields[name].value for name in weights] == [1.0, 1.0, 5.0]
    assert view.form.fields["rate"].native.text().startswith("0.0002")
    assert not view.stages["pretrain"].isChecked()
    assert view.stages["classifier"].isChecked()
    view.what.setCurrentIndex(1)
    assert not view.stages["classifier"].isChecked()
    view.form.fields["weight_agree"].value = 2.0
    view.form.fields["epochs"].value = 3
    view.case_names.setChecked(False)
    request = train.session.request(view.choices())
    classes = request.recipe["aggregate"]["classes"]
    assert (classes["weight_agree"], classes["fit"]["epochs"]) == (2.0, 3)
    assert request.recipe["classifier"]["tumour"]["fit"]["epochs"] == 0
    assert not request.case_names


@pytest.fixture
def tiny(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny bundle in use; made on the thread that owns torch."""
    folder = tmp_path / "tiny"

    def make() -> None:
        import torch

        from napari_gliocam.nets.bundle import save_bundle
        from napari_gliocam.nets.bundle_info import BundleInfo
        from napari_gliocam.nets.gliocam import GliocamNet

        torch.manual_seed(0)
        info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0)
        save_bundle(GliocamNet(width=4), info, folder)

    engine().run(make)
    train.session.use(folder)
    recipe_of = train_session.recipe_of_choice

    def without_rehearsal(choice: Any) -> Any:
        recipe = recipe_of(choice)
        return replace(recipe, data=replace(recipe.data, rehearsal=0))

    monkeypatch.setattr(train_session, "recipe_of_choice", without_rehearsal)
    return folder


def test_journey_tag_train_stop_resume_use_segment(
    train: Any, tiny: Path, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    train.tag_view.derive_button.click()
    qtbot.waitUntil(lambda: len(train.session.tagging.tags) > 0, timeout=120_000)
    open_by_name(train, qtbot, "BraTS2021_00000")
    press(train, "C")

    view, progress = train.choice_view, train.progress_view
    view.form.fields["epochs"].value = 20  # long enough to be stopped on a quick machine
    view.form.fields["batch"].value = 8
    assert not view.start_button.isEnabled()
    view.check.button.click()
    qtbot.waitUntil(view.start_button.isEnabled, timeout=120_000)
    assert "4 cases with" in view.summary.text()
    assert "CPU" in view.summary.text()

    ends: list[End] = []
    train.session.event_received.connect(lambda e: ends.append(e) if isinstance(e, End) else None)
    train.session._previewed = time.monotonic()  # no preview before the stop
    view.start_button.click()
    assert progress.isVisibleTo(train)
    assert not view.start_button.isEnabled()
    qtbot.waitUntil(lambda: ", epoch " in progress.stage.text(), timeout=240_000)
    progress.stop_button.click()
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=120_000)
    assert ends[0].state == "stopped", ends

    train.session._previewed = 0.0
    assert view.resume_button.isVisibleTo(train)
    view.resume_button.click()
    qtbot.waitUntil(lambda: len(ends) == 2, timeout=240_000)
    assert ends[1].state == "done", ends
    assert progress.stage.text() == "Done"
    assert "Stopped" not in train.message_view.text.text(), "the message of the run before"
    assert list(progress.chart.curves)[-1] == "aggregate.classes"
    assert progress.table.rowCount() >= 3
    assert not view.resume_button.isVisibleTo(train)
    assert train.session.state.current.result is not None  # the newest weights on the open case

    assert not progress.pictures.isHidden()
    assert "before, after" in progress.pictures.caption.text()
    progress.use_button.click()
    state = train.session.state
    assert state.bundle.name == "my-bundle"
    _, panel = train.session.viewer.window.add_plugin_dock_widget("napari-gliocam", "Gliocam")
    panel = getattr(panel, "__wrapped__", panel)
    job = panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=120_000)
    assert state.current.result.maps.provenance["bundle"]["name"] == "my-bundle"

    names = [train.bundle_view.list.item(i, 0).text() for i in range(3)]
    assert names[2] == "my-bundle"
    folder = train.bundle_view._bundles[2].path
    train.session.rename(folder, "renamed")
    assert state.bundle.name == "renamed"
    train.session.remove(folder)
    assert train.bundle_view.list.rowCount() == 2
    assert state.bundle.name == "gliocam-real-1"
    assert not folder.exists()


def test_a_training_that_dies_can_be_gone_on_with_from_another_window(
    train: Any, tiny: Path, qtbot: Any, cases: Path, tmp_path: Path
) -> None:
    open_folder(train, qtbot, cases, tmp_path / "labels.csv")
    train.tag_view.derive_button.click()
    qtbot.waitUntil(lambda: len(train.session.tagging.tags) > 0, timeout=120_000)
    assert files().wait_idle(10)
    events: list[Event] = []
    train.session.event_received.connect(events.append)
    choices = train.choice_view.choices()
    assert train.session.train(choices)
    qtbot.waitUntil(lambda: any(isinstance(e, TrainingReport) for e in events), timeout=240_000)

    other = open_dock(train.session.viewer)  # another window finds it at work
    assert other.session.process.running
    qtbot.waitUntil(lambda: other.progress_view.stop_button.isEnabled())

    os.kill(train.session.process._process.pid, 9)
    qtbot.waitUntil(lambda: isinstance(events[-1], End), timeout=120_000)
    assert events[-1].state == "failed"
    assert "Resume goes on" in train.message_view.text.text()
    assert train.choice_view.resume_button.isVisibleTo(train)
    assert not train.session.train(choices)
    assert "already" in train.message_view.text.text()
