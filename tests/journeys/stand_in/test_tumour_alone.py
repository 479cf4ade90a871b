"""A bundle of the tumour alone in the real window: nothing speaks of core and edema."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_gliocam.progress import Progress
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE
from napari_gliocam.ui.compare.dock import CompareDock
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.reading.dock import ReadingDock
from napari_gliocam.ui.reading.work import Sharing

from ...small_case import make_tumour_maps
from .conftest import tiny_bundle

PATIENCE_MS = 120_000


@pytest.fixture
def alone(stand_in: Any, segmented: Any, qtbot: Any) -> Any:
    """The panel with a case that a bundle of the tumour alone segmented."""
    stand_in.make_maps = make_tumour_maps
    job = segmented.panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    return segmented


def test_the_panel_shows_the_tumour_alone(alone: Any) -> None:
    panel, result = alone.panel, alone.opened.result
    assert set(np.unique(result.painted.labels)) == {0, 4}
    assert set(result.volumes_ml) == {"tumour"}
    thresholds = panel.threshold_view
    assert not thresholds.tumour.isHidden()
    assert thresholds.exclusive.isHidden()
    assert not thresholds.class_.isVisibleTo(thresholds)
    assert thresholds.gate.text().startswith("Hide tumour where slice p < ")
    for numbers in (panel.results_view.volumes, panel.results_view.dice):
        assert {t for t, label in numbers.items() if not label.isHidden()} == {"tumour"}
    shown = {t for (_, t), b in panel.maps_view.buttons.items() if not b.isHidden()}
    assert shown == {"tumour"}
    assert panel.maps_view.buttons["aggregate", "tumour"].isEnabled()
    assert "edema" not in panel.run_view.segment_button.toolTip()


def test_the_brush_paints_tumour_and_no_class(alone: Any) -> None:
    layer = alone.viewer.layers["segmentation"]
    assert layer.selected_label == 4
    free = tuple(axis[:9] for axis in np.nonzero(layer.data == 0))
    layer.data_setitem(free, 1)
    assert (layer.data[free] == 0).all()
    assert "use 4 (tumour), or 0 to erase" in alone.state.message.text
    layer.data_setitem(free, 4)
    assert alone.opened.result.painted.painted == 9


def test_it_is_saved_continued_and_read(alone: Any, qtbot: Any, tmp_path: Any) -> None:
    job = alone.panel.save(tmp_path / "a_seg.nii.gz")
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    said = json.loads((tmp_path / "a.json").read_text())
    assert said["labels"] == {"0": "background", "4": "tumour"}
    before = alone.opened.result.painted.labels.copy()
    job = alone.panel.session.continue_result(tmp_path / "a_seg.nii.gz")
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert alone.opened.result.maps.targets == TUMOUR_ALONE
    np.testing.assert_array_equal(alone.opened.result.painted.labels, before)

    dock = ReadingDock.show_in(alone.viewer)
    qtbot.waitUntil(lambda: dock.session.last is not None, timeout=PATIENCE_MS)
    assert not dock.tabs.isTabVisible(dock.tabs.indexOf(dock.overlap_view))
    table = dock.measures_view.table
    titles = [table.item(row, 0).text() for row in range(table.rowCount())]
    assert "Tumour" in titles
    assert not any("ore" in title or "dema" in title for title in titles)
    assert "core" not in dock.chart.legend.text()
    job = dock.report(tmp_path / "report")
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert list((tmp_path / "report").glob("*.html"))


def test_sequences_that_are_on_no_slice_are_those_of_the_tumour(
    alone: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Sharing) -> Any:
        yield Progress(0, 1, "preparing slices")
        return SimpleNamespace(is_empty=True)

    monkeypatch.setattr(Sharing, "run", run)
    job = ReadingDock.show_in(alone.viewer).session.sequences.start()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert alone.state.message.text == "The networks see tumour on no slice."


def test_methods_of_the_tumour_are_compared_tested_and_used(
    alone: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, before = alone.state, alone.opened.result.maps
    monkeypatch.setattr(work, "loaded", lambda path: tiny_bundle(TUMOUR_ALONE))
    state.device, state.bundle = "cpu", replace(state.bundle, targets=TUMOUR_ALONE)
    alone.panel.session.go_to(11)
    dock = CompareDock.show_in(alone.viewer)
    boxes = dock.choice_view.classes
    assert [target for target, box in boxes.items() if not box.isHidden()] == ["tumour"]
    dock.choice_view.choose("gradcam", "layercam")
    job = dock.run()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert [maps.targets for maps in dock.session.maps] == [TUMOUR_ALONE] * 2
    job = dock.session.test("slice")
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert [row.target for row in dock.session.trust.rows] == ["tumour"] * 2
    dock.thresholds_view.use_buttons["GradCAM 4"].click()
    assert alone.opened.result.maps.targets == TUMOUR_ALONE
    assert set(np.unique(alone.opened.result.thresholded.labels)) <= {0, 4}
    dock.thresholds_view.undo_button.click()
    assert alone.opened.result.maps is before
    state.bundle = replace(state.bundle, targets=TARGETS)
    assert not any(box.isHidden() for box in boxes.values())
