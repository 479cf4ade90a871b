from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.clusters import (
    cluster_slice,
    clustering_slice,
    connected,
    edge_map,
    superpixels,
)
from napari_gliocam.refine.parameters import ClusterParameters


def quarters(side: int = 40, noise: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Four quarters with intensities far apart, and which is which."""
    half = side // 2
    truth = np.zeros((side, side), dtype=int)
    truth[half:], truth[:, half:] = 1, truth[:, half:] + 2
    levels = np.array([[30, 90, 160, 220], [200, 60, 120, 20]], dtype=np.float32)
    image = levels[:, truth] + np.random.default_rng(0).normal(0, noise, (2, side, side))
    return image.astype(np.float32), truth


WAYS = [
    ClusterParameters(superpixels=kind, network=network, iterations=30, stride=stride)
    for kind in ("slic", "quickshift")
    for network, stride in ((False, 1), (True, 1), (True, 2))
]


@pytest.mark.parametrize(
    "parameters", WAYS, ids=lambda p: f"{p.superpixels}-{p.network}-{p.stride}"
)
def test_no_cluster_crosses_an_edge_and_the_same_seed_gives_the_same(parameters):
    image, truth = quarters()
    brain = np.ones(truth.shape, dtype=bool)
    clusters = cluster_slice(image, brain, parameters)
    assert clusters.min() == 1
    counts = np.zeros((clusters.max() + 1, 4), dtype=int)
    np.add.at(counts, (clusters.ravel(), truth.ravel()), 1)
    assert counts.max(axis=1).sum() > 0.98 * truth.size
    np.testing.assert_array_equal(cluster_slice(image, brain, parameters), clusters)
    np.testing.assert_array_equal(connected(clusters, brain), clusters)


@pytest.mark.parametrize("contrast", [1.0, 0.4])
def test_borders_of_superpixels_follow_a_round_edge(contrast):
    # Measured by benchmarks/superpixels.py on cases; scikit-image stretches intensities to [0, 1],
    # so that a compactness meant for 0 to 100 made a nearly regular grid of them.
    p, l = np.ogrid[:96, :96]
    disc = (p - 48) ** 2 + (l - 45) ** 2 < 30**2
    random = np.random.default_rng(3)
    image = contrast * (60.0 + 60.0 * disc + random.normal(0, 6, (2, 96, 96)))
    parameters = ClusterParameters(network=False)
    pieces = superpixels(image.astype(np.float32), np.ones_like(disc), parameters)
    inside = np.bincount(pieces.ravel(), disc.ravel()) / np.maximum(np.bincount(pieces.ravel()), 1)
    assert np.count_nonzero((inside > 0.5)[pieces] != disc) < 60  # of 187 pixels on the edge
    assert pieces.max() > 200


def test_the_network_joins_superpixels():
    image, truth = quarters()
    brain = np.ones(truth.shape, dtype=bool)
    alone = cluster_slice(image, brain, ClusterParameters(network=False))
    joined = cluster_slice(image, brain, ClusterParameters(stride=1))
    assert 4 <= joined.max() < alone.max() / 4


def test_it_learns_more_than_its_first_guess_and_keeps_enough_labels():
    # The paper's released code stops after one iteration, with what random weights say.
    image, truth = quarters(noise=25)
    brain = np.ones(truth.shape, dtype=bool)
    numbers = [
        cluster_slice(image, brain, ClusterParameters(stride=1, iterations=iterations)).max()
        for iterations in (1, 64)
    ]
    assert numbers[1] < numbers[0]
    many = ClusterParameters(stride=1, min_labels=8, iterations=200)
    assert cluster_slice(image, brain, many).max() >= 8


@settings(max_examples=15)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    modalities=st.integers(1, 3),
    level=st.sampled_from([0.0, 128.0]),
    kind=st.sampled_from(["slic", "quickshift"]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_odd_slices(shape, modalities, level, kind, share):
    rng = np.random.default_rng(1)
    brain = rng.random(shape) < share
    image = np.full((modalities, *shape), level, dtype=np.float32)
    parameters = ClusterParameters(superpixels=kind, iterations=3)
    clusters = cluster_slice(image, brain, parameters)
    assert clusters.dtype == np.int32
    np.testing.assert_array_equal(clusters > 0, brain)


def test_superpixels_have_the_area_asked_for():
    image = np.random.default_rng(0).uniform(0, 255, (1, 60, 60)).astype(np.float32)
    brain = np.ones((60, 60), dtype=bool)
    parameters = ClusterParameters(superpixel_mm2=50, compactness=1000)
    count = len(np.unique(superpixels(image, brain, parameters, spacing=(0.5, 2.0))))
    assert 50 <= count <= 100


def test_edges_lie_between_clusters():
    clusters = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    expected = [[0, 1, 0], [1, 1, 1], [0, 0, 0]]
    np.testing.assert_array_equal(edge_map(clusters), np.array(expected, dtype=bool))
    assert not edge_map(np.ones((4, 1), dtype=int)).any()


def test_can_be_closed_between_iterations():
    image, truth = quarters()
    work = clustering_slice(image, np.ones(truth.shape, dtype=bool))
    for _ in range(3):
        next(work)
    work.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"superpixels": "felzenszwalb"},
        {"superpixel_mm2": 0},
        {"iterations": 0},
        {"iterations": 2.5},
        {"ratio": 2},
        {"min_labels": 33},
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(wrong):
    name = next(iter(wrong))
    with pytest.raises(
        GliocamError, match="labels" if "labels" in name else name.replace("_", " ")
    ):
        ClusterParameters(**wrong)
