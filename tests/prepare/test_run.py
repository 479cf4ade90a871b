from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.spatial.transform import Rotation

from napari_gliocam.case import Grid, Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import read_case
from napari_gliocam.prepare import Steps, find_examination, prepare, preparing
from napari_gliocam.prepare.examination import read_series
from napari_gliocam.prepare.opening import has_skull
from napari_gliocam.prepare.resample import even_grid, resample
from napari_gliocam.prepare.strip import stripped_brain
from napari_gliocam.prepare.write import save_prepared
from napari_gliocam.progress import Progress

from .heads import AFFINE, SHAPE, brain_volume

GRID = Grid(AFFINE, SHAPE)
MOVED = np.eye(4)
MOVED[:3, :3] = Rotation.from_euler("xyz", (5, -4, 6), degrees=True).as_matrix()
MOVED[:3, 3] = (5, -4, 3)


def write(path: Path, data: np.ndarray, grid: Grid = GRID) -> None:
    nib.Nifti1Image(grid.to_file(data), grid.affine).to_filename(path)


@pytest.fixture
def examination(tmp_path) -> Path:
    """Two series on one grid and a moved T2 on another, skull-stripped."""
    folder = tmp_path / "P1"
    folder.mkdir()
    for name, seed in (("t1ce", 0), ("flair", 1)):
        write(folder / f"P1_{name}.nii", GRID.from_file(brain_volume(seed)))
    other = even_grid(GRID, 1.3)
    t2 = resample(GRID.from_file(brain_volume(2)), GRID, other, np.linalg.inv(MOVED), order=3)
    write(folder / "P1_t2.nii", np.where(t2 > 60, t2, 0), other)
    return folder


def test_a_case_is_made_and_knows_the_way_back(examination):
    case = prepare(examination)
    assert case.name == "P1"
    assert set(case.volumes) == {Modality.T1CE, Modality.T2, Modality.FLAIR}
    assert all(volume.shape == case.grid.shape for volume in case.volumes.values())
    made = case.preparation
    assert [step.split()[0] for step in made.steps] == ["T2", "T2"]
    back = made.originals[Modality.T2].from_case
    places = np.c_[np.argwhere(case.brain), np.ones(case.brain.sum())]
    places = places @ case.grid.canonical_affine.T
    assert np.linalg.norm(((back - MOVED) @ places.T)[:3], axis=0).mean() < 0.8
    assert np.array_equal(made.originals[Modality.T1CE].from_case, np.eye(4))
    # The moved series shows the same structures in the same place again.
    wanted = resample(GRID.from_file(brain_volume(2)), GRID, case.grid)
    both = case.brain & (wanted > 0)
    assert np.corrcoef(case.volumes[Modality.T2][both], wanted[both])[0, 1] > 0.9


def test_the_brain_is_that_of_the_reference_without_a_rim_of_the_others(examination):
    wanted = read_series(find_examination(examination).chosen[Modality.T1CE]).data != 0
    assert np.array_equal(prepare(examination).brain, wanted)


def test_a_stripped_reference_is_not_cut_by_the_vote_on_a_head(examination, monkeypatch):
    wanted = read_series(find_examination(examination).chosen[Modality.T1CE]).data != 0
    eroded = ndi.binary_erosion(wanted, iterations=3)

    def logits(volume):
        return np.where(eroded, 5, -5).astype(np.float32), volume.grid

    def brain_unless_flair(volume):
        return None if "flair" in volume.name else stripped_brain(volume)

    monkeypatch.setattr("napari_gliocam.prepare.run.stripped_brain", brain_unless_flair)
    monkeypatch.setattr("napari_gliocam.prepare.run.brain_logits", logits)
    monkeypatch.setattr("napari_gliocam.prepare.strip.SMALLEST_BRAIN_ML", 5.0)
    case = prepare(examination)
    assert np.array_equal(case.brain, wanted)
    assert "removed from FLAIR; the brain is that of T1ce" in case.preparation.steps[-1]
    assert not any("found by a network" in warning for warning in case.warnings)


@pytest.mark.parametrize("skull", [True, False])
def test_a_head_that_fills_no_more_than_a_brain_is_stripped(examination, monkeypatch, skull):
    def logits(volume):
        brain = ndi.binary_erosion(volume.data != 0, iterations=3 if skull else 1)
        return np.where(brain, 5, -5).astype(np.float32), volume.grid

    for room in ("run", "opening"):
        monkeypatch.setattr(f"napari_gliocam.prepare.{room}.brain_logits", logits)
    monkeypatch.setattr("napari_gliocam.prepare.strip.SMALLEST_BRAIN_ML", 5.0)
    monkeypatch.setattr("napari_gliocam.prepare.strip._LARGEST_SURE_ML", 10.0)
    (examination / "P1_t2.nii").unlink()
    assert has_skull(read_case(examination)) is skull
    steps = prepare(examination).preparation.steps
    assert any("found in T1ce and FLAIR" in step for step in steps) is skull
    said = " ".join((*steps, *prepare(examination).warnings))
    assert said.count("removed") == said.count("found by a network") == int(skull)
    assert not any(
        "removed" in step
        for step in prepare(examination, steps=Steps(strip=False)).preparation.steps
    )


def test_progress_is_real_and_the_generator_can_be_closed(examination):
    work = preparing(examination)
    first = next(work)
    assert isinstance(first, Progress)
    next(work)
    work.close()


def test_series_on_one_grid_stay_as_they_are(examination):
    (examination / "P1_t2.nii").unlink()
    case, plain = prepare(examination), read_case(examination)
    assert case.preparation.steps == ()
    for modality, volume in plain.volumes.items():
        assert np.allclose(case.volumes[modality], volume)


def test_alignment_can_be_left_out_and_grids_can_be_required(examination):
    case = prepare(examination, steps=Steps(align=False))
    assert np.array_equal(case.preparation.originals[Modality.T2].from_case, np.eye(4))
    with pytest.raises(CaseError, match="lie on different grids"):
        prepare(examination, steps=Steps(resample=False))


@pytest.mark.parametrize("strip", [True, False])
def test_a_background_that_is_not_0_is_recognised(examination, strip):
    for name, offset in (("t1ce", -300.0), ("flair", 40.0)):
        path = examination / f"P1_{name}.nii"
        image = nib.load(path)
        nib.Nifti1Image(image.get_fdata() + offset, image.affine).to_filename(path)
    case, brain = prepare(examination, steps=Steps(strip=strip)), brain_volume(0) > 0
    share = np.count_nonzero(case.brain) * case.grid.voxel_ml / (brain.sum() * GRID.voxel_ml)
    assert share == pytest.approx(1.0, abs=0.05)


def test_the_choice_of_series_is_kept(examination):
    found = find_examination(examination)
    without = found.choosing(Modality.T2, None)
    assert Modality.T2 not in prepare(without).volumes
    assert "The case has no T2." in prepare(without).warnings
    with pytest.raises(CaseError, match='no series called "dwi"'):
        found.find_series("dwi")


def cut_above(path: Path, slices: int) -> None:
    image = nib.load(path)
    nib.Nifti1Image(image.get_fdata()[..., :slices], image.affine).to_filename(path)


def test_a_series_that_ends_in_the_brain_is_named_with_what_that_means(examination):
    def said() -> list[str]:
        return [note for note in prepare(examination).warnings if "of the brain" in note]

    assert said() == []
    cut_above(examination / "P1_flair.nii", 21)
    (only,) = said()
    assert re.fullmatch(r"FLAIR shows 5\d % of the brain; the rest is segmented without it\.", only)
    cut_above(examination / "P1_t1ce.nii", 21)  # the case ends where its reference does
    assert said() == ["T1ce does not reach the top of the brain; nothing is found above it."]


def test_a_prepared_case_reads_as_any_other(examination, tmp_path):
    case = prepare(examination)
    files = save_prepared(case, tmp_path / "out")
    again = read_case(files[0].parent)
    assert again.name == case.name
    for modality, volume in case.volumes.items():
        assert np.allclose(again.volumes[modality], volume)
    assert np.allclose(again.grid.canonical_affine, case.grid.canonical_affine, atol=1e-4)
    text = files[-1].read_text()
    assert "T2 was aligned to T1ce" in text
    assert str(tmp_path) not in text


def test_an_alignment_by_shape_is_a_warning(examination, monkeypatch):
    from napari_gliocam.prepare import run

    found = run.align
    monkeypatch.setattr(run, "align", lambda *brains: replace(found(*brains), by_shape=True))
    case = prepare(examination)
    assert any("by the shape of the brains alone; check" in note for note in case.warnings)


def test_series_of_two_heads_cannot_be_aligned(examination):
    other = np.zeros(GRID.shape, np.float32)
    other[2:8, 3:47, 3:37] = np.random.default_rng(0).random((6, 44, 34)) * 100 + 200
    grid = Grid(AFFINE + np.diag([0, 0, 0.1, 0]), SHAPE)
    write(examination / "P1_t2.nii", other, grid)
    with pytest.raises(CaseError, match=r"P1_t2.nii cannot be aligned to P1_t1ce.nii"):
        prepare(examination)


def test_a_case_without_preparation_is_what_read_case_gives(examination):
    assert read_case(replace_files(examination)).preparation is None


def replace_files(folder: Path):
    from napari_gliocam.io import find_case

    files = find_case(folder)
    kept = {m: path for m, path in files.modalities.items() if m is not Modality.T2}
    return replace(files, modalities=kept)


def test_a_head_is_found_behind_a_series_that_is_stripped(examination, monkeypatch):
    (examination / "P1_t2.nii").unlink()
    case = read_case(examination)
    *_, last = case.volumes

    def logits(volume):
        skull = volume.name == last.title
        brain = ndi.binary_erosion(volume.data != 0, iterations=3 if skull else 1)
        return np.where(brain, 5, -5).astype(np.float32), volume.grid

    monkeypatch.setattr("napari_gliocam.prepare.opening.brain_logits", logits)
    monkeypatch.setattr("napari_gliocam.prepare.strip.SMALLEST_BRAIN_ML", 5.0)
    monkeypatch.setattr("napari_gliocam.prepare.strip._LARGEST_SURE_ML", 10.0)
    assert has_skull(case)
