"""Refinement in the real panel: preview, apply, flip, stale results, failures, saving."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_gliocam.errors import GliocamError, SaveError
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import METHODS, Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.plugin import commands
from napari_gliocam.ui.plugin.writer import write_labels

from .conftest import press_on_canvas as press

#: torch may be imported on the way, on a busy machine.
PATIENCE_MS = 120_000


class FakeRefinement:
    """Takes the place of `Ingredients.refining`: empties every lesion's first class."""

    def __init__(self) -> None:
        self.slices: list[Any] = []
        self.steps = 2
        self.error: Exception | None = None
        self.hold = False

    def __call__(
        self, segmentation: Any, case: Any, refinement: Any, **how: Any
    ) -> Generator[Progress, None, Any]:
        slices = how.get("slices")
        self.slices.append(slices)
        labels = segmentation.labels.copy()
        for step in range(self.steps):
            yield Progress(step + 1, self.steps, "dense CRF")
        while self.hold:
            yield Progress(1, self.steps, "dense CRF")
        if self.error is not None:
            raise self.error
        chosen = slice(None) if slices is None else slices
        part = labels[chosen]
        part[part == 1] = 2
        labels[chosen] = part
        return replace(segmentation, labels=labels, refinement=refinement, unrefined=segmentation)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRefinement:
    made = FakeRefinement()
    monkeypatch.setattr("napari_gliocam.refine.ingredients.Ingredients.refining", made)
    return made


def choose(gliocam: Any, method: str) -> None:
    """Choose in the combo box, as a hand does."""
    box = gliocam.panel.refine_view.methods
    index = METHODS.index(method)  # type: ignore[arg-type]
    box.setCurrentIndex(index)
    box.activated.emit(index)


def shown(gliocam: Any) -> Any:
    return gliocam.viewer.layers["segmentation"].data


def apply(gliocam: Any, qtbot: Any) -> None:
    gliocam.panel.refine_view.apply_button.click()
    assert gliocam.state.refining is gliocam.opened
    qtbot.waitUntil(lambda: gliocam.state.refining is None, timeout=PATIENCE_MS)


def test_preview_apply_flip_none(segmented: Any, fake: FakeRefinement, qtbot: Any) -> None:
    opened, view = segmented.opened, segmented.panel.refine_view
    cut = opened.result.thresholded.labels.copy()
    assert 1 in cut
    index = int(np.argmax((cut == 1).sum(axis=(1, 2))))
    segmented.panel.session.go_to(index)

    choose(segmented, "crf")
    qtbot.waitUntil(lambda: opened.result.previewed is not None, timeout=PATIENCE_MS)
    assert fake.slices == [[index]], "one slice was enough"
    assert 1 not in shown(segmented)[index]
    np.testing.assert_array_equal(np.delete(shown(segmented), index, 0), np.delete(cut, index, 0))
    assert f"slice {index}" in view.status.text()
    results = segmented.panel.results_view
    assert results.effect["core"].text() == "–", "a preview is no result"
    layer = segmented.viewer.layers["segmentation"]
    with pytest.raises(SaveError, match="preview"):
        write_labels("x.nii.gz", layer.data, {"metadata": layer.metadata})

    apply(segmented, qtbot)
    assert 1 not in shown(segmented)
    assert opened.result.volumes_ml["core"] == 0
    assert "whole case" in view.status.text()
    assert not results.effect_label.isHidden()
    assert results.effect["core"].text().startswith("-")
    qtbot.waitUntil(
        lambda: "→" in results.distances["core"].text(),
        timeout=PATIENCE_MS,
    )

    press(segmented.viewer, commands.FLIP_REFINEMENT)
    np.testing.assert_array_equal(shown(segmented), cut)
    assert view.flip_button.isChecked()
    view.flip_button.click()
    assert 1 not in shown(segmented)
    assert not view.flip_button.isChecked()

    runs = len(fake.slices)
    choose(segmented, "none")
    np.testing.assert_array_equal(shown(segmented), cut)
    assert opened.result.volumes_ml == opened.result.thresholded.volumes_ml
    choose(segmented, "crf")
    assert 1 not in shown(segmented), "what was applied is kept"
    assert len(fake.slices) == runs


def test_thresholds_put_the_refinement_out_of_date(
    segmented: Any, fake: FakeRefinement, qtbot: Any
) -> None:
    opened, view = segmented.opened, segmented.panel.refine_view
    choose(segmented, "crf")
    apply(segmented, qtbot)
    segmented.panel.session.set_settings(Thresholds(tumour_threshold=0.3))
    assert "Out of date" in view.status.text()
    segmented.panel.session.settle()
    np.testing.assert_array_equal(
        shown(segmented), opened.result.thresholded.labels
    )  # none of other thresholds
    assert opened.result.current is None
    segmented.panel.session.settle()
    qtbot.waitUntil(lambda: opened.result.previewed is not None, timeout=PATIENCE_MS)
    assert "Preview" in view.status.text()
    apply(segmented, qtbot)
    assert opened.result.current.settings.tumour_threshold == 0.3


def test_a_refined_case_follows_when_thresholds_rest(
    segmented: Any, fake: FakeRefinement, qtbot: Any
) -> None:
    opened, panel = segmented.opened, segmented.panel
    choose(segmented, "crf")
    apply(segmented, qtbot)
    press(segmented.viewer, commands.FLIP_REFINEMENT)
    for threshold in (0.35, 0.3):
        panel.session.set_settings(Thresholds(tumour_threshold=threshold))
    assert opened.result.current is None
    qtbot.waitUntil(lambda: opened.result.current is not None, timeout=PATIENCE_MS)
    assert opened.result.current.settings.tumour_threshold == 0.3
    assert opened.result.flipped, "who looks at the labels before goes on doing so"
    assert fake.slices.count(None) == 2, "once for both changes"

    fake.hold = True
    panel.session.set_settings(Thresholds(tumour_threshold=0.25))
    qtbot.waitUntil(lambda: segmented.state.refining is opened, timeout=PATIENCE_MS)
    panel.session.set_settings(Thresholds(tumour_threshold=0.2))
    assert segmented.state.refining is None, "what nobody waits for any more is dropped"
    fake.hold = False
    qtbot.waitUntil(lambda: opened.result.current is not None, timeout=PATIENCE_MS)
    assert opened.result.current.settings.tumour_threshold == 0.2


def test_the_panel_begins_with_the_default(opened: Any, fake: FakeRefinement, qtbot: Any) -> None:
    view = opened.panel.refine_view
    assert view.refinement() == opened.opened.refinement == Refinement()
    choose(opened, "none")
    assert opened.opened.refinement.components is None, "none is nothing at all"
    choose(opened, Refinement().method)
    assert opened.opened.refinement == Refinement()


def test_borders_of_the_pieces_are_overlays(segmented: Any, qtbot: Any) -> None:
    opened, view = segmented.opened, segmented.panel.refine_view
    choose(segmented, "boundary-fit")
    index = 4
    segmented.panel.session.go_to(index)
    view.overlays["edge map"].click()
    layer = segmented.viewer.layers["edge map"]
    qtbot.waitUntil(lambda: bool(layer.data[index].any()), timeout=PATIENCE_MS)
    assert not np.delete(layer.data, index, 0).any(), "a slice is drawn when it is looked at"
    view.overlays["superpixels"].click()
    finer = segmented.viewer.layers["superpixels"]
    qtbot.waitUntil(lambda: bool(finer.data[index].any()), timeout=PATIENCE_MS)
    assert finer.data[index].sum() > layer.data[index].sum()
    view.overlays["superpixels"].click()
    assert "superpixels" not in segmented.viewer.layers
    segmented.viewer.layers.remove("edge map")
    assert not view.overlays["edge map"].isChecked(), "a user may remove it in the layer list"
    assert segmented.state.open_cases == (opened,)


def test_failure_and_cancel_change_nothing(
    segmented: Any, fake: FakeRefinement, qtbot: Any
) -> None:
    opened, panel = segmented.opened, segmented.panel
    before = shown(segmented)
    fake.error = GliocamError("The image is odd; choose another.")
    choose(segmented, "crf")
    panel.refine_view.apply_button.click()
    qtbot.waitUntil(lambda: segmented.state.refining is None, timeout=PATIENCE_MS)
    assert shown(segmented) is before
    assert segmented.state.message.text == "The image is odd; choose another."

    fake.error, fake.hold = None, True
    panel.refine_view.apply_button.click()
    qtbot.waitUntil(lambda: segmented.state.refining_progress is not None, timeout=PATIENCE_MS)
    panel.refine_view.cancel_button.click()
    fake.hold = False
    qtbot.waitUntil(lambda: segmented.state.refining is None, timeout=PATIENCE_MS)
    assert "cancelled" in segmented.state.message.text
    assert opened.result.refined is None
    assert shown(segmented) is before


def test_segment_refines_when_chosen_before(opened: Any, fake: FakeRefinement, qtbot: Any) -> None:
    choose(opened, "crf")
    assert "Segment will run dense CRF" in opened.panel.refine_view.status.text()
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert fake.slices == [None]
    assert opened.opened.result.current is not None
    assert 1 not in shown(opened)
    fake.error = GliocamError("The image is odd; choose another.")
    job = opened.panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert "not refined" in opened.state.message.text
    assert 1 in shown(opened), "the maps are not lost"


def test_saving_applies_first_and_says_what_was_done(
    segmented: Any, fake: FakeRefinement, qtbot: Any, tmp_path: Any
) -> None:
    choose(segmented, "crf")
    saved: list[Any] = []
    segmented.panel.session.saved.connect(saved.append)
    segmented.panel.save(tmp_path / "a_seg.nii.gz")
    qtbot.waitUntil(lambda: bool(saved), timeout=PATIENCE_MS)
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["refinement"]["method"] == "crf"
    assert written["volumes_ml"]["core"] == 0


@pytest.mark.parametrize("method", ["crf", "adapt"])
def test_journey_with_a_real_refinement(
    segmented: Any, qtbot: Any, tmp_path: Any, method: str
) -> None:
    opened = segmented.opened
    cut = opened.result.thresholded.labels.copy()
    choose(segmented, method)
    apply(segmented, qtbot)
    assert segmented.state.message is None
    refined = opened.result.current
    np.testing.assert_array_equal(refined.unrefined.labels, cut)
    np.testing.assert_array_equal(shown(segmented), refined.labels)
    press(segmented.viewer, commands.FLIP_REFINEMENT)
    np.testing.assert_array_equal(shown(segmented), cut)
    press(segmented.viewer, commands.FLIP_REFINEMENT)
    path = tmp_path / "journey_seg.nii.gz"
    job = segmented.panel.save(path)
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert json.loads((tmp_path / "journey.json").read_text())["refinement"][method]
    choose(segmented, "none")
    np.testing.assert_array_equal(shown(segmented), cut)
    segmented.viewer.layers.clear()
    segmented.viewer.open(path, plugin="napari-gliocam")
    np.testing.assert_array_equal(segmented.viewer.layers[0].data, refined.labels)


def test_a_preview_does_not_cut_all_slices_at_once(segmented: Any) -> None:
    session, opened = segmented.panel.session, segmented.opened
    session.set_refinement(Refinement("crf"))
    session.set_settings(Thresholds(tumour_threshold=0.3))
    assert opened.result.thresholded.pending
    session.refine_run._preview()
    assert opened.result.thresholded.pending, "it waits until they are cut a few at a time"
    assert session.refine_run._pause.isActive()
