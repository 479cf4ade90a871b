import numpy as np

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.progress import finish
from napari_gliocam.train.data.packed import open_slices
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases, synthetic_slices


def test_masks_lie_on_the_middle_slice():
    brain = procedural_anatomy(0)
    how = Drawing.with_masks(SegmenterDesign(neighbours=1), 2, 4)
    stored, labels, _ = synthetic_slices(brain, [1, 2, 3], how)
    assert stored.shape[1] == 3 * 3 + 2
    masks, flair = stored[:, -2:], stored[:, 5]
    assert set(np.unique(masks)) <= {0, 1}
    np.testing.assert_array_equal(labels[:, 0], labels[:, 1:].max(axis=1))
    shown = labels[:, 2] > 0
    assert shown.any()
    inside, outside = masks[shown, 1] > 0, flair[shown] != 0
    assert flair[shown][inside].mean() > flair[shown][outside].mean()
    assert not np.array_equal(stored[:, 2], stored[:, 5])  # a neighbour is another slice


def test_drawn_cases_are_kept(tmp_path):
    how = Drawing.with_masks(SegmenterDesign(), 4, 4)
    draw = finish(drawing_cases(tmp_path, 1, how, 0))
    before = draw[0].read_bytes()
    slices = open_slices(draw, [-1])
    assert slices.labels.shape[1] == 3
    stored = slices.images[np.arange(len(slices))]
    assert stored.shape[1] == 3 + 4
    np.testing.assert_array_equal(stored[:, -2:], stored[:, -4:-2])  # one mask is both
    assert finish(drawing_cases(tmp_path, 1, how, 0)) == draw
    assert draw[0].read_bytes() == before
