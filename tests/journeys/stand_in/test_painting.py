"""A brush on the result in the real panel."""

from __future__ import annotations

import json
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.plugin import commands

from .conftest import press_on_canvas as press
from .test_refinement import FakeRefinement, apply, choose, fake

__all__ = ["fake"]
PATIENCE_MS = 120_000


@pytest.fixture
def layer(segmented: Any) -> Any:
    return segmented.viewer.layers["segmentation"]


def stroke(layer: Any, index: int, value: int) -> tuple[slice, ...]:
    """Paint a square, as one stroke of a brush."""
    layer.selected_label = value
    layer.brush_size = 5
    layer.mode = "paint"
    layer.paint((index, 3, 3), value)
    return (slice(index, index + 1), slice(2, 5), slice(2, 5))


def test_strokes_follow_and_are_undone(segmented: Any, layer: Any) -> None:
    opened, before = segmented.opened, dict(segmented.opened.result.volumes_ml)
    index = next(i for i in range(len(layer.data)) if not layer.data[i, 2:5, 2:5].any())
    part = stroke(layer, index, 1)
    assert (layer.data[part] == 1).all()
    assert opened.result.volumes_ml["core"] > before["core"]
    assert not opened.result.thresholded.labels[part].any(), "the result itself is as it was"
    assert opened.result.painted.painted >= 9

    layer.undo()
    assert opened.result.volumes_ml == before
    assert opened.result.painted.painted == 0
    layer.redo()
    assert opened.result.volumes_ml["core"] > before["core"]

    segmented.panel.session.set_settings(Thresholds(tumour_threshold=0.3))
    segmented.panel.session.settle()
    assert (layer.data[part] == 1).all(), "thresholds go on under the strokes"
    layer.undo()
    assert (layer.data[part] == 1).all(), "labels of other thresholds do not come back"

    segmented.panel.session.layers.discard_strokes(opened)
    np.testing.assert_array_equal(layer.data, opened.result.thresholded.labels)
    assert opened.result.volumes_ml == opened.result.thresholded.volumes_ml


def test_erased_voxels_stay_away_and_are_saved(
    segmented: Any, layer: Any, qtbot: Any, tmp_path: Any
) -> None:
    opened = segmented.opened
    where = tuple(np.argwhere(layer.data > 0)[0])
    layer.data_setitem(tuple(np.array([axis]) for axis in where), 0)
    assert opened.result.painted.painted == 1
    job = segmented.panel.save(tmp_path / "a_seg.nii.gz")
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    saved = opened.case.grid.from_file(np.asarray(nib.load(tmp_path / "a_seg.nii.gz").dataobj))
    assert saved[where] == 0
    np.testing.assert_array_equal(saved, layer.data)
    assert json.loads((tmp_path / "a.json").read_text())["painted_voxels"] == 1
    segmented.panel.session.set_settings(Thresholds(tumour_threshold=0.1))
    assert layer.data[where] == 0


def test_a_value_that_is_no_class_is_told_and_kept_out(segmented: Any, layer: Any) -> None:
    before = layer.data.copy()
    stroke(layer, 0, 7)
    np.testing.assert_array_equal(layer.data, before)
    assert "7 is no class" in segmented.state.message.text
    stroke(layer, 0, 3)
    np.testing.assert_array_equal(layer.data, before)
    segmented.panel.threshold_view.exclusive.setChecked(False)
    part = stroke(layer, 0, 3)
    assert (layer.data[part] == 3).all()


def test_strokes_lie_over_the_refined_labels(
    segmented: Any, layer: Any, fake: FakeRefinement, qtbot: Any
) -> None:
    opened = segmented.opened
    part = stroke(layer, 0, 1)
    choose(segmented, "crf")
    apply(segmented, qtbot)
    assert (layer.data[part] == 1).all(), "the refinement removes every core but this"
    assert np.count_nonzero(layer.data == 1) == opened.result.painted.painted
    press(segmented.viewer, commands.FLIP_REFINEMENT)
    assert (layer.data[part] == 1).all()
    job = segmented.panel.segment()
    qtbot.waitUntil(lambda: job.ended, timeout=PATIENCE_MS)
    assert (layer.data[part] == 1).all(), "what was painted by hand is not lost"
