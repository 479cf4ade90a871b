from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.measure import BRATS_DISTANCE, hausdorff95
from napari_gliocam.measure.scores.surface import (
    diagonal,
    surface,
    surface_distances,
)

SPACINGS = st.sampled_from([(1.0, 1.0, 1.0), (6.0, 0.9, 0.9), (2.5, 1.0, 0.4)])


def blobs(seed, shape=(5, 7, 6)):
    """Two masks that are not empty, sparse or dense, with or without contact to the border."""
    rng = np.random.default_rng(seed)
    for _ in range(2):
        mask = rng.random(shape) < rng.choice([0.02, 0.2, 0.8])
        mask[tuple(rng.integers(0, n) for n in shape)] = True
        yield mask


def border_voxels(mask):
    """By hand: a voxel of the mask with a face to a voxel that is not, or to the outside."""
    found = []
    for place in product(*map(range, mask.shape)):
        neighbours = [
            tuple(place[i] + step * (i == axis) for i in range(mask.ndim))
            for axis in range(mask.ndim)
            for step in (-1, 1)
        ]
        inside = all(
            all(0 <= n < size for n, size in zip(neighbour, mask.shape, strict=True))
            and mask[neighbour]
            for neighbour in neighbours
        )
        if mask[place] and not inside:
            found.append(place)
    return found


def distances_by_hand(a, b, spacing):
    ends = [np.array(border_voxels(mask)) * spacing for mask in (a, b)]
    between = np.linalg.norm(ends[0][:, None] - ends[1][None], axis=-1)
    return between.min(axis=1), between.min(axis=0)


@given(st.integers(0, 10_000))
def test_the_surface_has_a_face_to_the_outside(seed):
    mask, _ = blobs(seed)
    assert list(map(tuple, np.argwhere(surface(mask)))) == border_voxels(mask)
    assert list(map(tuple, np.argwhere(surface(mask[2])))) == border_voxels(mask[2])


@settings(max_examples=60)
@given(st.integers(0, 10_000), SPACINGS)
def test_hd95_is_that_of_all_pairs(seed, spacing):
    a, b = blobs(seed)
    by_hand = distances_by_hand(a, b, spacing)
    for found, expected in zip(surface_distances(a, b, spacing), by_hand, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    pooled = np.percentile(np.hstack(by_hand), 95)
    directed = max(np.percentile(one, 95) for one in by_hand)
    assert hausdorff95(a, b, spacing) == pytest.approx(pooled, abs=1e-9)
    assert hausdorff95(a, b, spacing, definition="max-directed") == pytest.approx(
        directed, abs=1e-9
    )


@given(st.integers(0, 10_000), SPACINGS)
def test_hd95_is_symmetric_and_0_for_the_same_mask(seed, spacing):
    a, b = blobs(seed)
    assert hausdorff95(a, a, spacing) == 0
    assert hausdorff95(a, b, spacing) == hausdorff95(b, a, spacing)


def test_air_around_changes_nothing():
    a, b = (np.pad(mask, 1) for mask in blobs(5))
    wide = [np.pad(mask, ((0, 9), (13, 2), (4, 4))) for mask in (a, b)]
    assert hausdorff95(*wide, (3, 1, 1)) == hausdorff95(a, b, (3, 1, 1))


def test_the_two_definitions_differ():
    """One far voxel among many: it is a twentieth of one set, not of both together."""
    a = np.zeros((1, 200), dtype=bool)
    a[0, :19] = True
    b = a.copy()
    b[0, 118] = True
    assert hausdorff95(a, b, (1, 1)) == 0
    assert hausdorff95(a, b, (1, 1), definition="max-directed") == pytest.approx(5)


def test_empty_masks():
    nothing, something = np.zeros((3, 4), dtype=bool), np.ones((3, 4), dtype=bool)
    assert hausdorff95(nothing, nothing, (1, 1)) == 0
    assert hausdorff95(nothing, something, (2, 3)) == pytest.approx(np.hypot(6, 12))
    assert hausdorff95(something, nothing, (2, 3), max_distance=373.0) == 373.0
    with pytest.raises(ValueError, match="empty"):
        surface_distances(nothing, something, (1, 1))


def test_the_preset_is_the_diagonal_of_a_brats_volume():
    assert diagonal((155, 240, 240), (1, 1, 1)) == pytest.approx(BRATS_DISTANCE, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.9, 1.1)])
def test_max_directed_is_that_of_monai(spacing):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    for seed in range(10):
        a, b = blobs(seed, (9, 16, 13))
        pair = [torch.from_numpy(mask)[None, None] for mask in (a, b)]
        theirs = metrics.compute_hausdorff_distance(
            *pair, include_background=True, percentile=95, spacing=[*spacing]
        )
        ours = hausdorff95(a, b, spacing, definition="max-directed")
        assert ours == pytest.approx(theirs.item(), rel=1e-6, abs=1e-6)
