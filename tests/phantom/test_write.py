import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError, GliocamError, SaveError
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.phantom import write
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.phantom.scene import SceneSettings
from napari_gliocam.phantom.write import (
    PhantomRequest,
    ValueType,
    kind_in_turn,
    write_phantoms,
)
from napari_gliocam.segmentation import segment

SMALL = {"shape": (21, 40, 40), "spacing": (7.0, 6.0, 6.0)}
FILES = ("t1", "t1ce", "t2", "flair", "seg")


@pytest.fixture(scope="module")
def brain():
    return procedural_anatomy(0, spacing=6.0)


@pytest.fixture(autouse=True)
def one_brain(brain, monkeypatch):
    """The same coarse brain for every case: drawing one takes longer than all the rest."""
    monkeypatch.setattr(write, "procedural_anatomy", lambda seed: brain)


def only_case(folder):
    (files,) = find_cases(folder)
    return read_case(files)


def test_a_case_is_read_back_with_its_truth_and_can_be_segmented(tmp_path):
    (folder,) = write_phantoms(tmp_path, 1, 3, kind="enhancing", **SMALL)
    assert folder == tmp_path / "phantom_3_0000"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        f"phantom_3_0000_{shown}.nii.gz" for shown in FILES
    )
    case = only_case(folder)
    assert set(case.volumes) == set(Modality)
    assert case.grid.shape == SMALL["shape"]
    assert case.grid.spacing == SMALL["spacing"]
    assert case.expert is not None
    assert case.expert.scheme == "brats"
    assert {1, 2} <= set(np.unique(case.expert.labels).tolist())
    assert not case.expert.labels[~case.brain].any()
    torch.manual_seed(0)
    info = BundleInfo("tiny", "random numbers", "CC0-1.0", width=8)
    found = segment(case, bundle=Bundle(info, GliocamNet(width=8).eval()), device="cpu")
    assert found.labels.shape == case.grid.shape


def test_label_4_is_what_takes_up_contrast_agent(tmp_path):
    quiet = SceneSettings(distract=0.0, acquire=0.0, atrophy=0.0)
    shown = {}
    for kind in ("enhancing", "low-grade", "healthy"):
        for folder in write_phantoms(tmp_path / kind, 3, 1, kind=kind, settings=quiet, **SMALL):
            raw = nib.load(folder / f"{folder.name}_seg.nii.gz").get_fdata()
            shown.setdefault(kind, []).append([(raw == k).sum() for k in (1, 2, 4)])
            if kind == "enhancing":
                t1, t1ce = (
                    nib.load(folder / f"{folder.name}_{m}.nii.gz").get_fdata()
                    for m in ("t1", "t1ce")
                )
                assert np.median(t1ce[raw == 4]) > np.median(t1ce[(raw == 0) & (t1 > 0)])
    share = {
        kind: np.mean([four / (one + four) for one, _, four in counts])
        for kind, counts in shown.items()
        if kind != "healthy"
    }
    assert share["enhancing"] > 0.2
    assert share["low-grade"] < 0.1
    assert not np.any(shown["healthy"])


def test_a_case_is_the_same_whatever_their_number_and_another_seed_is_not(tmp_path):
    write_phantoms(tmp_path / "few", 2, 5, **SMALL)
    write_phantoms(tmp_path / "one", 1, 5, **SMALL)
    write_phantoms(tmp_path / "other", 1, 6, **SMALL)
    for shown in FILES:
        name = f"phantom_5_0000/phantom_5_0000_{shown}.nii.gz"
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    flair = [
        nib.load(next((tmp_path / part).rglob("*_0000_flair.nii.gz"))).get_fdata()
        for part in ("one", "other")
    ]
    assert (flair[0] != flair[1]).any()


def test_modalities_go_missing_by_their_probability_and_flair_never(tmp_path):
    (folder,) = write_phantoms(tmp_path, 1, missing=1.0, **SMALL)
    case = only_case(folder)
    assert set(case.volumes) == {Modality.FLAIR}


def test_an_earlier_case_is_kept_unless_it_may_be_replaced_whole(tmp_path, monkeypatch):
    (folder,) = write_phantoms(tmp_path, 1, **SMALL)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(write, "render_scene", lambda *_: pytest.fail("a case was drawn"))
    with pytest.raises(SaveError, match=r"exists; .*--overwrite"):
        write_phantoms(tmp_path, 2, **SMALL)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    monkeypatch.undo()
    # What the new case does not have must not stay: it would be taken for part of it.
    monkeypatch.setattr(write, "procedural_anatomy", lambda seed: procedural_anatomy(0, 6.0))
    write_phantoms(tmp_path, 1, overwrite=True, missing=1.0, **SMALL)
    assert {p.name.split("_")[-1] for p in folder.iterdir()} == {"flair.nii.gz", "seg.nii.gz"}


def test_a_case_comes_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(*_, **__):
        raise SaveError("The disk is full.")

    monkeypatch.setattr(write, "write_files", full)
    with pytest.raises(SaveError):
        write_phantoms(tmp_path, 1, **SMALL)
    assert not list(tmp_path.rglob("*.nii.gz"))


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"cases": 0}, "ask for 1 or more"),
        ({"cases": 1, "seed": -1}, "choose 0 or more"),
        ({"cases": 1, "kind": "metastasis"}, "choose one of mixed"),
        ({"cases": 1, "missing": 1.5}, "0 to 1"),
        ({"cases": 1, "missing": float("nan")}, "0 to 1"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(tmp_path, wish, words):
    with pytest.raises(GliocamError, match=words):
        write_phantoms(tmp_path, **wish)


def test_wrong_folders_are_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="is a file"):
        write_phantoms(tmp_path / "file", 1)
    with pytest.raises(CaseError, match="holds no anatomy"):
        write_phantoms(tmp_path / "out", 1, anatomy=tmp_path)


def test_the_value_types_all_occur():
    drawn = [
        write._draw_values(write.Fields(None, np.random.default_rng(seed))) for seed in range(60)
    ]
    assert {v.dtype for v in drawn} == {"uint8", "int16", "float32"}
    assert max(v.top for v in drawn if v.dtype == "int16") == 32767


@settings(max_examples=30)
@given(
    top=st.sampled_from([("uint8", 255), ("int16", 300), ("int16", 32767), ("float32", 1.0)]),
    bright=st.floats(1e-3, 1e4),
    seed=st.integers(0, 1000),
)
def test_stored_values_keep_to_their_range_and_brain_is_never_air(top, bright, seed):
    rng = np.random.default_rng(seed)
    image = (rng.random((4, 30, 30)) * bright).astype(np.float32)
    brain = rng.random(image.shape) > 0.3
    stored = ValueType(*top).store(image, brain)
    assert stored.dtype == top[0]
    assert stored.max() == top[1]
    assert ((stored > 0) == brain).all()
    if top[0] == "uint8":
        assert len(np.unique(stored)) <= 256
    order = np.argsort(image[brain])
    assert (np.diff(stored[brain][order].astype(float)) >= 0).all()


def test_a_case_without_brain_in_view_is_air():
    stored = ValueType("uint8", 255).store(
        np.ones((2, 3, 3), np.float32), np.zeros((2, 3, 3), bool)
    )
    assert not stored.any()


def test_progress_counts_cases(tmp_path):
    work = write.writing_phantoms(PhantomRequest(tmp_path, 2, **SMALL))
    steps = [(p.done, p.total, p.what) for p in work]
    assert steps == [
        (0, 2, "drawing"),
        (0, 2, "saving"),
        (1, 2, "saved"),
        (1, 2, "drawing"),
        (1, 2, "saving"),
        (2, 2, "saved"),
    ]


def test_kinds_come_in_turn_and_as_often_as_their_weights():
    weights = SceneSettings().kinds
    drawn = [kind_in_turn(weights, number) for number in range(100)]
    assert drawn[:4] == ["both", "none", "both", "edema"]
    for kind, weight in weights.items():
        assert abs(drawn.count(kind) / 100 - weight) <= 0.01
