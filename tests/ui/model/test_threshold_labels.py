"""Labels that follow the thresholds in steps, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.ui.model.threshold_labels import ThresholdLabels

from ...small_case import make_case, make_maps

MAPS = make_maps(make_case())
unit = st.floats(0, 1)


@given(unit, unit, st.booleans(), st.booleans(), st.lists(st.integers(0, 19), max_size=6))
@settings(max_examples=30, deadline=None)
def test_ends_where_one_call_would(
    tumour: float, class_: float, exclusive: bool, gate: bool, seen: list[int]
) -> None:
    wanted = Thresholds(tumour, class_, exclusive, gate)
    expected = apply_thresholds(MAPS, wanted)
    live = ThresholdLabels(MAPS, Thresholds())
    live.step()
    live.change(wanted, (slice(4, 5),))
    np.testing.assert_array_equal(live.labels[4], expected.labels[4])
    for index in seen:
        live.show((slice(index, index + 1),))
        live.step(3)
    live.show((slice(None), slice(7, 8)))
    np.testing.assert_array_equal(live.labels[:, 7], expected.labels[:, 7])
    live.finish()
    assert not live.pending
    np.testing.assert_array_equal(live.labels, expected.labels)
    assert live.volumes_ml == pytest.approx(expected.volumes_ml)
    np.testing.assert_array_equal(live.lesion_voxels(), (expected.labels > 0).sum(axis=(1, 2)))


def test_array_is_written_in_place() -> None:
    array = np.full(MAPS.grid.shape, 9, dtype=np.uint8)
    live = ThresholdLabels(MAPS, Thresholds(), array)
    live.finish()
    assert live.labels is array
    assert array.max() <= 2
    assert live.segmentation().labels is not array


def test_steps_are_small() -> None:
    live = ThresholdLabels(MAPS, Thresholds())
    steps = 1
    while live.step(4):
        steps += 1
    assert steps == 5
