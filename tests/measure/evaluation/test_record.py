import json
from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.errors import CaseError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure import Convention, EvaluationSettings, evaluate_case, score_labels
from napari_gliocam.measure.evaluation.record import CLASS_OVERLAP, IMAGE_LEVEL, Key
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds

SHAPE, SPACING = (6, 16, 14), (4.0, 1.0, 1.5)  # those of `make_case`


@pytest.fixture
def segmentation(make_case):
    """Maps that find the tumour, and claim a part of it for both classes."""
    case = make_case()
    tumour = (case.expert.labels > 0).astype(np.float32)
    core = np.where(case.expert.labels == 1, 0.9, 0.0).astype(np.float32)
    edema = tumour * np.float32(0.6)
    probabilities = np.zeros((SHAPE[0], 3), dtype=np.float32)
    probabilities[2:4] = 0.8
    maps = ClassMaps(case.grid, tumour, core, edema, probabilities, {"slices": 5})
    return apply_thresholds(maps, Thresholds())


def test_any_labels_are_scored(make_case):
    expert = make_case().expert.labels
    labels = expert.copy()
    labels[labels == 2] = 1
    record = score_labels(labels, expert, SPACING, case="anna", method="mine")
    figures = dict(record.figures())
    assert (record.case, record.method) == ("anna", "mine")
    assert figures[Key("volume", "tumour", "dice")] == 1
    assert figures[Key("volume", "core", "dice")] == pytest.approx(2 * 8 / (8 + 32))
    assert figures[Key("volume", "edema", "dice")] == 0
    assert figures[Key("volume", "tumour", "hd95_mm")] == 0
    assert figures[Key(IMAGE_LEVEL, "edema", "sensitivity")] == 0
    assert figures[Key(IMAGE_LEVEL, "edema", "auc")] is None
    assert record.counts["core"].labels == 32


def test_an_optional_argument_reaches_what_it_is_for(make_case):
    case = make_case()
    expert = case.expert.labels
    both = np.where(expert == 1, 3, expert)
    record = score_labels(
        expert,
        expert,
        SPACING,
        probabilities=np.linspace(0, 1, 6)[:, None].repeat(3, axis=1),
        brain=case.brain,
        before_exclusivity=both,
        settings=EvaluationSettings(min_pixels=5, probability=0.3),
    )
    assert record.calls["tumour"].present.tolist() == [False, True, True, False, False]
    assert record.calls["tumour"].called.tolist() == [False, True, True, True, True]
    assert record.calls["core"].left_out == 2
    assert record.overlaps["core"][Convention.PRESENT_SLICES].n == 0
    overlap = record.class_overlap
    assert overlap.union_fraction == 8 / 32
    assert overlap.dice == pytest.approx(2 * 8 / (8 + 32))
    assert overlap.ml == pytest.approx(8 * 6 / 1000)


def test_a_segmentation_brings_probabilities_and_overlap(make_case, segmentation):
    own, *others = evaluate_case(make_case(), segmentation)
    assert own.method == "gliocam"
    figures = dict(own.figures())
    for target in ("tumour", "core", "edema"):
        assert figures[Key("volume", target, "dice")] == 1
        assert figures[Key(IMAGE_LEVEL, target, "auc")] == 1
    assert figures[Key(CLASS_OVERLAP, "core and edema", "union_fraction")] == 8 / 32
    assert [record.method for record in others] == ["nothing", "all brain", "intensity"]
    assert all(record.class_overlap is None for record in others)


def test_what_is_not_divided_on_either_side_is_scored_as_tumour(make_case, segmentation):
    case = make_case()
    undivided = 4 * (case.expert.labels > 0).astype(np.uint8)
    expert = replace(case, expert=replace(case.expert, labels=undivided))
    for one, result in ((case, undivided), (expert, segmentation), (expert, case.expert.labels)):
        for record in evaluate_case(one, result):
            assert set(record.overlaps) == {"tumour"}
            assert record.class_overlap is None or result is segmentation
        assert evaluate_case(one, result)[0].overlaps["tumour"][Convention.VOLUME].dice == 1


def test_labels_are_scored_as_they_are(make_case):
    case = make_case()
    (record,) = evaluate_case(case, case.expert.labels, with_baselines=False)
    assert record.class_overlap is None
    assert record.image_level("core").undefined["auc"]
    both = np.where(case.expert.labels == 1, 3, case.expert.labels)
    (record,) = evaluate_case(case, both, with_baselines=False)
    assert record.class_overlap.union_fraction == 8 / 32


def test_a_case_without_expert_labels_is_named(make_case, segmentation):
    with pytest.raises(CaseError, match=r'"anna" has no expert labels'):
        evaluate_case(make_case(expert=False), segmentation)


def test_labels_of_another_size_are_refused(make_case):
    case = make_case()
    with pytest.raises(CaseError, match=r'"anna".*5 × 16 × 14.*6 × 16 × 14.*resample'):
        evaluate_case(case, case.expert.labels[1:])


def test_a_healthy_case_has_no_nan(make_case):
    case = make_case()
    healthy = replace(case, expert=replace(case.expert, labels=np.zeros(SHAPE, np.uint8)))
    for record in evaluate_case(healthy, case.expert.labels):
        text = json.dumps(record.to_json(), allow_nan=False)
        assert json.loads(text)["undefined"]["tumour"]["sensitivity"] == "no slice shows it"


def test_json_has_every_figure(make_case):
    case = make_case()
    (record,) = evaluate_case(case, case.expert.labels, with_baselines=False)
    written = record.to_json()
    for (group, target, metric), value in record.figures():
        assert written["figures"][group][target][metric] == value
    assert written["slices"]["core"]["showing_it"] == 2
    assert written["voxels"]["core"] == {"both": 8, "labels": 8, "expert": 8}
    assert "hd95_mm" not in written["figures"]["pooled"]["core"]
