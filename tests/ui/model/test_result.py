"""An open case and its result in three steps, without Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import Segmentation, apply_thresholds
from napari_gliocam.ui.model.result import Result, gate_limit, hidden_by_gate, sentence_of
from napari_gliocam.ui.model.state import OpenCase, State

from ...small_case import make_case, make_maps


@pytest.fixture
def opened() -> OpenCase:
    made = OpenCase(make_case())
    made.take(made.case, make_maps(made.case))
    return made


def result_of(opened: OpenCase) -> Result:
    assert opened.result is not None
    return opened.result


def refined(opened: OpenCase) -> Segmentation:
    """A refinement that takes the lower half of the tumour away."""
    result = result_of(opened)
    before = result.thresholded.segmentation()
    labels = before.labels.copy()
    labels[: len(labels) // 2] = 0
    return replace(before, labels=labels, refinement=opened.refinement, unrefined=before)


def paint(opened: OpenCase) -> None:
    result = result_of(opened)
    result.painted.labels[1, :2, :3] = 1
    result.painted.take_strokes(result.unpainted_labels)
    opened.count()


def test_before_segment_there_is_no_result() -> None:
    opened = OpenCase(make_case())
    assert opened.result is None
    assert opened.segmented is opened.case
    assert not opened.unsaved_strokes
    opened.choose(Refinement.nothing())
    assert opened.refinement == Refinement.nothing()
    opened.count()
    assert opened.revision == 0
    opened.take(opened.case, make_maps(opened.case))
    assert result_of(opened).refinement == Refinement.nothing()
    assert opened.revision == 1


def test_a_result_is_counted_before_anyone_hears_of_it(opened: OpenCase) -> None:
    heard: list[dict[str, float]] = []
    opened.events.result.connect(lambda result: heard.append(dict(result.volumes_ml)))
    maps = make_maps(opened.case, seed=3)
    opened.take(opened.case, maps)
    assert heard == [apply_thresholds(maps, opened.settings).volumes_ml]


def test_what_is_refined_counts_while_it_belongs_to_the_choices(opened: OpenCase) -> None:
    result, made = result_of(opened), refined(opened)
    result.take(made)
    opened.count()
    assert result.current is made
    assert result.volumes_ml == pytest.approx(made.volumes_ml)
    np.testing.assert_array_equal(result.unpainted_labels, made.labels)
    np.testing.assert_array_equal(result.lesion_voxels(), (made.labels > 0).sum(axis=(1, 2)))
    result.flipped = True
    np.testing.assert_array_equal(result.unpainted_labels, result.thresholded.labels)
    assert result.segmentation is made, "looking at the labels before changes no result"

    opened.choose(Refinement.nothing())
    assert result.current is None
    assert not result.flipped
    opened.choose(made.refinement or Refinement())
    assert result.current is made
    result.thresholded.change(Thresholds(0.9, 0.9))
    assert result.current is None
    assert "Out of date" in sentence_of(opened.refinement, result, 0, "R")


def test_a_preview_mixes_refined_slices_with_others(opened: OpenCase) -> None:
    result, made = result_of(opened), refined(opened)
    for index in (2, 4):
        result.take_slice(made, index)
    preview = result.previewed
    assert preview is not None
    assert preview.slices == {2, 4}
    for index in range(len(made.labels)):
        source = made if index in preview.slices else result.thresholded
        np.testing.assert_array_equal(preview.labels[index], source.labels[index])
    assert result.current is None
    assert "Preview on slice 4" in sentence_of(opened.refinement, result, 4, "R")


def test_strokes_lie_over_every_result_and_are_saved_once(opened: OpenCase) -> None:
    paint(opened)
    assert opened.unsaved_strokes
    assert result_of(opened).segmentation.painted > 0
    result_of(opened).painted.saved = result_of(opened).painted.strokes_copy()
    assert not opened.unsaved_strokes
    opened.take(opened.case, make_maps(opened.case, seed=5))
    result = result_of(opened)
    assert (result.segmentation.labels[1, :2, :3] == 1).all()
    assert result.volumes_ml == pytest.approx(result.segmentation.volumes_ml)


@pytest.mark.parametrize("segmented", [True, False])
def test_a_method_in_use_can_be_undone(segmented: bool) -> None:
    opened = OpenCase(make_case())
    if segmented:
        opened.take(opened.case, make_maps(opened.case))
        result_of(opened).take(refined(opened))
    own, settings = opened.result, opened.settings
    opened.use(make_maps(opened.case, seed=7), Thresholds(0.2, 0.2, gate=False))
    opened.use(make_maps(opened.case, seed=8), Thresholds(0.3, 0.3, gate=False))
    assert opened.networks.result is own
    assert opened.networks.settings == settings
    assert opened.settings.tumour_threshold == 0.3
    if segmented:
        paint(opened)
    opened.undo_use()
    assert opened.result is own
    assert opened.settings == settings
    assert opened.kept is None
    if segmented:
        assert result_of(opened).current is not None, "what was refined is refined still"
        assert result_of(opened).segmentation.painted > 0


def test_segment_after_a_method_takes_the_thresholds_of_the_networks(opened: OpenCase) -> None:
    settings = opened.settings
    opened.use(make_maps(opened.case, seed=7), Thresholds(0.2, 0.2, gate=False))
    assert State().request_for(opened).thresholds == settings
    opened.take(opened.case, make_maps(opened.case))
    assert opened.settings == settings
    assert opened.kept is None


def test_dice_is_that_of_the_labels(opened: OpenCase) -> None:
    from napari_gliocam.measure import score

    expert = opened.case.expert
    assert expert is not None
    for act in (lambda: None, lambda: paint(opened)):
        act()
        found, expected = (
            result_of(opened).dice,
            score(result_of(opened).segmentation.labels, expert.labels),
        )
        assert found is not None
        for target, value in expected.items():
            assert found[target] == pytest.approx(value, nan_ok=True)


def test_the_gate_is_named_on_a_slice_where_it_hides_a_class(opened: OpenCase) -> None:
    maps = make_maps(opened.case)
    ungated = apply_thresholds(maps, replace(opened.settings, gate=False)).labels
    index = int(np.argmax((ungated == 2).sum(axis=(1, 2))))
    maps.probabilities[:] = 1.0
    maps.probabilities[index, 2] = 0.31
    opened.take(opened.case, maps)
    opened.settings = replace(opened.settings, gate=True)
    result = result_of(opened)
    result.thresholded.change(opened.settings, None)
    result.thresholded.finish()
    result.painted.follow(result.unpainted_labels)
    assert hidden_by_gate(result, index) == ("edema",)
    assert hidden_by_gate(result, index + 1) == ()
    result.painted.labels[index][ungated[index] == 2] = 2  # a refinement brought it back
    assert hidden_by_gate(result, index) == ()


def test_the_gate_closes_where_the_labels_shown_have_it(opened: OpenCase) -> None:
    result = result_of(opened)
    assert result.refinement.method == "adapt"
    assert gate_limit(result, 0) == result.thresholded.settings.gate_probability
    adapted = replace(
        refined(opened), settings=result.thresholded.settings, refinement=result.refinement
    )
    result.take(adapted)
    assert gate_limit(result, 0) == result.refinement.adapt.denial
    result.flipped = True
    assert gate_limit(result, 0) == result.thresholded.settings.gate_probability
