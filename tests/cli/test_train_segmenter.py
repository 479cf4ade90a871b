"""The commands ``pseudo-label`` and ``train-segmenter``, one after the other."""

import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from napari_gliocam.nets.segmenters import build  # noqa: E402

from ..train.case_files import write_cases  # noqa: E402

TINY = """
base = "small-unet"
[data]
phantoms = 0
validation = 0
[fit]
epochs = 1
batch = 8
precision = "32-true"
"""
#: Maps of random networks show little: these thresholds find both classes all the same.
LOOSE = ["--tumour-threshold", "0.01", "--class-threshold", "0.01", "--no-gate", "--overlapping"]
LOOSE += ["--refine", "none", "--no-components"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    from napari_gliocam.nets.bundle import save_bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import GliocamNet

    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0)
    save_bundle(GliocamNet(width=4), info, folder / "bundle")
    (folder / "own.toml").write_text(TINY)
    (folder / "labels.csv").write_text(
        "case,slice,core,edema\n" + "".join(f"case0,{n},0,{int(n < 8)}\n" for n in range(16))
    )
    return SimpleNamespace(folder=folder, cases=write_cases(folder / "cases", 2))


def run(*line):
    return CliRunner().invoke(app, [str(word) for word in line])


def label(given, out, *more):
    line = ["pseudo-label", given.cases, "--out", out, "--bundle", given.folder / "bundle"]
    return run(*line, "--device", "cpu", *LOOSE, *more)


def voxels(folder, case):
    return np.asarray(nibabel.load(folder / case / f"{case}_seg.nii.gz").dataobj)


def test_slice_labels_deny_and_second_masks_are_written(given, tmp_path):
    out, second = tmp_path / "masks", tmp_path / "second"
    done = label(
        given, out, "--labels", given.folder / "labels.csv", "--second-out", second, "--json"
    )
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["case"] for one in told] == ["case0", "case1"]
    assert [one["labelled"] for one in told] == [True, False]
    assert "no labels of case1" in done.stderr
    labels = voxels(out, "case0")
    assert not np.isin(labels, (1, 3)).any()  # core is denied everywhere
    assert not labels[:, :, 8:].any()
    assert (labels[:, :, :8] == 2).any()
    assert np.isin(voxels(out, "case1"), (1, 3)).any()
    assert voxels(second, "case1").shape == labels.shape
    assert label(given, out).exit_code == 2  # nothing is replaced


def test_maps_of_an_explanation_method_are_cut_instead(given, tmp_path):
    done = label(given, tmp_path / "cam", "--method", "multiscale:gradcam")
    assert done.exit_code == 0, done.output
    plain = label(given, tmp_path / "maps")
    assert plain.exit_code == 0, plain.output
    assert not np.array_equal(voxels(tmp_path / "cam", "case0"), voxels(tmp_path / "maps", "case0"))


def test_masks_of_paper_4_are_explained_and_fitted_on_the_same_clusters(given, tmp_path):
    fit = ["--method", "refit", "--refine", "boundary-fit", "--no-clusters-network"]
    done = label(given, tmp_path / "fitted", *fit, "--clusters-superpixel-mm2", "40")
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "fitted" / "case0" / "case0.json").read_text(encoding="utf-8"))
    method = facts["provenance"]["method"]
    assert method["clusters"] == facts["refinement"]["clusters"]
    assert (method["clusters"]["network"], method["clusters"]["superpixel_mm2"]) == (False, 40)
    assert method["pixel_mm"] == 3.0


def test_one_folder_for_both_masks_is_refused(given, tmp_path):
    done = label(given, tmp_path / "masks", "--second-out", tmp_path / "masks")
    assert done.exit_code == 2
    assert "another folder" in done.stderr


def test_from_cases_to_a_bundle_that_segments(given, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "SMALL_WIDTHS", (4, 8))
    masks, out = tmp_path / "masks", tmp_path / "new"
    assert label(given, masks).exit_code == 0
    line = ["train-segmenter", "--cases", given.cases, "--masks", masks, "--out", out]
    line += ["--bundle", given.folder / "bundle", "--recipe", given.folder / "own.toml"]
    line += ["--device", "cpu", "--seed", 3, "--epochs", 2]
    planned = run(*line, "--plan", "--json")
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["slices"] > 0
    assert json.loads(planned.stdout)["seconds"] > 0
    done = run(*line)
    assert done.exit_code == 0, done.output
    assert str(out) in done.stdout
    segmented = run(
        "segment", given.cases / "case0", "--bundle", out, "--device", "cpu", "--out",
        tmp_path / "results", "--json",
    )  # fmt: skip
    assert segmented.exit_code == 0, segmented.output
    facts = (tmp_path / "results" / "case0" / "case0.json").read_text(encoding="utf-8")
    assert '"architecture": "small-unet"' in facts
    maps = run(
        "segment", given.cases / "case0", "--bundle", out, "--device", "cpu", "--out",
        tmp_path / "maps", "--json", "--networks", "maps",
    )  # fmt: skip
    assert maps.exit_code == 0, maps.output
    facts = (tmp_path / "maps" / "case0" / "case0.json").read_text(encoding="utf-8")
    assert "architecture" not in facts
    line_of = ["explain", given.cases / "case0", "--bundle", out, "--method", "segmenter"]
    shown = run(*line_of, "--device", "cpu", "--out", tmp_path / "shown")
    assert shown.exit_code == 0, shown.output
    none = [
        "segment",
        given.cases / "case0",
        "--bundle",
        given.folder / "bundle",
        "--device",
        "cpu",
    ]
    refused = run(*none, "--out", tmp_path / "none", "--networks", "segmenter")
    assert refused.exit_code == 2
    assert "no segmentation network" in refused.stderr
    again = run(*line)
    assert again.exit_code == 2
    assert "finished bundle" in again.stderr


def test_a_refused_training_leaves_nothing_and_a_plan_finds_a_file_in_the_way(given, tmp_path):
    (tmp_path / "masks").mkdir()
    line = ["train-segmenter", "--cases", given.cases, "--masks", tmp_path / "masks"]
    line += ["--bundle", given.folder / "bundle", "--recipe", given.folder / "own.toml"]
    assert run(*line, "--out", tmp_path / "new").exit_code == 2
    assert not (tmp_path / "new" / "training").exists()
    (tmp_path / "file").write_text("mine")
    done = run(*line, "--out", tmp_path / "file", "--plan")
    assert done.exit_code == 2
    assert "is a file, not a folder" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--network", "vnet", 'did you mean "unet"'),
        ("--tumour-share", "-1", "tumour_share"),
        ("--recipe", "x", "recipe"),
    ],
)
def test_a_wrong_option_is_a_sentence(given, tmp_path, option, value, words):
    line = ["train-segmenter", "--cases", given.cases, "--masks", tmp_path, "--out", tmp_path / "n"]
    done = run(*line, option, value)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output
