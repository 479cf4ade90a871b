from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_gliocam.phantom.heads import (
    brain_of_labels,
    draw_anatomy,
    draw_head,
    draw_sequence,
    head_of_labels,
)


def head_labels() -> np.ndarray:
    """A head of shells: skin, skull, fluid, cortex, white matter; 3 mm voxels."""
    place = np.stack(np.meshgrid(*[np.arange(n) for n in (60, 72, 60)], indexing="ij")) * 3.0
    centre = np.array([95.0, 108.0, 90.0])[:, None, None, None]
    distance = np.sqrt((((place - centre) / (1.0, 1.15, 0.95)[0]) ** 2).sum(0))
    labels = np.zeros(distance.shape, np.int16)
    for radius, number in ((86, 511), (80, 515), (72, 24), (68, 3), (62, 2), (12, 4)):
        labels[distance < radius] = number
    return labels


@pytest.fixture(scope="module")
def head():
    return head_of_labels(head_labels(), 3.0)


def test_a_drawn_head_shows_its_brain_inside(head):
    drawn = draw_head(head, np.random.default_rng(1), lesions=0, cut_off=False)
    image, share = drawn.image, drawn.brain
    assert not drawn.lesion.any()
    assert image.shape == share.shape == (96, 112, 96)
    assert torch.isfinite(image).all()
    litres = float(share.sum()) * 2.0**3 / 1e6
    assert 0.7 < litres < 2.5
    again = draw_head(head, np.random.default_rng(1), lesions=0, cut_off=False)
    assert torch.equal(image, again.image)


def test_a_lesion_at_the_border_belongs_to_the_brain(head):
    plain = draw_head(head, np.random.default_rng(3), lesions=0, moved=False, cut_off=False).brain
    grown = [
        draw_head(head, np.random.default_rng(seed), lesions=2, moved=False, cut_off=False)
        for seed in range(3)
    ]
    for one in grown:
        assert one.lesion.any()
        assert float((plain - one.brain).max()) == 0  # nothing is taken away
        assert float((one.lesion - one.brain).max()) <= 0
    assert any(float(one.brain.sum()) > float(plain.sum()) for one in grown)


def test_a_cut_off_view_cuts_image_and_brain(head):
    sizes = [
        float(draw_head(head, np.random.default_rng(seed), moved=False, lesions=0).brain.sum())
        for seed in range(5)
    ]
    assert min(sizes) < 0.95 * max(sizes)


@pytest.fixture(scope="module")
def lobes():
    """Two blocks of cortex on one of white matter, 6 mm apart, in fluid and bone; 1 mm voxels."""
    labels = np.full((60, 60, 70), 515, np.int16)
    labels[8:52, 8:52, 8:62] = 24
    labels[18:50, 10:50, 10:32] = labels[18:50, 10:50, 38:60] = 3
    labels[10:18, 10:50, 10:60] = 2
    return labels


def test_dura_between_lobes_belongs_to_the_brain_and_bone_does_not(lobes):
    labels = lobes.copy()
    labels[18:52, 8:52, 33:37] = 514  # a fold of dura, 4 mm
    brain = brain_of_labels(labels, 1.0)
    assert brain[20:40, 20:40, 15:55].all()
    assert np.array_equal(brain[:45], brain_of_labels(lobes, 1.0)[:45])
    labels[18:, :, 31:39] = 515
    assert not brain_of_labels(labels, 1.0)[28:, :, 33:37].any()


def test_the_brain_has_no_spurs(lobes):
    labels = lobes.copy()
    labels[2:11, 28:31, 20:23] = 16  # a nerve through the skull
    brain = brain_of_labels(labels, 1.0)
    assert not brain[:6].any()
    assert not (brain != brain_of_labels(lobes, 1.0))[12:].any()


def test_a_head_is_drawn_where_its_labels_are(head):
    there = head.to(torch.device("cpu"))
    drawn = draw_head(there, np.random.default_rng(1))
    assert drawn.image.device.type == "cpu"
    assert torch.equal(drawn.image, draw_head(head, np.random.default_rng(1)).image)


def test_sequences_of_an_anatomy_share_nothing_but_the_anatomy(head):
    anatomy = draw_anatomy(head, np.random.default_rng(1), lesions=1)
    first = draw_sequence(anatomy, np.random.default_rng(2), cut_off=False)
    brain, image = first.brain.clone(), first.image.clone()
    for seed in range(3, 6):  # the cut-off of one leaves the others whole
        draw_sequence(anatomy, np.random.default_rng(seed))
    again = draw_sequence(anatomy, np.random.default_rng(2), cut_off=False)
    assert torch.equal(again.brain, brain)
    assert torch.equal(first.brain, brain)
    assert torch.equal(again.image, image)
