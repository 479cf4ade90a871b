import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.slices import (
    SIDE_MULTIPLE,
    Normalisation,
    area_matrix,
    bilinear_matrix,
    cut_slices,
    normalise,
)


def make_case(shape=(6, 60, 50), spacing=(1.0, 1.0, 1.0), seed=0, **volumes):
    rng = np.random.default_rng(seed)
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    brain = np.zeros(shape, dtype=bool)
    brain[:, 10:-10, 8:-8] = True
    made = {
        m: ((rng.normal(300, 50, shape) + 10) * brain).astype(np.int16)
        for m in (Modality.T1CE, Modality.T2, Modality.FLAIR)
    }
    made.update(volumes)
    return Case("made", made, Grid(affine, shape[::-1]))


@given(source=st.integers(1, 80), target=st.integers(1, 80))
def test_matrices_keep_a_constant_image_constant(source, target):
    for make in (area_matrix, bilinear_matrix):
        assert np.allclose(make(source, target) @ np.ones(source), 1.0, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), [(8, 24), (16, 192), (28, 168), (7, 7), (1, 5)])
def test_bilinear_matrix_is_torchs_interpolation(source, target):
    line = np.random.default_rng(0).random(source, dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None, None], size=target, mode="linear", align_corners=False
    )[0, 0].numpy()
    assert np.allclose(bilinear_matrix(source, target) @ line, expected, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), [(48, 32), (192, 128), (60, 20)])
def test_area_matrix_keeps_the_mean(source, target):
    line = np.random.default_rng(1).random(source)
    assert (area_matrix(source, target) @ line).mean() == pytest.approx(line.mean(), abs=1e-5)


def test_normalised_brain_has_mean_0_and_sd_1_and_air_stays_0():
    case = make_case()
    volume = normalise(case.volumes[Modality.T2], case.brain)
    inside = volume[case.brain]
    assert abs(inside.mean()) < 1e-3
    assert abs(inside.std() - 1) < 1e-3
    assert not volume[~case.brain].any()


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 7.5, 1e20])
def test_the_unit_of_intensities_does_not_matter(unit):
    case = make_case()
    t2 = case.volumes[Modality.T2].astype(np.float64)
    np.testing.assert_allclose(
        normalise(t2 * unit, case.brain), normalise(t2, case.brain), atol=1e-4
    )


def test_a_constant_volume_becomes_0():
    brain = np.ones((2, 4, 4), dtype=bool)
    assert not normalise(np.full((2, 4, 4), 1e6), brain).any()


def test_an_outlier_is_clipped():
    case = make_case()
    volume = case.volumes[Modality.T2].astype(np.float32)
    volume[2, 30, 25] = 1e7
    out = normalise(volume, case.brain, Normalisation(high_percentile=99.5))
    assert out.max() <= 6.0
    assert abs(out[case.brain].std() - 1) < 1e-2


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((6, 60, 50), (1.0, 1.0, 1.0)),
        ((4, 200, 180), (5.0, 0.5, 0.5)),
        ((1, 61, 47), (3.0, 1.0, 1.3)),
        ((5, 30, 30), (4.0, 3.0, 3.0)),
    ],
)
def test_network_slices_have_even_sides_and_the_networks_pixels(shape, spacing):
    stack = cut_slices(make_case(shape, spacing), (Modality.T1CE, Modality.T2, Modality.FLAIR))
    height, width = stack.frame.network_shape
    assert height % SIDE_MULTIPLE == width % SIDE_MULTIPLE == 0
    rows = stack.frame.rows[1] - stack.frame.rows[0]
    assert rows * spacing[1] / height == pytest.approx(1.5, rel=0.1)
    assert stack.images.shape == (len(stack.frame), 3, height, width)
    assert stack.brain.any(axis=(1, 2)).all()


def test_put_back_is_the_inverse_of_take_for_smooth_maps():
    case = make_case((4, 96, 96))
    frame = cut_slices(case, (Modality.FLAIR,)).frame
    _, y, x = np.indices(case.grid.shape)
    smooth = (np.sin(y / 15) * np.cos(x / 15)).astype(np.float32)
    back = frame.put_back(frame.take(smooth))
    inner = (slice(None), slice(14, 82), slice(12, 84))
    assert np.abs(back - smooth)[inner].max() < 0.02


def test_put_back_leaves_unseen_slices_and_air_at_0():
    case = make_case((6, 60, 50))
    for volume in case.volumes.values():
        volume[0] = 0
    frame = cut_slices(case, (Modality.FLAIR,)).frame
    assert 0 not in frame.indices
    back = frame.put_back(np.ones((len(frame), 4, 4), dtype=np.float16))
    assert not back[0].any()
    assert back[1:].max() == pytest.approx(1.0)


def test_a_missing_modality_is_0_and_named():
    case = make_case()
    case = Case(case.name, {Modality.FLAIR: case.volumes[Modality.FLAIR]}, case.grid)
    stack = cut_slices(case, (Modality.T1CE, Modality.T2, Modality.FLAIR))
    assert stack.missing == (Modality.T1CE, Modality.T2)
    assert not stack.images[:, :2].any()
    assert stack.images[:, 2].any()


def test_a_case_without_brain_is_refused_by_name():
    case = make_case()
    for volume in case.volumes.values():
        volume[:] = 0
    with pytest.raises(CaseError, match='"made" shows no brain'):
        cut_slices(case, (Modality.FLAIR,))
