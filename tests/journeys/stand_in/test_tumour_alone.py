"""A bundle of the tumour alone in the real window: nothing speaks of core and edema."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_gliocam.progress import Progress
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.ui.reading.dock import ReadingDock
from napari_gliocam.ui.reading.work import Sharing

from ...small_case import make_tumour_maps

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
