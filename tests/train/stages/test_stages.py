from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_gliocam.measure import auc
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import SliceBatch, SliceDataset, SoftBatch
from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.recipe.stages import (
    ClassAggregate,
    Classifier,
    Features,
    Pretrain,
    TumourAggregate,
)
from napari_gliocam.train.stages.aggregator import ClassStage, TumourStage
from napari_gliocam.train.stages.classifier import ClassifierStage
from napari_gliocam.train.stages.contrastive import PretrainStage
from napari_gliocam.train.stages.exit_map_cache import (
    ExitMaps,
    MapBatch,
    add_tumour,
    cache_exit_maps,
)
from napari_gliocam.train.stages.stage import Stage, _cosine

PAPER = Features(projection="image", similarity="cosine", bank=0, region="image")


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return GliocamNet(width=4, polarity={"tumour": [1, 1, -1, 1]}).eval()


@pytest.fixture(scope="module")
def maps(net, slices, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen") / "maps"
    cache_exit_maps(net, slices, np.arange(len(slices)), folder, batch=12)
    add_tumour(net, folder, batch=12)
    return folder


@pytest.fixture
def batch(maps):
    return ExitMaps(maps, np.arange(16)).__getitems__([(0, i) for i in range(16)])


# ---- no mask


class MaskedBatch(NamedTuple):
    images: Tensor
    labels: Tensor
    case: Tensor
    mask: Tensor


def stages(net):
    return [
        PretrainStage(net.tumour, (0,), Pretrain(loss="supcon")),
        ClassifierStage(net.tumour, (0,), Classifier()),
        TumourStage(net.tumour_attention, net.design, TumourAggregate()),
        ClassStage(net.class_attention, net.design, ClassAggregate()),
    ]


def test_what_the_stages_are_given_holds_no_mask():
    assert SliceBatch._fields == ("images", "labels", "case")
    # Soft maps come from networks, images and slice labels, see tests/train/run/test_rounds.py.
    assert SoftBatch._fields == ("images", "labels", "case", "maps")
    # "brain" is where the image is not 0, "maps" and "tumour" come from the frozen networks.
    assert MapBatch._fields == ("images", "brain", "maps", "tumour", "features", "labels")
    assert all(issubclass(type(s), Stage) for s in stages(GliocamNet(width=4)))


@pytest.mark.parametrize("number", range(4))
def test_a_stage_refuses_anything_more(number):
    stage = stages(GliocamNet(width=4))[number]
    images, labels = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3)
    case, mask = torch.zeros(2), torch.zeros(2, 32, 32)
    for batch in (
        MaskedBatch(images, labels, case, mask),
        (images, labels, case, mask),
        (images, labels),
        {"images": images, "labels": labels, "mask": mask},
    ):
        with pytest.raises(TypeError, match="no mask"):
            stage.training_step(batch, 0)


def test_brain_is_where_the_image_is_not_0(maps, slices):
    brain = ExitMaps(maps, np.arange(4)).__getitems__([(0, i) for i in range(4)]).brain
    seen = torch.from_numpy(slices.images[:4] != 0).any(1, keepdim=True).float()
    assert torch.equal(brain, (torch.nn.functional.avg_pool2d(seen, 2) > 0.5).float())


# ---- frozen maps


def test_frozen_maps_are_what_the_network_says(net, maps, slices, batch):
    images = torch.from_numpy(slices.images[:16]).float()
    brain = (images != 0).any(1, keepdim=True).float()
    with torch.inference_mode():
        says = net(images, brain)
    small = torch.nn.functional.avg_pool2d(says.aggregates[:, :1], 2)
    torch.testing.assert_close(batch.tumour, small, atol=2e-3, rtol=0)
    assert batch.maps.shape == (16, 4, 3, 16, 16)
    assert 0 <= batch.maps.min() <= batch.maps.max() <= 1
    everything = ExitMaps(maps, np.arange(32)).__getitems__([(0, i) for i in range(32)])
    inside = torch.nn.functional.adaptive_avg_pool2d(everything.brain, (8, 8))[:, 0] > 0.5
    values = everything.features.permute(0, 2, 3, 1)[inside]
    torch.testing.assert_close(values.mean(0), torch.zeros(8), atol=0.02, rtol=0)


def test_deep_features_are_left_out_where_nobody_asks(net, slices, tmp_path):
    cache_exit_maps(net, slices, np.arange(4), tmp_path / "m", features=False)
    batch = ExitMaps(tmp_path / "m", np.arange(4)).__getitems__([(0, 0), (0, 3)])
    assert batch.features.shape[:2] == (2, 0)
    assert not batch.tumour.any()


# ---- terms


def test_the_classifier_sees_its_own_columns(slices):
    torch.manual_seed(0)
    batch = SliceDataset(slices, np.arange(8)).__getitems__([(0, i) for i in range(8)])
    net = GliocamNet(width=4)
    stage = ClassifierStage(net.classes, (1, 2), Classifier())
    loss = stage.terms(batch)["exits"]
    other = batch._replace(labels=batch.labels * torch.tensor([0.0, 1, 1]))
    torch.testing.assert_close(stage.terms(other)["exits"], loss)
    assert not torch.allclose(stage.terms(batch._replace(labels=1 - batch.labels))["exits"], loss)


def test_the_auc_is_of_all_batches_and_of_each_class(slices, monkeypatch):
    net = GliocamNet(width=4)
    stage = ClassifierStage(net.classes, (1, 2), Classifier()).eval()
    logged = {}
    monkeypatch.setattr(stage, "log_dict", logged.update)
    torch.manual_seed(0)
    scores, labels = torch.randn(12, 2), torch.randint(0, 2, (12, 2)).float()
    for part in (slice(0, 5), slice(5, 12)):
        stage.scores.update(scores[part])
        stage.shown.update(labels[part])
    stage.on_validation_epoch_end()
    expected = [auc(s.numpy(), y.numpy() > 0) for s, y in zip(scores.T, labels.T, strict=True)]
    assert [logged["val_auc_core"], logged["val_auc_edema"]] == pytest.approx(expected)
    assert logged["val_auc"] == pytest.approx(np.mean(expected))
    stage.scores.update(scores)
    stage.shown.update(labels * torch.tensor([1.0, 0.0]))
    logged.clear()
    stage.on_validation_epoch_end()  # no slice shows edema
    assert set(logged) == {"val_auc", "val_auc_core"}
    assert logged["val_auc"] == logged["val_auc_core"]


@pytest.mark.parametrize("loss", ["simclr", "supcon", "mulsupcon", "equal-labels"])
def test_pre_training_teaches_the_backbone_and_not_the_exits(slices, loss):
    from napari_gliocam.train.recipe.augment import Augment

    torch.manual_seed(0)
    data = SliceDataset(slices, np.arange(8), Augment(), views=2)
    net = GliocamNet(width=4)
    stage = PretrainStage(net.classes, (1, 2), Pretrain(loss=loss))
    stage.terms(data.__getitems__([(0, i) for i in range(8)]))["contrast"].backward()
    assert all(p.grad is None for p in net.classes.exits.parameters())
    assert net.classes.stem[0].weight.grad.any()
    ClassifierStage(net.classes, (1, 2), Classifier())
    assert all(p.requires_grad for p in net.classes.parameters())


def test_terms_without_weight_are_not_there(net, batch):
    stage = TumourStage(net.tumour_attention, net.design, TumourAggregate())
    assert set(stage.terms(batch)) == {"uniform", "contrast"}
    paper = TumourAggregate(weight_class=1, weight_contrast=0, features=PAPER)
    assert set(TumourStage(net.tumour_attention, net.design, paper).terms(batch)) == {
        "uniform",
        "class",
    }


@pytest.mark.parametrize("features", [Features(), replace(PAPER, region="brain"), PAPER])
@pytest.mark.parametrize(
    ("attention", "pairs", "labels"),
    [
        ("joint", "all", "labelled"),
        ("shared", "same-image", "labelled"),
        ("conv3d", "same-image", "every"),
    ],
)
def test_every_form_of_the_class_loss_has_a_gradient(batch, features, pairs, labels, attention):
    torch.manual_seed(0)
    net = GliocamNet(width=4, attention=attention)
    recipe = ClassAggregate(features=features, pairs=pairs, labels=labels)
    stage = ClassStage(net.class_attention, net.design, recipe)
    terms = stage.terms(batch)
    assert set(terms) == {"uniform", "class", "separate", "agree"}
    torch.stack(list(terms.values())).sum().backward()
    grads = [p.grad for p in stage.parameters() if p.grad is not None]
    assert any(g.any() for g in grads)
    assert all(g.isfinite().all() for g in grads)


def test_the_agreement_is_a_mean_over_the_brain_or_over_all_pixels(net, batch):
    half = torch.zeros_like(batch.brain)
    half[..., : half.shape[-1] // 2] = 1
    given = batch._replace(brain=half, tumour=batch.tumour * half)
    terms = {}
    for over in ("brain", "image"):
        torch.manual_seed(0)
        recipe = ClassAggregate(agreement_over=over, features=Features(bank=0))
        stage = ClassStage(net.class_attention, net.design, recipe)
        terms[over] = float(stage.terms(given)["agree"].detach())
    assert terms["image"] == pytest.approx(terms["brain"] / 2, rel=1e-2)  # air agrees with itself


def test_slices_without_a_class_do_not_count_for_it(net, batch):
    stage = ClassStage(net.class_attention, net.design, ClassAggregate(features=Features(bank=0)))
    nothing = batch._replace(labels=torch.zeros_like(batch.labels))
    terms = stage.terms(nothing)
    assert float(terms["class"].detach()) == float(terms["separate"].detach()) == 0
    torch.stack(list(terms.values())).sum().backward()
    only_core = batch._replace(labels=torch.tensor([[1.0, 1, 0]]).repeat(16, 1))
    assert float(stage.terms(only_core)["separate"].detach()) == 0
    assert float(stage.terms(only_core)["class"].detach()) > 0


def test_validation_leaves_the_bank_alone(net, batch):
    stage = ClassStage(net.class_attention, net.design, ClassAggregate()).eval()
    stage.terms(batch)
    assert not stage.bank.state()
    stage.train().terms(batch)
    assert set(stage.bank.state()) == {"core", "edema"}
    checkpoint = {}
    stage.on_save_checkpoint(checkpoint)
    other = ClassStage(net.class_attention, net.design, ClassAggregate())
    other.on_load_checkpoint(checkpoint)
    torch.testing.assert_close(other.terms(batch)["class"], stage.terms(batch)["class"])


def test_the_region_is_near_the_lesion_or_the_whole_brain(net, batch):
    stage = TumourStage(net.tumour_attention, net.design, TumourAggregate())
    maps = torch.zeros_like(batch.maps)
    maps[0, :, 0, 7:9, 7:9] = 1
    given = batch._replace(maps=maps, brain=torch.ones_like(batch.brain))
    region = stage.region(given)
    assert float(region[0].sum()) == 12 * 12
    assert region[1].all()  # no lesion to be near to


def test_cosine_holds_falls_and_ends_at_the_floor():
    factor = _cosine(Fit(epochs=10, rate=1e-2, hold=4, floor=1e-4), steps=100)
    assert factor(0) == factor(40) == 1
    assert factor(70) == pytest.approx((1 + 0.01) / 2)
    assert factor(100) == factor(200) == pytest.approx(0.01)
