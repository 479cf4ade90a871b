import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.errors import GliocamError
from napari_gliocam.measure import Convention, EvaluationSettings, dice, hausdorff95, iou
from napari_gliocam.measure.scores.conventions import Counts, overlaps

PRESENT, VOLUME, ALL, POOLED = Convention
SPACING = (2.0, 1.0, 1.0)


@pytest.fixture
def some_slices():
    """Found in part; missed; twice found where nothing is; nothing at all."""
    labels, expert = np.zeros((2, 5, 6, 8), dtype=bool)
    expert[0, 2, 1:5] = True
    labels[0, 2, 3:7] = True
    expert[1, 3, 3] = True
    labels[2:4, 1, 1] = True
    return labels, expert


def test_by_hand(some_slices):
    found, counts = overlaps(*some_slices, SPACING)
    assert counts == Counts(both=2, labels=6, expert=5)
    diagonal = np.hypot(6, 8)
    # The surfaces are the lines themselves: distances 0, 0, 1, 2 in either direction.
    first = np.percentile([0, 0, 1, 2] * 2, 95)

    present = found[PRESENT]
    assert (present.n, present.penalised) == (2, 1)
    assert present.dice == pytest.approx((0.5 + 0) / 2)
    assert present.iou == pytest.approx((1 / 3 + 0) / 2)
    assert present.hd95 == pytest.approx((first + diagonal) / 2)

    every = found[ALL]
    assert (every.n, every.penalised) == (5, 3)
    assert every.dice == pytest.approx((0.5 + 1) / 5)
    assert every.iou == pytest.approx((1 / 3 + 1) / 5)
    assert every.hd95 == pytest.approx((first + 3 * diagonal) / 5)

    volume = found[VOLUME]
    assert (volume.n, volume.penalised) == (1, 0)
    assert volume.dice == pytest.approx(4 / 11)
    assert volume.iou == pytest.approx(2 / 9)
    assert volume.hd95 == hausdorff95(*some_slices, SPACING)

    pooled = found[POOLED]
    assert (pooled.dice, pooled.iou, pooled.hd95) == (volume.dice, volume.iou, None)


@given(st.integers(0, 1000))
def test_they_agree_with_the_plain_functions(seed):
    rng = np.random.default_rng(seed)
    labels, expert = rng.random((2, 4, 5, 6)) < rng.choice([0.0, 0.1, 0.6], size=(2, 4, 1, 1))
    found, _ = overlaps(labels, expert, SPACING)
    assert found[VOLUME].dice == pytest.approx(dice(labels, expert))
    assert found[VOLUME].iou == pytest.approx(iou(labels, expert))
    pairs = list(zip(labels, expert, strict=True))
    for metric, function in (
        ("dice", dice),
        ("iou", iou),
        ("hd95", lambda a, b: hausdorff95(a, b, SPACING[1:])),
    ):
        every = [function(a, b) for a, b in pairs]
        assert getattr(found[ALL], metric) == pytest.approx(np.mean(every))
        shown = [value for value, (_, b) in zip(every, pairs, strict=True) if b.any()]
        if shown:
            assert getattr(found[PRESENT], metric) == pytest.approx(np.mean(shown))
        else:
            assert getattr(found[PRESENT], metric) is None


def test_nothing_found_where_nothing_is():
    nothing = np.zeros((3, 4, 4), dtype=bool)
    found, counts = overlaps(nothing, nothing, SPACING)
    assert counts == Counts(0, 0, 0)
    assert found[PRESENT].n == 0
    assert found[PRESENT].dice is found[PRESENT].iou is found[PRESENT].hd95 is None
    for convention in (VOLUME, ALL):
        overlap = found[convention]
        assert (overlap.dice, overlap.iou, overlap.hd95) == (1, 1, 0)
        assert overlap.penalised == 0
    assert found[POOLED].dice is None


def test_the_empty_prediction_is_rewarded_for_every_empty_slice(some_slices):
    _, expert = some_slices
    found, _ = overlaps(np.zeros_like(expert), expert, SPACING)
    assert found[ALL].dice == pytest.approx(3 / 5)
    assert found[PRESENT].dice == found[VOLUME].dice == found[POOLED].dice == 0
    assert found[VOLUME].hd95 == pytest.approx(np.sqrt(10**2 + 6**2 + 8**2))


def test_one_penalty_for_all_on_request(some_slices):
    _, expert = some_slices
    settings = EvaluationSettings(max_distance=373.12866)
    found, _ = overlaps(np.zeros_like(expert), expert, SPACING, settings)
    assert found[VOLUME].hd95 == found[PRESENT].hd95 == 373.12866


def test_a_slice_shows_the_class_from_some_pixels_on(some_slices):
    found, _ = overlaps(*some_slices, SPACING, EvaluationSettings(min_pixels=2))
    assert found[PRESENT].n == 1
    assert found[PRESENT].dice == pytest.approx(0.5)


def test_one_slice(some_slices):
    labels, expert = (mask[:1] for mask in some_slices)
    found, _ = overlaps(labels, expert, SPACING)
    assert found[VOLUME].dice == found[PRESENT].dice == found[ALL].dice == 0.5
    assert found[VOLUME].hd95 == found[PRESENT].hd95


def test_the_definition_of_hd95_is_passed_on():
    labels, expert = np.zeros((2, 1, 1, 200), dtype=bool)
    labels[..., :19] = expert[..., :19] = True
    expert[..., 118] = True
    found, _ = overlaps(labels, expert, SPACING, EvaluationSettings(hd95="max-directed"))
    assert found[VOLUME].hd95 == found[PRESENT].hd95 == pytest.approx(5)


def test_counts_add_up():
    one, other = Counts(1, 2, 3), Counts(3, 4, 5)
    assert one + other == Counts(4, 6, 8)
    assert (one + other).pooled.dice == pytest.approx(8 / 14)
    assert (one + other).pooled.iou == pytest.approx(4 / 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hd95": "mean"},
        {"max_distance": 0.0},
        {"max_distance": float("nan")},
        {"max_distance": float("inf")},
        {"min_pixels": 0},
        {"probability": 1.5},
    ],
)
def test_wrong_settings_are_a_sentence(wrong):
    with pytest.raises(GliocamError, match="choose"):
        EvaluationSettings(**wrong)


@pytest.mark.filterwarnings("ignore")
def test_dice_and_iou_are_those_of_monai():
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        labels, expert = rng.random((2, 6, 9, 8)) < share
        pair = [torch.from_numpy(mask)[None, None].float() for mask in (labels, expert)]
        found, _ = overlaps(labels, expert, SPACING)
        for value, function in (
            (found[VOLUME].dice, metrics.compute_dice),
            (found[VOLUME].iou, metrics.compute_iou),
        ):
            assert value == pytest.approx(function(*pair).item(), abs=1e-6)
