from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.crf import dense_crf, running_crf, to_bytes
from napari_gliocam.refine.parameters import CRF_PRESETS, CrfParameters


def softmax(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    energy = np.exp(energy - energy.max(axis=0))
    return energy / energy.sum(axis=0)


def exact_crf(p, image, parameters, spacing) -> NDArray[np.float64]:
    """Mean field with every pair of voxels written out."""
    unary = -np.log(np.maximum(p.reshape(len(p), -1), 1e-5).astype(float))
    position = np.stack(np.meshgrid(*map(np.arange, p.shape[1:]), indexing="ij"))
    position = position.reshape(len(spacing), -1) * np.asarray(spacing)[:, None]

    def kernel(features):
        distance = ((features[:, :, None] - features[:, None]) ** 2).sum(axis=0)
        matrix = np.exp(-distance / 2)
        norm = 1 / np.sqrt(matrix.sum(axis=1))
        return norm[:, None] * matrix * norm

    both = np.concatenate(
        [
            position / parameters.bilateral_width,
            image.reshape(len(image), -1) / parameters.intensity_width,
        ]
    )
    smooth, bilateral = kernel(position / parameters.gaussian_width), kernel(both)
    q = softmax(-unary)
    for _ in range(parameters.iterations):
        q = softmax(
            -unary
            + parameters.gaussian_weight * q @ smooth
            + parameters.bilateral_weight * q @ bilateral
        )
    return q.reshape(p.shape)


def scene(classes: int, shape: tuple[int, ...], modalities: int, seed: int):
    """Blurred regions with their intensities, and noisy probabilities of them."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=shape), 4) for _ in range(classes)])
    truth = fields.argmax(axis=0)
    means = rng.uniform(30, 225, (modalities, classes))
    image = np.clip(means[:, truth] + rng.normal(0, 8, (modalities, *shape)), 0, 255)
    p = np.stack([gaussian_filter((truth == k).astype(float), 2) for k in range(classes)])
    p = p + rng.uniform(0, 0.6, p.shape)
    return (p / p.sum(axis=0)).astype(np.float32), image.astype(np.float32)


@pytest.mark.parametrize(("shape", "spacing"), [((14, 17), (1, 1)), ((6, 8, 7), (3, 1, 1.5))])
def test_close_to_every_pair_written_out(shape: tuple[int, ...], spacing: tuple[float, ...]):
    p, image = scene(3, shape, 2, seed=1)
    parameters = CrfParameters(gaussian_width=2, bilateral_width=5, intensity_width=30)
    exact = exact_crf(p, image, parameters, spacing)
    found = dense_crf(p, image, parameters, spacing=spacing)
    # The lattice approximates the Gaussian; what matters is what it decides.
    assert np.abs(found - exact).mean() < 0.02
    assert (found.argmax(0) == exact.argmax(0)).mean() > 0.98


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("preset", list(CRF_PRESETS))
@pytest.mark.parametrize("iterations", [1, 10])
def test_agrees_with_pydensecrf(classes: int, preset: str, iterations: int):
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    chosen = CRF_PRESETS[preset]
    parameters = CrfParameters(bilateral_width=chosen.bilateral_width, iterations=iterations)
    p, image = scene(classes, (60, 70), 3, seed=classes)
    found = dense_crf(p, image, parameters)

    y, x = np.mgrid[:60, :70].astype(np.float32)
    position = np.stack([y, x]).reshape(2, -1)
    intensity = image.reshape(3, -1) / np.float32(parameters.intensity_width)
    bilateral = np.concatenate([position / np.float32(parameters.bilateral_width), intensity])
    peer = densecrf.DenseCRF(p[0].size, classes)
    peer.setUnaryEnergy(-np.log(np.maximum(p, 1e-5)).reshape(classes, -1))
    peer.addPairwiseEnergy(position / np.float32(3), compat=parameters.gaussian_weight)
    peer.addPairwiseEnergy(bilateral, compat=parameters.bilateral_weight)
    expected = np.array(peer.inference(iterations)).reshape(p.shape)
    assert np.abs(found - expected).mean() < 2e-3
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("slicewise", [True, False])
def test_the_package_itself_as_backend(slicewise: bool):
    pytest.importorskip("pydensecrf.densecrf")
    p, image = scene(3, (4, 30, 28), 2, seed=3)
    mask = np.random.default_rng(0).random(p.shape[1:]) > 0.2
    how = {"spacing": (3.0, 1.0, 1.5), "mask": mask, "slicewise": slicewise}
    ours = dense_crf(p, image, **how)
    theirs = dense_crf(p, image, CrfParameters(backend="pydensecrf"), **how)
    assert np.abs(ours - theirs).mean() < 2e-3
    np.testing.assert_array_equal(theirs[:, ~mask], ours[:, ~mask])


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    p, image = scene(2, (8, 8), 1, seed=3)
    with pytest.raises(GliocamError, match="choose the backend torch"):
        dense_crf(p, image, CrfParameters(backend="pydensecrf"))


def test_one_voxel_keeps_its_odds_times_its_own_message():
    # A single voxel: both kernels are 1, so Q <- softmax(log p + (w1 + w2) Q).
    p = np.array([0.7, 0.3], dtype=np.float32).reshape(2, 1, 1)
    q = np.log(p.ravel().astype(float))
    expected = p.ravel().astype(float)
    for _ in range(3):
        expected = softmax(q + 5.0 * expected)
    parameters = CrfParameters(gaussian_weight=2, bilateral_weight=3, iterations=3)
    found = dense_crf(p, np.full((1, 1, 1), 9.0), parameters)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


def test_without_weights_nothing_changes():
    p, image = scene(3, (9, 9), 1, seed=0)
    off = CrfParameters(gaussian_weight=0, bilateral_weight=0)
    np.testing.assert_allclose(dense_crf(p, image, off), p, atol=1e-6)


def test_an_edge_in_the_image_holds_the_border():
    image = np.zeros((1, 20, 20), dtype=np.float32)
    image[:, :, 12:] = 200
    foreground = np.zeros((20, 20), dtype=np.float32)
    foreground[:, :9] = 0.9  # three columns short of the edge
    foreground[:, 9:12] = 0.45
    foreground[:, 12:] = 0.1
    q = dense_crf(np.stack([1 - foreground, foreground]), image)
    np.testing.assert_array_equal(q.argmax(0) == 1, image[0] == 0)


def test_slices_that_do_not_see_each_other_equal_slices_one_by_one():
    p, image = scene(3, (4, 20, 18), 2, seed=5)
    together = dense_crf(p, image, slicewise=True)
    alone = np.stack([dense_crf(p[:, s], image[:, s]) for s in range(4)], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together - dense_crf(p, image)).max() > 0.02


def test_what_is_masked_out_is_not_looked_at():
    p, image = scene(2, (12, 12), 1, seed=2)
    mask = np.ones((12, 12), dtype=bool)
    mask[:, 8:] = False
    image[:, ~mask] = np.nan
    q = dense_crf(p, image, mask=mask)
    np.testing.assert_allclose(q[:, ~mask], p[:, ~mask], atol=1e-6)
    np.testing.assert_allclose(q[:, :, :8], dense_crf(p[:, :, :8], image[:, :, :8]), atol=1e-5)
    np.testing.assert_array_equal(dense_crf(p, image, mask=np.zeros_like(mask)), p)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 7)] * 2), st.tuples(*[st.integers(1, 4)] * 3)),
    classes=st.integers(1, 4),
    modalities=st.integers(1, 4),
    width=st.sampled_from([0.01, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_marginals_are_probabilities(shape, classes, modalities, width, seed):
    rng = np.random.default_rng(seed)
    p = rng.random((classes, *shape)) * rng.integers(0, 2, (classes, *shape))
    image = rng.uniform(0, 255, (modalities, *shape))
    parameters = CrfParameters(
        gaussian_width=width, bilateral_width=width, intensity_width=width, iterations=2
    )
    q = dense_crf(p, image, parameters)
    assert q.shape == p.shape
    assert q.min() >= 0
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-5)


def test_bad_input_gets_a_sentence():
    p, image = scene(2, (8, 8), 1, seed=0)
    for bad in (np.nan, np.inf):
        broken = image.copy()
        broken[0, 3, 3] = bad
        with pytest.raises(GliocamError, match="NaN or infinite"):
            dense_crf(p, broken)
        broken = p.copy()
        broken[0, 3, 3] = bad
        with pytest.raises(GliocamError, match="NaN or infinite"):
            dense_crf(broken, image)
    with pytest.raises(GliocamError, match="grid"):
        dense_crf(p, image[:, :4])
    with pytest.raises(GliocamError, match="classes first"):
        dense_crf(p[0], image)
    with pytest.raises(GliocamError, match="spacing"):
        dense_crf(p, image, spacing=(1.0, 0.0))
    for wrong in ({"gaussian_width": 0}, {"iterations": 0}, {"bilateral_weight": -1}):
        with pytest.raises(GliocamError, match=next(iter(wrong)).split("_")[-1]):
            CrfParameters(**wrong)
    with pytest.raises(GliocamError, match="intensity width is nan"):
        CrfParameters(intensity_width=float("nan"))


def test_can_be_closed_between_iterations():
    p, image = scene(2, (20, 20), 1, seed=0)
    work = running_crf(p, image)
    seen = [next(work) for _ in range(13)]
    work.close()
    assert [step.done for step in seen if step.what == "dense CRF"] == [1, 2, 3, 4, 5]
    assert all(0 <= step.done <= step.total for step in seen)


def test_bytes_span_the_brain():
    volume = np.arange(2000, dtype=np.int16).reshape(2, 20, 50)
    brain = volume >= 1000
    scaled = to_bytes(volume, brain)
    assert scaled[brain].min() == 0
    assert scaled[brain].max() == 255
    assert abs(np.median(scaled[brain]) - 127.5) < 1
    assert not to_bytes(np.full((1, 2, 2), 7), np.ones((1, 2, 2), bool)).any()
