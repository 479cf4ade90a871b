import pytest
import torch

from napari_gliocam.nets.multi_exit import MultiExitNet, lse_pool, pool


@pytest.mark.parametrize("classes", [1, 2])
def test_exits_lie_at_strides_2_4_8_8(classes):
    net = MultiExitNet(3, classes, width=8).eval()
    maps = net(torch.zeros(2, 3, 64, 48))
    assert [tuple(m.shape) for m in maps] == [
        (2, classes, 32, 24),
        (2, classes, 16, 12),
        (2, classes, 8, 6),
        (2, classes, 8, 6),
    ]


@pytest.mark.parametrize("strides", [(1, 2, 4, 4), (2, 2, 4, 8), (4, 8, 16, 32), (1, 1, 1, 1)])
def test_exits_lie_where_the_strides_say(strides):
    maps = MultiExitNet(3, 1, 4, strides).eval()(torch.zeros(1, 3, 48, 112))
    assert [tuple(m.shape[-2:]) for m in maps] == [(-(-48 // s), -(-112 // s)) for s in strides]


@pytest.mark.parametrize("norm", ["instance", "instance-affine"])
def test_instance_norm_makes_slices_independent_in_training_too(norm):
    torch.manual_seed(0)
    net = MultiExitNet(3, 1, width=4, norm=norm).train()
    assert any("stem.1" in name for name, _ in net.named_parameters()) is (norm != "instance")
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(net(images)[3][1:2], net(images[1:2])[3], atol=1e-5, rtol=1e-4)


def test_gap_is_the_mean_of_the_whole_map():
    activation, brain = torch.randn(2, 2, 8, 8), torch.zeros(2, 1, 32, 32)
    torch.testing.assert_close(pool(activation, brain, "gap"), activation.mean((2, 3)))
    torch.testing.assert_close(pool(activation, brain), lse_pool(activation, brain))


def test_slices_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    net = MultiExitNet(3, 1, width=8).eval()
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
