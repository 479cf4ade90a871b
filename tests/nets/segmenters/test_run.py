import numpy as np
import pytest
import torch
from torch import nn

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.nets.segmenters.run import image_logits, running_segmenter
from napari_gliocam.progress import finish
from napari_gliocam.slices import SliceFrame, SliceStack

SHAPE = (5, 48, 40)


class Linear(nn.Module):
    """Logits of tumour, core and edema are three channels as they are."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, images):
        assert all(side % 32 == 0 for side in images.shape[2:])
        return images[:, self.first : self.first + 3]


def stack_of(seed=0):
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[:, 4:-4, 4:-4] = True
    images = rng.normal(0, 2, (5, 3, *SHAPE[1:])).astype(np.float32) * brain[:, None]
    frame = SliceFrame(SHAPE, tuple(range(5)), (0, 48), (0, 40), SHAPE[1:])
    return SliceStack(images, brain, frame, ())


def run(stack, design, first, even=0.5):
    work = running_segmenter(Linear(first), design, stack, 2.0, torch.device("cpu"), 2, even)
    return finish(work)


@pytest.mark.parametrize("even", [0.4, 0.5])
def test_even_odds_lie_at_the_threshold(even):
    stack = stack_of()
    found = run(stack, SegmenterDesign(), 0, even)
    tumour, core, edema = found.maps
    logits = stack.images.transpose(1, 0, 2, 3)
    inside = stack.brain
    np.testing.assert_array_equal(tumour[inside] > even, logits[0][inside] > 0)
    np.testing.assert_array_equal(
        core[inside] > edema[inside], logits[1][inside] > logits[2][inside]
    )
    assert not found.maps[:, ~inside].any()


def test_the_middle_channels_are_the_slice_itself():
    stack = stack_of()
    plain = run(stack, SegmenterDesign(), 0)
    beside = run(stack, SegmenterDesign(neighbours=1, neighbour_mm=2.0), 3)
    below = run(stack, SegmenterDesign(neighbours=1, neighbour_mm=2.0), 0)
    np.testing.assert_allclose(beside.maps, plain.maps, rtol=1e-5)
    everywhere = stack.brain[1:] & stack.brain[:-1]
    found, wanted = below.maps[0, 1:][everywhere], plain.maps[0, :-1][everywhere]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_network_that_mirrors_with_the_slice_is_its_own_mean():
    stack = stack_of()
    plain, mean = (run(stack, SegmenterDesign(mirror=m), 0) for m in (False, True))
    np.testing.assert_allclose(mean.maps, plain.maps, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(mean.scores, plain.scores, rtol=1e-4)


def test_a_slice_is_scored_by_its_surest_pixels_in_the_brain():
    logits = torch.full((1, 1, 16, 16), -6.0)
    brain = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    brain[..., :8] = True
    logits[..., 4:10, 10:14] = 9.0  # in air
    assert image_logits(logits, brain).item() == pytest.approx(-6.0)
    logits[..., 4:10, 2:7] = 5.0
    assert image_logits(logits, brain).item() == pytest.approx(5.0)
