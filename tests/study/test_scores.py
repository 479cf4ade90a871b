"""Scores that are kept by case give the figures that all slices together give."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_gliocam.measure.scores.conventions import Counts
from napari_gliocam.settings import EvaluationSettings
from napari_gliocam.study.fields import Study, StudyRow, TableChoice
from napari_gliocam.study.figures import StudyResult
from napari_gliocam.study.scores import Moments, RowScores, TwoClass, score_target
from napari_gliocam.targets import TARGETS


def test_moments_add_up_over_cases():
    rng = np.random.default_rng(0)
    parts = [rng.random(n) for n in (5, 1, 30)]
    together = sum((Moments.of(p) for p in parts), Moments())
    every = np.concatenate(parts)
    assert together.n == 36
    assert together.mean == pytest.approx(every.mean())
    assert together.sd == pytest.approx(every.std(ddof=1))
    assert Moments().mean is None
    assert Moments.of(every[:1]).sd is None


def test_two_class_scores_are_those_of_the_pixels():
    rng = np.random.default_rng(1)
    ours, theirs = rng.random((2, 4000)) < 0.2
    counts = Counts(int((ours & theirs).sum()), int(ours.sum()), int(theirs.sum()))
    scores = TwoClass.of(counts, ours.size)
    lesion = (ours & theirs).sum() / (ours | theirs).sum()
    background = (~ours & ~theirs).sum() / (~ours | ~theirs).sum()
    assert scores.miou == pytest.approx((lesion + background) / 2)
    assert scores.pa == pytest.approx((ours == theirs).mean())
    assert scores.dsc == pytest.approx(2 * scores.miou / (1 + scores.miou))


def test_an_empty_mask_scores_as_papers_4_and_5_print_it():
    # Their "Empty": mIoU 47.7, DSC 64.6, so the tumour is 4.6 % of the pixels.
    scores = TwoClass.of(Counts(0, 0, 46), 1000)
    assert (round(scores.miou, 3), round(scores.dsc, 3)) == (0.477, 0.646)


def _labels(seed):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 3, (6, 4, 4)), 3, axis=2).astype(np.uint8)


def _scores(seed):
    settings = EvaluationSettings()
    ours, theirs = _labels(seed), _labels(seed + 10)
    return RowScores({t: score_target(ours, theirs, t, (1, 1, 1), settings) for t in TARGETS}, 1.0)


def test_scores_survive_json():
    scores = _scores(0)
    assert RowScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


@pytest.mark.parametrize("over", ["slices", "patients", "pooled"])
def test_figures_agree_with_the_evaluation_of_the_same_labels(over):
    from napari_gliocam.measure.evaluation.record import score_labels
    from napari_gliocam.measure.evaluation.summary import summarise

    study = Study(name="x", targets=TARGETS, rows=(StudyRow(name="a"),))
    result = StudyResult(study, {str(seed): [_scores(seed)] for seed in range(3)})
    records = [
        score_labels(_labels(seed), _labels(seed + 10), (1, 1, 1), case=str(seed))
        for seed in range(3)
    ]
    known = {(f.group, f.target, f.metric): f for f in summarise(records)}
    checked = 0
    for figure in result.figures():
        group = {"foreground": "pooled"}.get(figure.scoring, figure.scoring)
        other = known.get((group, figure.target, figure.metric))
        if figure.over != over or other is None:
            continue
        assert figure.mean == pytest.approx(other.slice_mean if over == "slices" else other.mean)
        if over == "patients":
            assert figure.sd == pytest.approx(other.sd)
        checked += 1
    assert checked >= 6


def test_rows_are_compared_with_the_row_above_or_with_a_named_one():
    rows = (StudyRow(name="a"), StudyRow(name="b"), StudyRow(name="c", group="g"))
    cases = {str(seed): [_scores(seed), _scores(seed + 3), _scores(seed)] for seed in range(4)}
    table = TableChoice(metrics=("dice",))
    previous = StudyResult(Study(name="x", rows=rows, tests="previous", table=table), cases)
    assert [previous.compared_with(n) for n in range(3)] == [None, 0, None]
    named = StudyResult(Study(name="x", rows=rows, tests="a", table=table), cases)
    assert [named.compared_with(n) for n in range(3)] == [None, 0, 0]
    tests = named.tests()
    assert tests[1, "core", "dice"].n == 4
    assert tests[2, "core", "dice"].p is None  # the same scores
