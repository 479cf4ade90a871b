"""Strokes and settings that outlive a crash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.io import unsaved
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setattr(unsaved, "unsaved_folder", lambda: tmp_path / "unsaved")
    volume = np.random.default_rng(0).random((10, 12, 14)).astype(np.float32)
    return Case("Jane Doe", {Modality.FLAIR: volume}, Grid(np.eye(4), (14, 12, 10)))


def test_work_comes_back_for_the_same_images_and_no_others(case, tmp_path):
    assert unsaved.find_work(case) is None
    strokes = np.full(case.grid.shape, 255, np.uint8)
    strokes[3] = 1
    settings = Thresholds(0.3, 0.6, gate=False)
    unsaved.keep_work(case, settings, Refinement("none"), strokes)
    found = unsaved.find_work(replace(case, name="renamed"))
    assert (found.settings, found.refinement) == (settings, Refinement("none"))
    assert np.array_equal(found.strokes, strokes)
    other = replace(case, volumes={Modality.FLAIR: case.volumes[Modality.FLAIR] + 1})
    assert unsaved.find_work(other) is None
    unsaved.keep_work(case, settings, Refinement(), None)
    assert unsaved.find_work(case).strokes is None
    unsaved.forget_work(case)
    assert unsaved.find_work(case) is None


def test_only_the_user_reads_it_and_it_names_nobody(case, tmp_path):
    unsaved.keep_work(case, Thresholds(), Refinement(), None)
    (path,) = (tmp_path / "unsaved").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "Jane" not in path.name
    assert b"Jane" not in path.read_bytes()


def test_damaged_work_is_none(case, tmp_path):
    unsaved.keep_work(case, Thresholds(), Refinement(), np.zeros((2, 2, 2), np.uint8))
    assert unsaved.find_work(case) is None
    (path,) = (tmp_path / "unsaved").iterdir()
    path.write_bytes(b"PK broken")
    assert unsaved.find_work(case) is None
