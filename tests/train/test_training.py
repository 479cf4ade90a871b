import inspect

import numpy as np
import pytest
import torch

from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train import aggregator, classifier
from napari_gliocam.train.aggregator import AggregatorRecipe, cache_maps, train_aggregators
from napari_gliocam.train.classifier import ClassifierRecipe, augment, train_classifier


@pytest.fixture(scope="module")
def slices():
    """Slices whose label is a bright blob in channel 2 (tumour and edema) or 0 (core)."""
    rng = np.random.default_rng(0)
    images = np.zeros((96, 3, 32, 32), dtype=np.float32)
    images[:, :, 4:-4, 4:-4] = rng.normal(0, 0.3, (96, 3, 24, 24))
    labels = np.zeros((96, 3), dtype=np.float32)
    for i in range(96):
        for column, channel in ((1, 0), (2, 2)):
            if rng.random() < 0.5:
                y, x = rng.integers(6, 18, 2)
                images[i, channel, y : y + 7, x : x + 7] += 3
                labels[i, [0, column]] = 1
    return images.astype(np.float16), labels


def test_augmentation_leaves_air_and_labels_alone(slices):
    images = torch.from_numpy(slices[0]).float()
    out = augment(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert (out != 0).sum() <= (images != 0).sum()
    assert torch.equal(out, augment(images, torch.Generator().manual_seed(0)))
    dropped = augment(images, torch.Generator().manual_seed(0), drop_modality=0.4)
    empty = (dropped == 0).all(dim=(2, 3))
    assert empty[:, 0].any()
    assert empty[:, 1].any()
    assert not empty[:, 2].any()


def test_training_learns_repeats_and_resumes(slices, tmp_path):
    images, labels = slices
    recipe = ClassifierRecipe((0,), width=8, epochs=3, batch=16)
    whole = train_classifier(images, labels, recipe, tmp_path / "a.safetensors")
    again = train_classifier(images, labels, recipe, tmp_path / "b.safetensors")
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)

    stopped = tmp_path / "c.safetensors"
    real_save = classifier.torch.save

    class KilledError(Exception):
        pass

    def save_and_die(*args, **kwargs):
        real_save(*args, **kwargs)
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier.torch, "save", save_and_die)
        with pytest.raises(KilledError):
            train_classifier(images, labels, recipe, stopped)
    resumed = train_classifier(images, labels, recipe, stopped)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_aggregators_start_as_the_average_and_lower_their_loss(slices):
    images, labels = slices
    shows = labels[:, 0] > 0
    torch.manual_seed(0)
    net = GliocamNet(width=8).eval()
    cache = cache_maps(net, images[shows], labels[shows], batch=16)
    before = net.tumour_attention.layers[-1].weight.clone()
    assert not before.any()
    train_aggregators(net, cache, AggregatorRecipe(steps=6, batch=8))
    assert net.tumour_attention.layers[-1].weight.any()
    assert net.class_attention.layers[-1].weight.any()
    assert not net.training


def test_no_mask_reaches_a_training_stage():
    # What the stages take are images and image-level labels; a mask would need a parameter.
    for stage in (train_classifier, cache_maps, train_aggregators):
        names = set(inspect.signature(stage).parameters)
        assert names <= {
            "images",
            "labels",
            "recipe",
            "checkpoint",
            "start",
            "net",
            "batch",
            "cache",
        }
    assert set(aggregator.Cache.__dataclass_fields__) == {
        "images",
        "brain",
        "maps",
        "features",
        "labels",
    }
