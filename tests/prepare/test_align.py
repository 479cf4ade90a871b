from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Grid
from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.prepare import extras
from napari_gliocam.prepare.align import Alignment, Brain, align
from napari_gliocam.prepare.resample import even_grid, resample
from napari_gliocam.prepare.series import SeriesVolume

from .heads import AFFINE, SHAPE, brain_volume


def series(name: str, data: np.ndarray, grid: Grid) -> Brain:
    return Brain(SeriesVolume(name, data, grid), data > 50, grid)


@pytest.fixture(scope="module")
def fixed() -> Brain:
    grid = Grid(AFFINE, SHAPE)
    return series("T1ce", grid.from_file(brain_volume(0)), grid)


def moved(truth: np.ndarray, seed: int = 1) -> Brain:
    grid = Grid(AFFINE, SHAPE)
    other = even_grid(grid, 1.4)
    data = resample(grid.from_file(brain_volume(seed)), grid, other, np.linalg.inv(truth), order=3)
    return series("T2", np.maximum(data, 0), other)


def error_mm(fixed: Brain, truth: np.ndarray, found: Alignment) -> float:
    places = np.c_[np.argwhere(fixed.brain), np.ones(fixed.brain.sum())]
    places = places @ fixed.grid.canonical_affine.T
    return float(np.linalg.norm(((found.movement - truth) @ places.T)[:3], axis=0).mean())


@pytest.mark.parametrize(
    ("shift", "turn"),
    [((0, 0, 0), (0, 0, 0)), ((6, -5, 4), (6, -8, 10)), ((90, 60, -200), (3, 2, 1))],
)
def test_a_known_movement_is_found_in_another_contrast(fixed, shift, turn):
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    truth[:3, 3] = shift
    moving = moved(truth)
    if np.linalg.norm(shift) > 100:  # another origin, as after an export
        truth[:3, 3] = (3.0, 2.0, -2.0)
        moving = moved(truth)
        grid = moving.grid
        affine = grid.affine.copy()
        affine[:3, 3] += shift
        far = Grid(affine, grid.file_shape)
        moving = series("T2", moving.volume.data, far)
        truth[:3, 3] += shift
    found = align(fixed, moving)
    assert error_mm(fixed, truth, found) < 0.8  # half a voxel
    assert found.overlap > 0.9
    assert not found.by_shape


def test_images_that_lead_away_are_aligned_by_the_shape_of_the_brains(fixed):
    """A drawn T2, shaded more strongly than its tissues differ, was refused."""
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_euler("xyz", (4, -5, 9), degrees=True).as_matrix()
    truth[:3, 3] = (6, -5, 4)
    moving = moved(truth)
    place = np.stack(np.meshgrid(*map(np.arange, moving.grid.shape), indexing="ij"))
    shaded = np.exp(place.sum(0) / 20) + moving.volume.data / 1000
    moving = Brain(
        SeriesVolume("T2", shaded.astype(np.float32), moving.grid), moving.brain, moving.grid
    )
    found = align(fixed, moving)
    assert found.by_shape
    assert error_mm(fixed, truth, found) < 2.5
    assert found.overlap > 0.95


def test_a_refusal_says_what_would_be_wrong():
    sound = Alignment(np.eye(4), 0.0, 0.0, 0.97)
    assert sound.fault == ""
    assert sound.is_sure
    for change, words in (
        ({"apart": 130.0}, "130 mm apart"),
        ({"turn": 60.0}, "turn the head by 60°"),
        ({"overlap": 0.7}, "overlap by 70 % only"),
    ):
        assert words in replace(sound, **change).fault


def test_what_is_no_head_cannot_be_aligned(fixed):
    data = np.zeros(SHAPE, np.float32)
    data[3:9, 4:46, 2:38] = np.random.default_rng(0).random((6, 42, 36)) + 100
    grid = Grid(AFFINE, SHAPE)
    with pytest.raises(CaseError, match="T2 cannot be aligned to T1ce"):
        align(fixed, series("T2", grid.from_file(data), grid))


def test_without_simpleitk_the_extra_is_named(fixed, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(GliocamError, match=r"pip install 'napari-gliocam\[prepare\]'"):
        align(fixed, fixed)
