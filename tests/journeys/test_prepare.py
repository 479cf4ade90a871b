"""A study that makes no case as it is: found, prepared, checked, segmented, saved on its series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("SimpleITK")

from napari_gliocam.case import Grid, Modality
from napari_gliocam.prepare.resample import even_grid, resample

from ..prepare.heads import AFFINE, SHAPE, brain_volume

TIMEOUT_MS = 120_000
GRID = Grid(AFFINE, SHAPE)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """T1ce and FLAIR on one grid, the T2 elsewhere with other voxels; skull-stripped."""
    folder = tmp_path / "P1"
    folder.mkdir()
    moved = np.eye(4)
    moved[:3, 3] = (3, -2, 2)
    other = even_grid(GRID, 1.3)
    t2 = resample(GRID.from_file(brain_volume(2)), GRID, other, np.linalg.inv(moved), order=3)
    for name, data, grid in (
        ("t1ce", GRID.from_file(brain_volume(0)), GRID),
        ("flair", GRID.from_file(brain_volume(1)), GRID),
        ("t2", np.where(t2 > 60, t2, 0), other),
    ):
        nib.Nifti1Image(grid.to_file(data), grid.affine).to_filename(folder / f"P1_{name}.nii")
    return folder


def test_a_study_is_prepared_in_the_panel(gliocam: Any, qtbot: Any, study: Path) -> None:
    panel, state, view = gliocam.panel, gliocam.state, gliocam.panel.prepare_view
    panel.open(study)
    qtbot.waitUntil(lambda: state.examination is not None, timeout=TIMEOUT_MS)
    assert not view.choice.isHidden()
    assert view.series[Modality.T2].currentText() == "P1_t2.nii"
    assert view.series[Modality.T1].currentText() == "not there"
    assert not state.open_cases
    view.run.button.click()
    qtbot.waitUntil(lambda: state.current is not None, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: panel.session.turns.idle)
    opened = state.current
    assert set(opened.case.volumes) == {Modality.T1CE, Modality.T2, Modality.FLAIR}
    assert view.choice.isHidden()
    assert not view.check.isHidden()
    assert view.steps_line.text().startswith("T2 was aligned to T1ce")

    titles = [view.checkerboard.itemText(i) for i in range(view.checkerboard.count())]
    index = titles.index("T1ce and T2")
    view.checkerboard.setCurrentIndex(index)
    view.checkerboard.activated.emit(index)
    assert "T1ce and T2" in gliocam.viewer.layers
    view.checkerboard.activated.emit(0)
    assert "T1ce and T2" not in gliocam.viewer.layers
    assert not view.head_button.isEnabled()  # nothing was stripped
    panel.ask_close()
    assert view.check.isHidden()


def test_another_series_and_no_series_can_be_chosen(gliocam: Any, qtbot: Any, study: Path) -> None:
    state, view = gliocam.state, gliocam.panel.prepare_view
    gliocam.panel.open(study)
    qtbot.waitUntil(lambda: state.examination is not None, timeout=TIMEOUT_MS)
    names = [one.name for one in state.examination.series]
    view.series[Modality.T2].activated.emit(names.index("P1_t1ce.nii") + 1)
    assert view.series[Modality.T2].currentText() == "P1_t1ce.nii"
    assert view.series[Modality.T1CE].currentText() == "not there"
    view.close_button.click()
    assert state.examination is None
    assert view.choice.isHidden()


def test_a_preparation_that_fails_says_why_and_can_be_mended(
    gliocam: Any, qtbot: Any, study: Path
) -> None:
    state, view = gliocam.state, gliocam.panel.prepare_view
    gliocam.panel.open(study)
    qtbot.waitUntil(lambda: state.examination is not None, timeout=TIMEOUT_MS)
    view.steps["resample"].setChecked(False)
    view.run.button.click()
    qtbot.waitUntil(lambda: state.message is not None, timeout=TIMEOUT_MS)
    assert "different grids" in state.message.text
    assert state.examination is not None
    assert view.run.currentIndex() == 0


def test_a_study_dropped_on_the_canvas_is_offered(gliocam: Any, qtbot: Any, study: Path) -> None:
    gliocam.viewer.open(study, plugin="napari-gliocam")
    assert set(gliocam.state.examination.chosen) == {Modality.T1CE, Modality.T2, Modality.FLAIR}
    assert not gliocam.viewer.layers


def test_a_head_opens_as_it_is_and_can_be_stripped(
    gliocam: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "H1"
    folder.mkdir()
    brain = brain_volume(0)
    head = Grid(np.diag([-4.0, -4.0, 4.0, 1.0]), SHAPE)  # large enough to fill more than a brain
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    skin = np.random.default_rng(0).uniform(400, 900, SHAPE) * ((place**2).sum(0) < 1.2)
    filled = np.where(brain > 0, brain + 1000, skin).astype(np.float32)
    for name in ("t1ce", "flair", "t2"):
        nib.Nifti1Image(filled, head.affine).to_filename(folder / f"H1_{name}.nii")
    nib.Nifti1Image((brain > 900).astype(np.uint8), head.affine).to_filename(folder / "H1_seg.nii")

    def logits(volume: Any) -> Any:
        return np.where(volume.data > 950, 5, -5).astype(np.float32), volume.grid

    monkeypatch.setattr("napari_gliocam.prepare.run.brain_logits", logits)
    panel, state, view = gliocam.panel, gliocam.state, gliocam.panel.prepare_view
    panel.open(folder)
    qtbot.waitUntil(lambda: state.current is not None, timeout=TIMEOUT_MS)
    before = state.current
    assert not view.choice.isHidden()
    view.run.button.click()
    qtbot.waitUntil(lambda: state.current not in (None, before), timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: panel.session.turns.idle)
    assert state.open_cases == (state.current,)
    case, was = state.current.case, before.case
    volumes = [np.count_nonzero(one.expert.labels) * one.grid.voxel_ml for one in (case, was)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)
    assert not state.current.case.volumes[Modality.T1CE][0].any()
    view.head_button.click()
    layer = gliocam.viewer.layers["border of the brain"]
    assert layer.contour == 1
    assert gliocam.viewer.layers["head"].data[0].all()
    view.head_button.click()
    assert "head" not in gliocam.viewer.layers
