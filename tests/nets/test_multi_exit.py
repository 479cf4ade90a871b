import pytest
import torch

from napari_gliocam.nets.multi_exit import MultiExitResNet, lse_pool


@pytest.mark.parametrize("classes", [1, 2])
def test_exits_lie_at_strides_2_4_8_8(classes):
    net = MultiExitResNet(3, classes, width=8).eval()
    maps = net(torch.zeros(2, 3, 64, 48))
    assert [tuple(m.shape) for m in maps] == [
        (2, classes, 32, 24),
        (2, classes, 16, 12),
        (2, classes, 8, 6),
        (2, classes, 8, 6),
    ]


def test_slices_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    net = MultiExitResNet(3, 1, width=8).eval()
    images = torch.randn(3, 3, 32, 32)
    together, alone = net(images), net(images[1:2])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-5, rtol=1e-4)


def test_pooling_lies_between_mean_and_maximum_of_the_brain():
    torch.manual_seed(1)
    activation = torch.randn(4, 2, 16, 16)
    brain = torch.zeros(4, 1, 64, 64)
    brain[..., 16:48, 16:48] = 1
    inside = activation[..., 4:12, 4:12]
    pooled = lse_pool(activation, brain)
    assert (pooled <= inside.amax((2, 3)) + 1e-5).all()
    assert (pooled >= inside.mean((2, 3)) - 0.02).all()


def test_pooling_ignores_air():
    activation = torch.zeros(1, 1, 8, 8)
    activation[..., :2, :] = 50.0
    brain = torch.ones(1, 1, 8, 8)
    brain[..., :2, :] = 0
    assert abs(float(lse_pool(activation, brain))) < 0.05
