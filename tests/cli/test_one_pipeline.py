"""Whatever `segment` saves for a case is what `evaluate`, `report` and a training score."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam.cli.main import app
from napari_gliocam.io import read_case
from napari_gliocam.measure.scores.overlap import score
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.refine.parameters import METHODS, Refinement
from napari_gliocam.segmentation import bundle_thresholds, segment
from napari_gliocam.settings import Thresholds
from napari_gliocam.train.labels.tags import Tag
from napari_gliocam.train.run.before_after import comparing

SHAPE = (36, 40, 5)  # as in the file: L, P, S
PAPER, OWN = (0.40, 0.50), (0.30, 0.46)
#: The bundle's thresholds, and options: every refinement, thresholds of all three origins.
RUNS = [
    *((OWN, ("--refine", method)) for method in METHODS),
    (PAPER, ()),
    (PAPER, ("--no-components", "--overlapping")),
    (OWN, ("--refine", "none", "--no-components", "--tumour-threshold", "0.42")),
    (OWN, ("--refine", "boundary-fit", "--no-components", "--class-threshold", "0.48")),
]


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory):
    """Random weights with thresholds of their own."""

    def make(thresholds):
        torch.manual_seed(1)
        folder = tmp_path_factory.mktemp("bundle")
        tumour, class_ = thresholds
        info = BundleInfo(
            "tiny",
            "random numbers",
            "CC0-1.0",
            width=4,
            tumour_threshold=tumour,
            class_threshold=class_,
        )
        save_bundle(GliocamNet(width=4), info, folder)
        return folder

    return make


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[6:-6, 6:-6] = True
    truth = np.zeros(SHAPE, dtype=np.uint8)
    truth[12:22, 12:26, 1:4] = 2
    truth[14:18, 16:22, 2:4] = 4
    folder = tmp_path_factory.mktemp("case") / "one"
    folder.mkdir()
    for modality in ("flair", "t1ce", "t2"):
        volume = (rng.normal(300, 50, SHAPE) + 300 * (truth > 0)).clip(1) * brain
        nib.Nifti1Image(volume.astype(np.int16), np.diag([-1.0, -1.0, 4.0, 1.0])).to_filename(
            folder / f"one_{modality}.nii.gz"
        )
    nib.Nifti1Image(truth, np.diag([-1.0, -1.0, 4.0, 1.0])).to_filename(folder / "one_seg.nii.gz")
    return folder


def run(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def figures(out):
    document = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    (ours,) = (one for one in document["cases"] if one["method"] == "gliocam")
    return ours["voxels"], ours["figures"]["volume"], ours["figures"]["present-slices"]


@pytest.mark.parametrize(("thresholds", "given"), RUNS, ids=lambda value: " ".join(map(str, value)))
def test_evaluate_and_report_take_what_segment_saves(bundle_of, case, tmp_path, thresholds, given):
    options = ["--bundle", bundle_of(thresholds), "--device", "cpu", "--no-gate", *given]
    run("segment", case, "--out", tmp_path / "saved", *options)
    run("evaluate", case, "--out", tmp_path / "read", "--results", tmp_path / "saved")
    run("evaluate", case, "--out", tmp_path / "made", *options)
    assert figures(tmp_path / "made") == figures(tmp_path / "read")
    assert figures(tmp_path / "made")[0]["tumour"]["labels"] > 0
    run("report", case, "--out", tmp_path / "report", *options)
    reported = json.loads((tmp_path / "report" / "one" / "one_report.json").read_text())
    saved = json.loads((tmp_path / "saved" / "one" / "one.json").read_text())
    assert reported["measures"]["case"]["tumour_ml"] == pytest.approx(saved["volumes_ml"]["tumour"])
    assert reported["settings"] == saved["settings"]
    assert reported["refinement"] == saved["refinement"]


@pytest.mark.parametrize("thresholds", [PAPER, OWN])
def test_python_and_the_table_of_a_training_take_what_segment_saves(
    bundle_of, case, tmp_path, thresholds
):
    folder = bundle_of(thresholds)
    run("segment", case, "--out", tmp_path, "--bundle", folder, "--device", "cpu")
    read, bundle = read_case(case), load_bundle(folder)
    saved = np.asarray(nib.load(tmp_path / "one" / "one_seg.nii.gz").dataobj)
    made = segment(read, bundle=bundle, device="cpu")
    assert np.array_equal(read.grid.to_file(made.labels), saved)
    assert made.settings == Thresholds(*thresholds) == bundle_thresholds(bundle.info)
    assert made.refinement == Refinement()
    sources, tags = {"one": case}, {"one": dict.fromkeys(range(5), Tag(core=True, edema=True))}
    table = finish(comparing(sources, tags, bundle, bundle, device="cpu"))
    wanted = score(made.labels, read.expert.labels)
    own = {row.target: (row.before, row.after) for row in table.rows if row.case == "one"}
    assert own == {target: (value, value) for target, value in wanted.items()}
