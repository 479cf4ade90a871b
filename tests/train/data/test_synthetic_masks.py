import numpy as np

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.progress import finish
from napari_gliocam.train.data.packed import packed_labels
from napari_gliocam.train.data.synthetic_masks import drawing_phantoms, phantom_with_masks


def test_masks_lie_on_the_middle_slice():
    brain = procedural_anatomy(0)
    stored, labels = phantom_with_masks(brain, [1, 2, 3], SegmenterDesign(neighbours=1))
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
    draw = finish(drawing_phantoms(tmp_path, 1, SegmenterDesign(), 0))
    before = draw[0].read_bytes()
    assert packed_labels(draw[0]).shape[1] == 3
    assert finish(drawing_phantoms(tmp_path, 1, SegmenterDesign(), 0)) == draw
    assert draw[0].read_bytes() == before
