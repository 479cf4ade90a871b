import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.case import Grid
from napari_gliocam.measure import diameters, measure_labels
from napari_gliocam.measure.lesion.diameters import NO_DIAMETERS, diameters_by_lesion

SPACINGS = st.sampled_from([(1.0, 1.0, 1.0), (5.0, 0.9, 0.9), (3.0, 1.0, 0.4), (1.0, 0.5, 2.0)])


def longest(mask, spacing):
    """All of a mask as one lesion."""
    return diameters_by_lesion(mask, mask.astype(np.int32), 1, spacing)[0]


def random_shape(seed, shape=(3, 14, 11)):
    """Discs and sticks thrown together, with specks: round, long, hollow and in parts."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < rng.choice([0.0, 0.03, 0.3])
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    for _ in range(rng.integers(0, 4)):
        index = rng.integers(shape[0])
        row, column = rng.integers(shape[1]), rng.integers(shape[2])
        radius = rng.uniform(0.5, 6)
        disc = ((rows - row) / rng.uniform(0.5, 2)) ** 2 + (columns - column) ** 2 < radius**2
        mask[index] = mask[index] & ~disc if rng.random() < 0.2 else mask[index] | disc
    mask[tuple(rng.integers(0, n) for n in shape)] = True
    return mask


def parts_by_hand(plane):
    """Pieces of a slice that hold together at sides or corners, found by walking."""
    left, parts = set(map(tuple, np.argwhere(plane).tolist())), []
    while left:
        walk, part = [left.pop()], []
        while walk:
            part.append(walk.pop())
            row, column = part[-1]
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    walk.append(near)
        parts.append(np.array(part))
    return parts


def outlines_by_hand(part, shape):
    """The outline by scikit-image, as lines in voxels."""
    measure = pytest.importorskip("skimage.measure")
    alone = np.zeros(shape)
    alone[tuple(part.T)] = 1
    contours = measure.find_contours(np.pad(alone, 1), 0.5, fully_connected="high")
    return np.concatenate([np.stack([c[:-1], c[1:]], axis=1) for c in contours]) - 1


def longest_across(lines, pair):
    """The longest chord at right angles to a pair, looked for at many places."""
    axis = (pair[1] - pair[0]) / np.linalg.norm(pair[1] - pair[0])
    along, aside = lines @ axis, lines @ [-axis[1], axis[0]]
    places = np.unique(along)
    places = np.concatenate([places, places - 1e-7, places + 1e-7])
    longest = 0.0
    for place in places:
        met = []
        for (a, b), (c, d) in zip(along, aside, strict=True):
            if min(a, b) <= place <= max(a, b):
                met += [c, d] if a == b else [c + (d - c) * (place - a) / (b - a)]
        if met:
            longest = max(longest, max(met) - min(met))
    return longest


@settings(max_examples=120)
@given(st.integers(0, 10**6), SPACINGS)
def test_the_largest_diameter_is_that_of_all_pairs(seed, spacing):
    mask = random_shape(seed)
    plane_mm = np.array(spacing[1:])
    found = longest(mask, spacing)
    centres = outline = 0.0
    for plane in mask:
        for part in parts_by_hand(plane):
            ends = part * plane_mm
            centres = max(centres, np.linalg.norm(ends[:, None] - ends[None], axis=-1).max())
            points = outlines_by_hand(part, plane.shape)[:, 0] * plane_mm
            outline = max(outline, np.linalg.norm(points[:, None] - points[None], axis=-1).max())
    assert found.long_mm == pytest.approx(outline, abs=1e-9)
    # Between the centres of voxels it is shorter by no more than one voxel.
    assert centres <= found.long_mm <= centres + plane_mm.max() + 1e-9


@settings(max_examples=80)
@given(st.integers(0, 10**6), SPACINGS)
def test_the_perpendicular_is_the_longest_chord_at_right_angles(seed, spacing):
    mask = random_shape(seed)
    plane_mm = np.array(spacing[1:])
    found = longest(mask, spacing)
    long, across = (
        np.array([line.start, line.end])[:, 1:] * plane_mm
        for line in (found.long, found.perpendicular)
    )
    assert abs((long[1] - long[0]) @ (across[1] - across[0])) < 1e-6 * found.long_mm
    for line, ends in ((found.long, long), (found.perpendicular, across)):
        assert line.start[0] == line.end[0] == found.slice
        assert line.mm == pytest.approx(np.linalg.norm(ends[1] - ends[0]))
    plane = mask[found.slice]
    for part in parts_by_hand(plane):
        lines = outlines_by_hand(part, plane.shape) * plane_mm
        if np.linalg.norm(lines[:, 0] - long[0], axis=-1).min() < 1e-9:
            # A fold of the outline right at a place may be met from one side alone.
            assert found.perpendicular_mm == pytest.approx(longest_across(lines, long), abs=1e-3)
            return
    pytest.fail("the diameter does not begin on an outline")


@pytest.mark.parametrize("spacing", [(1, 1, 1), (4, 0.5, 2)])
def test_a_rectangle_of_voxels(spacing):
    mask = np.zeros((2, 9, 9), dtype=bool)
    mask[1, 2:3, 1:7] = True
    found = diameters(mask, spacing)
    assert found.slice == 1
    assert found.long_mm == pytest.approx(6 * spacing[2])
    assert found.perpendicular_mm == pytest.approx(spacing[1])
    assert found.product_mm2 == pytest.approx(6 * spacing[1] * spacing[2])
    assert {found.long.start, found.long.end} == {(1.0, 2.0, 0.5), (1.0, 2.0, 6.5)}


def test_a_disc():
    rows, columns = np.ogrid[:101, :101]
    mask = ((rows - 50) ** 2 + (columns - 50) ** 2 <= 40**2)[None]
    found = diameters(mask, (1, 1, 1))
    assert found.long_mm == pytest.approx(81, abs=0.5)
    assert found.perpendicular_mm == pytest.approx(81, abs=1)
    wide = diameters(mask, (1, 1, 2))
    assert (wide.long_mm, wide.perpendicular_mm) == pytest.approx((162, 81), abs=1)


def test_a_bent_lesion_is_measured_on_itself_and_not_across_its_hollow():
    mask = np.zeros((1, 40, 40), dtype=bool)
    mask[0, 4:34, 4:8] = mask[0, 30:34, 4:34] = True
    found = diameters(mask, (1, 1, 1))
    assert found.long_mm == pytest.approx(math.hypot(29, 30), abs=1)
    assert found.perpendicular_mm < 8  # 21 from the bend to the line between the ends


def test_parts_of_a_slice_are_measured_by_themselves():
    mask = np.zeros((1, 10, 40), dtype=bool)
    mask[0, 5, 2:6] = mask[0, 5, 30:37] = True
    assert diameters(mask, (1, 1, 1)).long_mm == pytest.approx(7)


def test_of_several_lesions_the_one_with_the_largest_product_counts():
    mask = np.zeros((3, 40, 40), dtype=bool)
    mask[1, 2:12, 2:12] = True
    mask[1, 30:32, 2:38] = True  # longer, and thin
    broad = diameters(mask, (1, 1, 1))
    assert broad.long_mm < 15
    # Within one lesion the longest diameter counts.
    assert diameters(mask, (1, 1, 1), np.ones_like(mask)).long_mm > 35


@settings(max_examples=60)
@given(st.integers(0, 10**6), SPACINGS)
def test_a_class_has_the_diameters_that_the_table_of_measures_gives_it(seed, spacing):
    core, edema = random_shape(seed), random_shape(seed + 1)
    labels = np.where(core, 1, np.where(edema, 2, 0)).astype(np.uint8)
    grid = Grid(np.diag([*spacing[::-1], 1.0]), labels.shape[::-1])
    table = measure_labels(labels, grid, min_ml=0).case
    assert diameters(core, spacing, labels > 0) == table.core.diameters
    assert diameters(labels > 0, spacing) == table.tumour.diameters


def test_the_whole_image_and_one_voxel():
    assert diameters(np.ones((1, 1, 1), dtype=bool), (1, 1, 3)).product_mm2 == pytest.approx(3)
    full = diameters(np.ones((2, 30, 40), dtype=bool), (1, 1, 1))
    assert full.long_mm == pytest.approx(math.hypot(40, 29))


def test_nothing_has_no_diameters():
    nothing = np.zeros((3, 5, 5), dtype=bool)
    assert diameters(nothing, (1, 1, 1)) == NO_DIAMETERS
    assert (NO_DIAMETERS.long_mm, NO_DIAMETERS.product_mm2, NO_DIAMETERS.lines) == (0, 0, ())
    assert diameters_by_lesion(nothing, nothing.astype(int), 2, (1, 1, 1)) == [NO_DIAMETERS] * 2


def test_lesions_are_measured_each_by_itself_where_they_lie_in_the_case():
    lesions = np.zeros((3, 20, 20), dtype=np.int32)
    lesions[0, 2, 2:9] = 2
    lesions[2, 10:14, 5] = 1
    first, second = diameters_by_lesion(lesions > 0, lesions, 2, (1, 1, 1), (10, 20, 30))
    assert (first.long_mm, first.slice) == (4, 12)
    assert (second.long_mm, second.slice) == (7, 10)
    assert {second.long.start, second.long.end} == {(10.0, 22.0, 31.5), (10.0, 22.0, 38.5)}
