import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_gliocam.cams.compare.ensemble import PAPER_NAMES, RULES, Ensemble, combine_maps
from napari_gliocam.cams.compare.threshold_grid import GRID, search_thresholds
from napari_gliocam.errors import GliocamError

three_masks = st.lists(npst.arrays(np.bool_, (2, 3, 4)), min_size=3, max_size=3)


@given(masks=three_masks)
def test_set_algebra(masks):
    a, b, c = masks
    union, both = Ensemble("union"), Ensemble("intersection")
    assert (union.combine([a, b]) == (a | b)).all()
    assert (both.combine([a, b, c]) == (a & b & c)).all()
    # De Morgan
    assert (~union.combine([a, b, c]) == both.combine([~a, ~b, ~c])).all()
    # k of n goes from the union to the intersection
    votes = [Ensemble("vote", k).combine(masks) for k in (1, 2, 3)]
    assert (votes[0] == union.combine(masks)).all()
    assert (votes[2] == both.combine(masks)).all()
    assert (votes[1] == ((a & b) | (a & c) | (b & c))).all()


@given(masks=three_masks)
def test_the_smaller_and_the_larger_are_whole_masks_slice_by_slice(masks):
    areas = np.stack([m.sum(axis=(1, 2)) for m in masks])
    for rule, extreme in (("smaller", areas.min(axis=0)), ("larger", areas.max(axis=0))):
        found = Ensemble(rule).combine(masks)
        assert (found.sum(axis=(1, 2)) == extreme).all()
        for row in range(2):
            first = next(
                m[row] for m, area in zip(masks, areas, strict=True) if area[row] == extreme[row]
            )
            assert (found[row] == first).all()


@pytest.mark.parametrize("rule", RULES)
def test_equal_masks_give_that_mask(rule):
    mask = np.eye(4, dtype=bool)[None]
    assert (Ensemble(rule).combine([mask, mask]) == mask).all()


def test_maps_are_cut_above_their_threshold():
    a, b = np.full((1, 1, 3), 0.7, np.float32), np.float32([[[0.71, 0.5, 0.9]]])
    assert combine_maps([a, b], Ensemble("union")).tolist() == [[[True, False, True]]]
    found = combine_maps([a, b], Ensemble(PAPER_NAMES["and"]), (0.6, 0.6))
    assert found.tolist() == [[[True, False, True]]]


def test_sentences():
    mask = np.zeros((1, 2, 2), dtype=bool)
    with pytest.raises(GliocamError, match='no ensemble "xor"; choose one of union'):
        Ensemble("xor")
    with pytest.raises(GliocamError, match="ensemble of 1 is too small; choose 2 or more"):
        Ensemble("union").combine([mask])
    with pytest.raises(GliocamError, match="ensemble of 2 is too small; choose 3 or more"):
        Ensemble("vote", 3).combine([mask, mask])
    with pytest.raises(GliocamError, match="2 maps and 1 thresholds"):
        combine_maps([mask, mask], thresholds=[0.5])


# ---- the grid


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), rule=st.sampled_from(RULES), count=st.sampled_from((2, 3)))
def test_the_grid_is_every_combination_counted_one_by_one(seed, rule, count):
    rng = np.random.default_rng(seed)
    # Values on the grid, too: a threshold has to be exceeded.
    maps = [np.float32(np.round(rng.random((2, 4, 5)), 1)) for _ in range(count)]
    maps[0][:, 0] = rng.random((2, 5))
    truth = rng.random((2, 4, 5)) < 0.3
    ensemble = Ensemble(rule)
    grid = search_thresholds([(maps, truth)], ensemble)
    assert grid.iou.shape == (11,) * count
    for where in rng.integers(0, 11, (15, count)):
        mask = combine_maps(maps, ensemble, [np.float32(GRID[i]) for i in where])
        union = (mask | truth).sum()
        lesion = (mask & truth).sum() / union if union else 1.0
        outside = (~mask | ~truth).sum()
        background = (~mask & ~truth).sum() / outside if outside else 1.0
        assert grid.iou[tuple(where)] == pytest.approx(lesion)
        assert grid.miou[tuple(where)] == pytest.approx((lesion + background) / 2)


def test_the_best_thresholds_say_that_masks_were_used():
    truth = np.zeros((1, 4, 4), dtype=bool)
    truth[0, :2] = True
    a = np.where(truth, 0.65, 0.55).astype(np.float32)
    b = np.where(truth, 0.35, 0.25).astype(np.float32)
    grid = search_thresholds([((a, b), truth), ((a, b), truth)])
    assert grid.best == (0.0, 0.3)  # the first of those that are perfect
    assert grid.miou.max() == 1
    assert grid.uses_pixel_masks
    assert "pixel masks" in grid.notice
    assert grid.to_json()["uses_pixel_masks"] is True
    assert "pixel masks" in grid.to_json()["notice"]


def test_sentences_of_the_grid():
    with pytest.raises(GliocamError, match="no case with expert labels"):
        search_thresholds([])
    maps = [np.zeros((1, 2, 2), np.float32)] * 4
    with pytest.raises(GliocamError, match="4 maps cannot be searched"):
        search_thresholds([(maps, np.zeros((1, 2, 2), bool))])
