from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.common import Fit

if find_spec("lightning") is None:  # the extra "train" is not installed
    collect_ignore_glob = ["test_*.py"]

#: A few steps of tiny networks.
QUICK = Fit(epochs=2, batch=8)


def blob_slices(count=32, seed=0, side=32, a_case=4):
    """Slices whose label is a bright blob in channel 2 (tumour and edema) or 0 (core)."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 3, side, side), dtype=np.float32)
    inner = side - 8
    images[:, :, 4:-4, 4:-4] = rng.normal(0, 0.3, (count, 3, inner, inner))
    labels = np.zeros((count, 3), dtype=np.float32)
    for i in range(count):
        for column, channel in ((1, 0), (2, 2)):
            if rng.random() < 0.5:
                y, x = rng.integers(6, side - 14, 2)
                images[i, channel, y : y + 7, x : x + 7] += 3
                labels[i, [0, column]] = 1
    return SliceSet(images.astype(np.float16), labels, np.arange(count) // a_case)


@pytest.fixture(scope="session")
def slices():
    return blob_slices()


@pytest.fixture(scope="session")
def tiny():
    """Cut a recipe down to networks of 4 channels and a few steps."""

    def cut(recipe, **fit):
        short = recipe.with_fits(lambda _, usual: replace(usual, epochs=1, batch=8, **fit))
        sampling = replace(recipe.data.sampling, steps=2)
        return replace(
            short,
            data=replace(recipe.data, sampling=sampling),
            network=replace(recipe.network, width=4, strides=(2, 4, 8, 8)),
            seeds=min(recipe.seeds, 2),
            rounds=tuple(replace(r, epochs=1) for r in recipe.rounds),
        )

    return cut


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same_weights(a, b):
    """Whether two networks are equal to the bit."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)
