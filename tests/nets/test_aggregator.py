import pytest
import torch

from napari_gliocam.nets.aggregator import (
    ExitAttention,
    exit_maps,
    guide,
    share,
    shrink,
    stretch,
    weigh,
)
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.targets import TUMOUR_ALONE


@pytest.mark.parametrize("classes", [1, 2])
def test_attention_sums_to_1_and_starts_as_the_average(classes):
    attention = ExitAttention(classes)
    weights = attention(torch.randn(2, 3, 16, 16), torch.rand(2, 4, classes, 16, 16))
    assert weights.shape == (2, 4, classes, 16, 16)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, classes, 16, 16))
    torch.testing.assert_close(weights, torch.full_like(weights, 0.25))


def test_equal_weights_give_the_mean():
    maps = torch.rand(2, 4, 2, 32, 32)
    weights = torch.full((2, 4, 2, 16, 16), 0.25)
    torch.testing.assert_close(weigh(weights, maps), maps.mean(1))


@pytest.mark.parametrize("form", ["product", "geometric"])
def test_guidance_stays_in_range_and_is_0_where_there_is_no_tumour(form):
    maps = torch.rand(1, 4, 2, 8, 8)
    tumour = torch.rand(1, 1, 8, 8)
    tumour[..., :4, :] = 0
    guided = guide(maps, tumour, form)
    assert guided.min() >= 0
    assert guided.max() <= 1
    assert guided[..., :4, :].max() <= 1e-3 + 1e-6
    if form == "product":  # paper 1, Eq. 3
        torch.testing.assert_close(guided, maps * tumour[:, None])


def test_unknown_guidance_is_refused():
    with pytest.raises(ValueError, match="unknown guidance"):
        guide(torch.rand(1, 4, 2, 8, 8), torch.rand(1, 1, 8, 8), "harmonic")


def test_maps_are_0_in_air():
    brain = torch.zeros(1, 1, 32, 32)
    brain[..., 8:24, 8:24] = 1
    maps = exit_maps([torch.randn(1, 3, s, s) for s in (16, 8, 4, 4)], brain)
    assert maps.shape == (1, 4, 3, 32, 32)
    assert not maps[..., :8, :].any()
    assert shrink(maps, 2).shape == (1, 4, 3, 16, 16)


def test_the_whole_network_gives_maps_in_0_1():
    torch.manual_seed(0)
    net = GliocamNet(width=8).eval()
    brain = torch.ones(2, 1, 64, 48)
    maps = net(torch.randn(2, 3, 64, 48), brain)
    assert maps.aggregates.shape == (2, 3, 64, 48)
    assert maps.guided.shape == (2, 2, 64, 48)
    assert maps.logits.shape == (2, 3)
    assert [m.shape[1] for m in maps.exits] == [3, 3, 3, 3]
    for values in (maps.aggregates, maps.guided, *maps.exits):
        assert values.min() >= 0
        assert values.max() <= 1


def test_networks_of_the_tumour_alone_give_its_maps_as_those_of_all_do():
    torch.manual_seed(0)
    whole = GliocamNet(width=4, final_map="mean").eval()
    alone = GliocamNet(width=4, final_map="mean", targets=TUMOUR_ALONE).eval()
    names = set(alone.state_dict())
    alone.load_state_dict({k: v for k, v in whole.state_dict().items() if k in names})
    images, brain = torch.randn(2, 3, 64, 48), torch.ones(2, 1, 64, 48)
    with torch.no_grad():
        expected, found = whole(images, brain), alone(images, brain)
    assert found.guided.shape == (2, 0, 64, 48)
    assert torch.equal(found.aggregates, expected.aggregates[:, :1])
    assert torch.equal(found.logits, expected.logits[:, :1])
    assert torch.equal(found.attention, expected.attention[:, :, :1])
    for ours, theirs in zip(found.exits, expected.exits, strict=True):
        assert torch.equal(ours, theirs[:, :1])


@pytest.mark.parametrize("exits", [(2, 3, 4), (4,)])
def test_the_image_level_logit_is_the_mean_of_the_exits_that_are_named(exits):
    torch.manual_seed(0)
    net = GliocamNet(width=4, image_exits=exits).eval()
    images, brain = torch.randn(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    with torch.no_grad():
        logits = [net.pool(m, brain) for m in net.exits(images)]
        expected = torch.stack([logits[e - 1] for e in exits]).mean(dim=0)
        assert torch.equal(net(images, brain).logits, expected)


@pytest.mark.parametrize("map_range", ["sigmoid", "min-max", "raw"])
@pytest.mark.parametrize("attention", ["joint", "shared", "conv3d"])
@pytest.mark.parametrize("final_map", ["aggregate", "mean"])
def test_every_form_gives_maps_in_0_1_and_none_in_air(map_range, attention, final_map):
    torch.manual_seed(0)
    net = GliocamNet(
        width=4,
        guidance="product",
        sharing=False,
        map_range=map_range,
        attention=attention,
        final_map=final_map,
        polarity={"tumour": [-1, 1, -1, 1]},
    ).eval()
    brain = torch.zeros(2, 1, 32, 32)
    brain[:1, :, 8:24, 8:24] = 1  # the second slice has no brain
    maps = net(torch.randn(2, 3, 32, 32), brain)
    for values in (maps.aggregates, maps.guided, *maps.exits):
        assert values.isfinite().all()
        assert values.min() >= 0
        assert values.max() <= 1 + 1e-6
    assert not maps.aggregates[..., :8, :].any()
    assert not maps.guided[1].any()


def test_stretching_is_over_the_pixels_of_each_map_and_has_a_gradient():
    maps = torch.randn(2, 4, 2, 8, 8, requires_grad=True)
    brain = torch.ones(2, 1, 1, 8, 8)
    brain[..., :2, :] = 0
    out = stretch(maps, brain)
    inside = out[..., 2:, :]
    torch.testing.assert_close(inside.amin((-2, -1)), torch.zeros(2, 4, 2))
    torch.testing.assert_close(inside.amax((-2, -1)), torch.ones(2, 4, 2))
    out.pow(2).sum().backward()
    assert maps.grad.isfinite().all()
    empty = stretch(maps, torch.zeros(2, 1, 1, 8, 8))
    empty.sum().backward()
    assert not empty.any()
    assert maps.grad.isfinite().all()
    assert not stretch(torch.full((1, 4, 4), 3.0), torch.ones(1, 4, 4)).any()


def test_shared_attention_does_not_depend_on_the_order_of_the_classes():
    torch.manual_seed(0)
    attention = ExitAttention(2, shared=True)
    torch.nn.init.normal_(attention.layers[-1].weight)
    images, maps = torch.randn(1, 3, 8, 8), torch.rand(1, 4, 2, 8, 8)
    torch.testing.assert_close(
        attention(images, maps.flip(2)), attention(images, maps).flip(2), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"strides": (2, 8, 8, 8)}, "strides"),
        ({"strides": (3, 6, 6, 6)}, "strides"),
        ({"strides": (2, 4, 8)}, "strides"),
        ({"norm": "layer"}, "choose one of batch"),
        ({"pooling": "max"}, "choose one of lse"),
        ({"map_range": "raw"}, "product"),
    ],
)
def test_a_design_that_cannot_be_built_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        GliocamNet(**choices)


def test_class_maps_times_the_tumour_map_are_those_of_the_released_code():
    torch.manual_seed(0)
    net = GliocamNet(width=4, sharing=False).eval()
    times = GliocamNet(width=4, sharing=False, times_tumour=True).eval()
    times.load_state_dict(net.state_dict())
    images, brain = torch.randn(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    with torch.inference_mode():
        plain, product = (n(images, brain).aggregates for n in (net, times))
    torch.testing.assert_close(product[:, 0], plain[:, 0])
    torch.testing.assert_close(product[:, 1:], plain[:, 1:] * plain[:, :1])


def test_sharing_makes_the_larger_class_the_tumour():
    classes, tumour = torch.rand(2, 2, 8, 8), torch.rand(2, 1, 8, 8)
    shared = share(classes, tumour)
    torch.testing.assert_close(shared.amax(1, keepdim=True), tumour.sqrt())
    assert torch.equal(shared.argmax(1), classes.argmax(1))
    torch.testing.assert_close(
        shared[:, 0] / shared[:, 1], classes[:, 0] / classes[:, 1], atol=1e-4, rtol=1e-3
    )
    # Above the tumour's threshold some class is above its own.
    assert (shared.amax(1)[tumour[:, 0] > 0.4] > 0.5).all()
