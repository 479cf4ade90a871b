import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.io import read_case, read_labels
from napari_gliocam.measure import (
    CONFUSION_NAMES,
    Convention,
    EvaluationSettings,
    compare_labels,
    confusion,
)

SPACING = (4.0, 1.0, 1.5)
CLASSES = {"tumour": (1, 2, 3), "core": (1, 3), "edema": (2, 3)}


def pair(seed, shape=(5, 12, 11)):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 4, shape) * (rng.random(shape) < 0.4)
    other = np.where(rng.random(shape) < 0.8, base, rng.integers(0, 4, shape))
    return base.astype(np.uint8), other.astype(np.uint8)


@given(st.integers(0, 500), st.sampled_from(list(CLASSES)))
def test_every_voxel_is_what_its_name_says(seed, target):
    labels, other = pair(seed, (2, 4, 5))
    found = confusion(labels, other, target)
    names = {
        (True, True): "true positive",
        (True, False): "false positive",
        (False, True): "false negative",
        (False, False): "true negative",
    }
    for index in np.ndindex(labels.shape):
        mine, theirs = labels[index] in CLASSES[target], other[index] in CLASSES[target]
        name = CONFUSION_NAMES.get(int(found[index]), "true negative")
        assert name == names[bool(mine), bool(theirs)]


def test_it_is_written_in_place():
    labels, other = pair(0)
    out = np.full(labels.shape, 7, dtype=np.uint8)
    assert confusion(labels, other, "core", out=out) is out
    np.testing.assert_array_equal(out, confusion(labels, other, "core"))


def test_the_figures_of_the_volume_by_hand():
    labels, other = pair(1)
    found = compare_labels(labels, other, SPACING)
    for target, values in CLASSES.items():
        mine, theirs = np.isin(labels, values), np.isin(other, values)
        volume = found[target].overlaps[Convention.VOLUME]
        both = (mine & theirs).sum()
        assert volume.dice == pytest.approx(2 * both / (mine.sum() + theirs.sum()), abs=1e-12)
        assert volume.iou == pytest.approx(both / (mine | theirs).sum(), abs=1e-12)
        assert set(found[target].overlaps) == set(Convention)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_dice_iou_and_hd95_are_those_of_monai(seed):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    labels, other = pair(seed, (7, 20, 17))
    found = compare_labels(labels, other, SPACING, EvaluationSettings(hd95="max-directed"))
    for target, values in CLASSES.items():
        tensors = [torch.from_numpy(np.isin(v, values))[None, None] for v in (labels, other)]
        volume = found[target].overlaps[Convention.VOLUME]
        theirs = metrics.compute_hausdorff_distance(
            *tensors, include_background=True, percentile=95, spacing=[*SPACING]
        )
        assert volume.hd95 == pytest.approx(theirs.item(), rel=1e-6, abs=1e-6)
        for ours, compute in (
            (volume.dice, metrics.compute_dice),
            (volume.iou, metrics.compute_iou),
        ):
            score = compute(*[t.double() for t in tensors], include_background=True)
            assert ours == pytest.approx(score.item(), abs=1e-6)


def test_other_shapes_are_refused():
    labels, other = pair(0)
    for call in (confusion, lambda a, b: compare_labels(a, b, SPACING)):
        with pytest.raises(GliocamError, match="5 × 12 × 11 voxels and the others 4 × 12 × 11"):
            call(labels, other[:4])


def test_a_result_on_another_grid_is_a_sentence(shared_cases):
    case = read_case(shared_cases / "BraTS2021_00006")
    path = shared_cases / "BraTS2021_01481" / "BraTS2021_01481_seg.nii.gz"
    from dataclasses import replace

    moved = replace(case.grid, affine=case.grid.affine + np.eye(4)[:, ::-1] * 0)
    assert read_labels(path, moved).expert.labels.shape == case.grid.shape
    shifted = case.grid.affine.copy()
    shifted[0, 3] += 30
    with pytest.raises(CaseError, match=r"another grid than the case \(position, by 30 mm\)"):
        read_labels(path, replace(case.grid, affine=shifted))
