"""Each view of the dock Train, built alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QMessageBox

from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.library import Listed
from napari_gliocam.nets.segmenters.design import ARCHITECTURES
from napari_gliocam.progress import Progress
from napari_gliocam.train.labels.tags import SKIPPED, Tag
from napari_gliocam.train.recipe.choice import PAPERS, WHAT, recipe_of_choice
from napari_gliocam.train.recipe.maps import read_recipe
from napari_gliocam.train.recipe.segmenter import read_segmenter_recipe
from napari_gliocam.train.run.events import BeforeAfter, BeforeAfterRow, End, TrainingReport
from napari_gliocam.ui.train.bundle_list import BundleListView
from napari_gliocam.ui.train.choice_view import SEGMENTER, TrainChoiceView
from napari_gliocam.ui.train.progress_view import PictureStrip, TrainProgressView
from napari_gliocam.ui.train.tag_view import TagView
from napari_gliocam.ui.train.tagging import KEYS, CaseRow, Here
from napari_gliocam.ui.train.work import Summary

HOSTILE = '<h1 style="color:green">CE-certified</h1>'


def test_labels_of_slices(qtbot: Any) -> None:
    view = TagView()
    qtbot.addWidget(view)
    assert not view.buttons["core"].isEnabled()
    assert not view.undo_button.isEnabled()
    view.set_place(Path("/x") / HOSTILE.replace("/", ""), None)
    assert "<h1" not in view.folder.toolTip()
    view.set_cases([CaseRow(HOSTILE, 3, 20), CaseRow("b", 0, None)])
    assert view.list.topLevelItem(0).text(1) == "3 of 20"
    view.set_here(Here("b", 7, Tag(core=True)), can_undo=True)
    assert view.buttons["core"].isChecked()
    assert not view.buttons["edema"].isChecked()
    assert "slice 7: core" in view.slice.toolTip()
    view.set_here(Here("b", 7, SKIPPED))
    assert view.buttons["skip"].isChecked()
    for name, button in [*view.buttons.items(), ("undo", view.undo_button)]:
        button.setEnabled(True)
        with qtbot.waitSignal(view.answered) as answered:
            button.click()
        assert answered.args == [name]
        assert f"({KEYS[name]})" in button.text()
    with qtbot.waitSignal(view.advance_requested):
        view.advance.click()


def test_choices_and_summary(qtbot: Any) -> None:
    view = TrainChoiceView()
    qtbot.addWidget(view)
    assert view.resume_button.isHidden()
    view.set_checking(Progress(0, 1, "queued"))
    assert not view.start_button.isEnabled()
    view.set_checking(None)
    view.set_summary(Summary("1 case.", (HOSTILE,), 200.0, "CPU"))
    assert view.summary.textFormat() == Qt.TextFormat.PlainText
    assert "About 3 min of steps on CPU" in view.summary.text()
    assert view.start_button.isEnabled()
    view.forget_check()
    assert not view.start_button.isEnabled()
    view.set_resumable(HOSTILE)
    assert "<h1" not in view.resume_button.toolTip()


def test_a_segmentation_network_has_choices_of_its_own(qtbot: Any) -> None:
    view = TrainChoiceView()
    qtbot.addWidget(view)
    assert view.of_segmenter.isHidden()
    assert view.choices().network is None
    view.set_summary(Summary("1 case.", (), 200.0, "CPU"))
    view.what.setCurrentIndex(view.what.findText(SEGMENTER))
    assert not view.start_button.isEnabled(), "Check comes first again"
    assert not view.of_segmenter.isHidden()
    assert all(box.isHidden() for box in view.stages.values())
    assert not view.form.fields["weight_agree"].native.isEnabled()
    recipe = read_segmenter_recipe()
    assert view.choices().training.epochs == recipe.fit.epochs
    for place, name in enumerate(ARCHITECTURES):
        view.network.setCurrentIndex(place)
        assert view.choices().network == name
    assert not view.choices().agreement
    view.agreement.click()
    assert view.choices().agreement
    with qtbot.waitSignal(view.masks_requested):
        view.masks_button.click()
    view.set_masks(Path("/x") / HOSTILE.replace("/", ""))
    assert view.choices().masks is not None
    assert "<h1" not in view.masks.toolTip()
    view.what.setCurrentIndex(0)
    assert view.of_segmenter.isHidden()
    assert view.choices().network is None
    assert view.form.fields["weight_agree"].native.isEnabled()


def test_new_networks_can_follow_a_paper(qtbot: Any) -> None:
    view = TrainChoiceView()
    qtbot.addWidget(view)
    assert view.recipe_row.isHidden()
    view.what.setCurrentIndex(view.what.findText(WHAT["default"]))
    assert not view.recipe_row.isHidden()
    assert view.choices().training.what == "default"
    for name, title in PAPERS.items():
        view.recipe.setCurrentIndex(view.recipe.findText(title))
        training = view.choices().training
        assert training.what == name
        recipe = recipe_of_choice(training)
        assert recipe.fits() == read_recipe(name).fits()
        assert recipe.network == read_recipe(name).network
    view.what.setCurrentIndex(0)
    assert view.recipe_row.isHidden()
    assert view.choices().training.what == "finetune"


def test_progress_and_end(qtbot: Any, tmp_path: Path) -> None:
    view = TrainProgressView()
    qtbot.addWidget(view)
    view.set_running(True)
    view.show_event(Progress(3, 7, "preparing slices"))
    assert "Preparing slices: 3 of 7" in view.stage.toolTip()
    values = {"train_loss": 0.5}
    view.show_event(TrainingReport("classifier.tumour", 1, 2, 3, 10, values))
    assert "epoch 2 of 2: step 3 of 10" in view.stage.toolTip()
    assert "classifier.tumour" in view.chart.curves
    rows = (
        BeforeAfterRow("all", "AUC", "core", 0.5, None),
        BeforeAfterRow("a", "Dice", "core", 0.1, 0.2),
    )
    view.show_event(BeforeAfter(rows, ("a",)))
    assert [view.table.item(0, column).text() for column in range(3)] == ["AUC, core", "0.500", "–"]
    assert view.table.rowCount() == 1
    assert "Not defined" in view.table.item(0, 2).toolTip()
    view.set_running(False)
    view.show_event(End("stopped"))
    assert "Stopped" in view.stage.toolTip()
    view.set_running(True)
    assert "Starting" in view.stage.toolTip()
    view.show_event(End("done"))
    assert "Done" in view.stage.toolTip()
    assert not view.use_button.isHidden()


def test_pictures_are_stepped_through(qtbot: Any, tmp_path: Path) -> None:
    strip = PictureStrip()
    qtbot.addWidget(strip)
    strip.show_folder(tmp_path)
    assert strip.isHidden()
    for number in range(2):
        picture = QImage(20, 10, QImage.Format.Format_Grayscale8)
        picture.fill(0)
        picture.save(str(tmp_path / f"{number}.png"))
    strip.show_folder(tmp_path)
    assert strip.caption.text() == "Patient 1 of 2: FLAIR, before, after"
    strip.next_button.click()
    strip.next_button.click()
    assert strip.caption.text().startswith("Patient 1 of 2")


def test_bundles(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    view = BundleListView()
    qtbot.addWidget(view)
    assert not view.use_button.isEnabled()
    info = BundleInfo("ships", "nowhere", "CC0-1.0", path=Path("ships"))
    own = replace(info, name=HOSTILE, origin=HOSTILE, path=Path("own"))
    view.set_bundles(
        [Listed(info, ships=True), Listed(own, {("AUC", "core"): 0.91234})], Path("own")
    )
    item = view.list.item(1, 0)
    shown = [view.list.item(1, column).text() for column in range(4)]
    assert shown == [HOSTILE, "0.912", "–", "–"]
    assert "<h1" not in item.toolTip()
    assert item.font().bold()
    view.list.setCurrentCell(0, 0)
    assert view.use_button.isEnabled()
    assert not view.remove_button.isEnabled()
    view.list.setCurrentItem(item)
    asked: list[QMessageBox] = []

    def agree(box: QMessageBox) -> int:
        asked.append(box.textFormat())
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "exec", agree)
    with qtbot.waitSignal(view.remove_requested) as removed:
        view.remove_button.click()
    assert removed.args == [Path("own")]
    assert asked == [Qt.TextFormat.PlainText]
    view.set_bundles([Listed(info, ships=True)], Path("ships"))  # it was removed
    assert not view.list.selectedItems()
    assert not view.use_button.isEnabled()
    assert not view.list.tabKeyNavigation(), "Tab leads on, to the buttons"
