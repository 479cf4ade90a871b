import numpy as np
import pytest

from napari_gliocam import compute_maps, load_bundle, make_phantom
from napari_gliocam.measure import read_voxel
from napari_gliocam.progress import finish

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def net():
    return load_bundle().net


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    brain = torch.zeros(2, 1, 64, 48)
    brain[:, :, 8:56, 8:40] = 1
    return torch.randn(2, 3, 64, 48, generator=generator) * brain, brain


def test_the_weights_are_those_behind_the_tumour_map(net):
    from napari_gliocam.nets.aggregator import exit_maps, weigh

    images, brain = batch()
    with torch.inference_mode():
        exits = [e.float() for e in net.turned(net.exits(images))]
        aggregates, guided, attention = net.weighed(images, exits, brain)
        maps = exit_maps(exits, brain, net.design.map_range)
        by_hand = weigh(attention[:, :, :1], maps[:, :, :1])
        plain = net.aggregate(images, exits, brain)
    assert attention.shape == (2, 4, 3, 32, 24)
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(2, 3, 32, 24))
    torch.testing.assert_close(aggregates[:, :1], by_hand)
    torch.testing.assert_close(plain, (aggregates, guided))


@pytest.mark.parametrize("kind", ["joint", "conv3d"])
def test_attention_at_full_resolution_weighs_every_pixel(kind):
    from napari_gliocam.nets.gliocam import GliocamNet

    torch.manual_seed(0)
    net = GliocamNet(width=4, attention=kind, attention_stride=1).eval()
    for parameter in net.class_attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images, brain = batch()
    with torch.inference_mode():
        maps = net(images, brain)
    assert maps.attention.shape == (2, 4, 3, 64, 48)
    torch.testing.assert_close(maps.attention.sum(dim=1), torch.ones(2, 3, 64, 48))


def test_a_case_keeps_its_weights():
    case = make_phantom("enhancing", shape=(16, 96, 96), spacing=(9.0, 2.4, 2.4))
    maps = finish(compute_maps(case, device="cpu"))
    height, width = maps.trace.frame.network_shape
    for weights in maps.trace.attention.values():
        assert weights.dtype == np.uint8
        assert weights.shape == (len(maps.trace.frame), 4, height // 2, width // 2)
        total = weights.sum(axis=1, dtype=int)
        assert total.min() >= 253
        assert total.max() <= 257
    voxel = np.unravel_index(int(maps.tumour.argmax()), maps.tumour.shape)
    reading = read_voxel(case, voxel, maps=maps)
    for exits in reading.exits.values():
        assert sum(e.weight for e in exits) == pytest.approx(1)
        assert sum(e.share for e in exits) == pytest.approx(1)
