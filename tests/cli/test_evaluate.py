"""``napari-gliocam evaluate`` as a script sees it: exit status, standard output, files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam.cli import batch as cli_batch
from napari_gliocam.cli.main import app
from napari_gliocam.io import read_case, save_segmentation
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.threshold import apply_thresholds

AFFINE = np.diag([-1.0, -1.5, 3.0, 1.0])
SHAPE = (50, 60, 12)  # as in the file: L, P, S


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Random weights: quick, and how well they find something does not matter here."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    info = BundleInfo("tiny", "random numbers", "CC0-1.0", width=8)
    save_bundle(GliocamNet(width=8), info, folder)
    return folder


def write(folder, name, array, affine=AFFINE):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def truth(shift=0):
    """BraTS labels: edema around an enhancing core, on slices 5 to 7."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[15 + shift : 30 + shift, 20:40, 5:8] = 2
    labels[20 + shift : 25 + shift, 25:32, 5:8] = 4
    return labels


def write_case(folder, name, *, expert=True, seed=0):
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[8:-8, 10:-10, 2:] = True
    for modality in ("flair", "t1ce", "t2"):
        volume = rng.normal(300, 50, SHAPE) + 300 * (truth() > 0)
        write(folder / name, f"{name}_{modality}", (volume.clip(1) * brain).astype(np.int16))
    if expert:
        write(folder / name, f"{name}_seg", truth())
    return folder / name


@pytest.fixture
def cases(tmp_path):
    for number in (1, 2):
        write_case(tmp_path / "cases", f"BraTS2021_0000{number}", seed=number)
    return tmp_path / "cases"


@pytest.fixture
def results(tmp_path):
    """Labels of an earlier run: the first case to the voxel, the second a little beside."""
    for number in (1, 2):
        labels = truth(shift=2 * (number - 1))
        labels[labels == 4] = 1
        name = f"BraTS2021_0000{number}"
        write(tmp_path / "results" / name, f"{name}_seg", labels)
    return tmp_path / "results"


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])

    return run


def the_sentence(result):
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def dice_of(document, method="gliocam", target="tumour"):
    return {
        case["case"]: case["figures"]["volume"][target]["dice"]
        for case in document["cases"]
        if case["method"] == method
    }


def test_saved_labels_are_measured_without_a_network(run, cases, results, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_batch, "open_bundle", lambda _: pytest.fail("the networks were loaded"))
    result = run(cases, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    found = dice_of(document)
    assert found["BraTS2021_00001"] == 1
    assert found["BraTS2021_00002"] == pytest.approx(13 / 15)
    assert set(dice_of(document, "nothing").values()) == {0}
    assert set(dice_of(document, "intensity")) == set(found)
    assert document["source"] == {"results": results.name}
    assert str(tmp_path) not in (tmp_path / "out" / "evaluation.json").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.json",
        "cases.csv",
        "summary.csv",
    }


@pytest.mark.parametrize("found", [True, False])
def test_saved_labels_of_the_tumour_alone_are_scored_as_that(run, cases, tmp_path, found):
    """Also where none was found, which no value of the labels tells."""
    case = read_case(cases / "BraTS2021_00001")
    tumour = np.float32(0.9 * found) * (case.expert.labels > 0)
    maps = ClassMaps.of_targets(
        case.grid, {"tumour": tumour}, probabilities=np.ones((len(tumour), 3), np.float32)
    )
    save_segmentation(
        apply_thresholds(maps), tmp_path / "saved" / f"{case.name}_seg.nii.gz", case=case
    )
    out = tmp_path / "out"
    result = run(cases / case.name, "--results", tmp_path / "saved", "--out", out)
    assert result.exit_code == 0, result.stderr
    own, *_ = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["cases"]
    assert set(own["figures"]["volume"]) == {"tumour"}
    assert own["figures"]["volume"]["tumour"]["dice"] == found


def test_the_short_table_has_cases_and_baselines(run, cases, results, tmp_path):
    result = run(cases, "--results", results, "--out", tmp_path / "out")
    lines = result.stdout.splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines[:-1])) <= 80
    for word in ("BraTS2021_00001", "BraTS2021_00002", "mean of 2", "baseline: all brain"):
        assert word in result.stdout


def test_the_tables_have_conventions_baselines_and_n(run, cases, results, tmp_path):
    result = run(cases, "--results", results, "--out", tmp_path / "out", "--verbose")
    for word in (
        *("BraTS2021_00001", "present-slices", "volume", "all-slices", "pooled", "image-level"),
        *("Dice", "IoU", "HD95 (mm)", "nothing", "all brain", "intensity", "n = 2"),
        f"{(1 + 13 / 15) / 2:.3f} ± {np.std([1, 13 / 15], ddof=1):.3f}",
        str(tmp_path / "out" / "cases.csv"),
    ):
        assert word in result.stdout
    assert "nan" not in result.stdout.lower()
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 80


def test_the_networks_are_measured_with_probabilities_and_overlap(
    run, cases, tmp_path, tiny_bundle, monkeypatch
):
    loaded = []
    original = cli_batch.open_bundle
    monkeypatch.setattr(
        cli_batch, "open_bundle", lambda request: loaded.append(1) or original(request)
    )
    options = ["--bundle", tiny_bundle, "--device", "cpu", "--tumour-threshold", "0.1"]
    result = run(cases, "--out", tmp_path / "out", *options, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert len(loaded) == 1
    own = document["cases"][0]
    assert 0 <= own["figures"]["image-level"]["tumour"]["auc"] <= 1
    assert own["slices"]["tumour"]["image_level_positive"] == 3
    assert own["slices"]["tumour"]["image_level_negative"] == 7
    assert "ml" in own["figures"]["class-overlap"]["core and edema"]
    assert document["source"]["bundle"] == "tiny"
    assert document["source"]["settings"]["tumour_threshold"] == 0.1
    assert document == json.loads((tmp_path / "out" / "evaluation.json").read_text()) | {
        "saved": document["saved"]
    }


def test_two_runs_are_compared(run, cases, results, tmp_path):
    assert run(cases, "--results", results, "--out", tmp_path / "one").exit_code == 0
    first = tmp_path / "one" / "evaluation.json"
    name = "BraTS2021_00001"
    worse = truth(shift=5)
    worse[worse == 4] = 1
    write(results / name, f"{name}_seg", worse)
    result = run(cases, "--results", results, "--out", tmp_path / "two", "--against", first)
    assert result.exit_code == 0, result.stderr
    assert "t-test p" in result.stdout
    document = json.loads((tmp_path / "two" / "evaluation.json").read_text(encoding="utf-8"))
    test = next(
        t
        for t in document["against"]["tests"]
        if (t["group"], t["target"], t["metric"]) == ("volume", "tumour", "dice")
    )
    assert test["n"] == 2
    assert test["difference"] == pytest.approx((10 / 15 - 1) / 2)
    assert test["p"] == pytest.approx(0.5)  # t = 1 with one degree of freedom
    same = run(cases, "--results", results, "-o", tmp_path / "three", "--against", first.parent)
    assert "cannot be read" in the_sentence(same)
    assert same.exit_code == 2


def test_one_case_has_no_sd_and_no_test(run, cases, results, tmp_path):
    one = cases / "BraTS2021_00002"
    assert run(one, "--results", results, "--out", tmp_path / "one").exit_code == 0
    against = tmp_path / "one" / "evaluation.json"
    result = run(one, "--results", results, "-o", tmp_path / "two", "--against", against)
    assert result.exit_code == 0
    assert "±" not in result.stdout
    assert result.stdout.count("One patient has no spread") == 1


def test_one_failing_case_does_not_stop_the_others(run, cases, results, tmp_path):
    write_case(cases, "BraTS2021_00003", expert=False)
    result = run(cases, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    sentence = the_sentence(result)
    assert "BraTS2021_00003" in sentence
    assert "no expert labels" in sentence
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert len(dice_of(document)) == 2
    (failed,) = document["failed"]
    assert failed["case"] == "BraTS2021_00003"


def test_where_every_case_fails_nothing_is_written(run, cases, tmp_path):
    (tmp_path / "empty").mkdir()
    one = cases / "BraTS2021_00001"
    result = run(one, "--results", tmp_path / "empty", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    (failed,) = json.loads(result.stdout)["failed"]
    assert "no result" in failed["error"]
    assert not (tmp_path / "out").exists()


def on_another_grid(path):
    nib.Nifti1Image(truth(), AFFINE @ np.diag([1, 1, 2, 1])).to_filename(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda p: p.unlink(), "no expert labels", id="missing"),
        pytest.param(on_another_grid, "another grid than the case", id="another grid"),
        pytest.param(lambda p: p.write_text("hello"), "not a NIfTI", id="no NIfTI"),
    ],
)
def test_bad_expert_labels_are_one_sentence(run, cases, results, tmp_path, spoil, said):
    case = cases / "BraTS2021_00001"
    spoil(case / "BraTS2021_00001_seg.nii.gz")
    result = run(case, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert said in the_sentence(result)
    assert "BraTS2021_00001" in result.stderr


def test_results_on_another_grid_are_one_sentence(run, cases, results, tmp_path):
    on_another_grid(results / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz")
    result = run(cases / "BraTS2021_00001", "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "lies on another grid than the case" in the_sentence(result)


def test_results_may_lie_side_by_side(run, cases, results, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    source = results / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz"
    shutil.copy(source, flat / "BraTS2021_00001.nii.gz")
    result = run(cases / "BraTS2021_00001", "--results", flat, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output


def test_the_experts_labels_are_not_measured_by_themselves(run, cases, tmp_path):
    result = run(cases / "BraTS2021_00001", "--results", cases, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "the expert's own file" in the_sentence(result)


def test_labels_of_this_program_are_no_experts(run, cases, results, tmp_path):
    case = cases / "BraTS2021_00001"
    file = case / "BraTS2021_00001_seg.nii.gz"
    labels = nib.load(file)
    labels.header["descrip"] = b"napari-gliocam 0.1"
    nib.save(nib.Nifti1Image(np.minimum(truth(), 2), labels.affine, labels.header), file)
    result = run(case, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "is a result of this program" in the_sentence(result)
    assert not (tmp_path / "out").exists()


def test_of_two_cases_with_one_name_the_second_is_refused(run, cases, results, tmp_path):
    other = write_case(tmp_path / "other", "BraTS2021_00001", seed=5)
    result = run(cases / other.name, other, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert str(other) in the_sentence(result)
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert len(dice_of(document)) == 1


def test_an_earlier_evaluation_is_kept_and_nothing_runs(run, cases, results, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.csv").write_text("mine")
    found = import_module("napari_gliocam.cli.evaluate")
    monkeypatch.setattr(found, "each_case", lambda *_: pytest.fail("a case was measured"))
    result = run(cases, "--results", results, "--out", out)
    assert result.exit_code == 2
    assert "summary.csv exists" in the_sentence(result)
    monkeypatch.undo()
    one = cases / "BraTS2021_00001"
    assert run(one, "--results", results, "--out", out, "--overwrite").exit_code == 0
    assert (out / "summary.csv").read_text() != "mine"


@pytest.mark.parametrize(
    "options",
    [
        ["--hd95", "mean"],
        ["--max-distance", "far"],
        ["--max-distance", "0"],
        ["--max-distance", "nan"],
        ["--min-pixels", "0"],
        ["--tumour-threshold", "nan"],
    ],
)
def test_wrong_usage_is_status_2(run, cases, tmp_path, options):
    result = run(cases, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--results", "nowhere"], "nowhere is no folder"),
        (["--against", "nothing.json"], "nothing.json cannot be read"),
        (["--label-scheme", "mine"], 'no label scheme "mine"'),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(run, cases, tmp_path, options, said):
    result = run(cases, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in the_sentence(result)


def test_options_of_the_figures_are_passed_on(run, cases, results, tmp_path):
    options = ["--hd95", "max-directed", "--max-distance", "brats", "--min-pixels", "36"]
    one = cases / "BraTS2021_00001"
    result = run(one, "--results", results, "--out", tmp_path / "out", *options, "--json")
    document = json.loads(result.stdout)
    assert document["settings"] == {
        "hd95": "max-directed",
        "max_distance": 373.12866,
        "min_pixels": 36,
        "probability": 0.5,
    }
    nothing = next(case for case in document["cases"] if case["method"] == "nothing")
    assert nothing["figures"]["volume"]["tumour"]["hd95_mm"] == 373.12866
    assert nothing["slices"]["core"]["image_level_left_out"] == 3


def test_ctrl_c_writes_nothing(run, cases, results, tmp_path, monkeypatch):
    found = import_module("napari_gliocam.cli.evaluate")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(found, "measuring", interrupted)
    result = run(cases, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "nothing was written" in the_sentence(result)
    assert not (tmp_path / "out").exists()


def test_a_bad_bundle_is_said_once(run, cases, tmp_path):
    result = run(cases, "--bundle", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "nowhere" in the_sentence(result)


def test_what_nobody_foresaw_is_a_sentence(run, cases, results, tmp_path, monkeypatch):
    found = import_module("napari_gliocam.cli.evaluate")

    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(found, "read_result", broken)
    one = cases / "BraTS2021_00001"
    result = run(one, "--results", results, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "--debug" in the_sentence(result)
    result = run(one, "--results", results, "--out", tmp_path / "out", "--debug")
    assert "ZeroDivisionError" in result.stderr


def test_saved_labels_need_no_torch_and_help_needs_nothing(cases, results, tmp_path):
    one, out = cases / "BraTS2021_00001", tmp_path / "out"
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from napari_gliocam.cli.main import app\n"
        "assert CliRunner().invoke(app, ['evaluate', '--help']).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'scipy', 'napari'} & set(sys.modules)\n"
        f"line = ['evaluate', {str(one)!r}, '--results', {str(results)!r}, '-o', {str(out)!r}]\n"
        "assert CliRunner().invoke(app, line).exit_code == 0\n"
        "assert not {'torch', 'napari', 'lightning'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["BraTS2021_00006"])
def test_a_real_case_agrees_with_itself(run, shared_cases, tmp_path, name):
    """The expert's labels as the result: perfect in every convention."""
    source = shared_cases / name / f"{name}_seg.nii.gz"
    (tmp_path / "results").mkdir()
    shutil.copy(source, tmp_path / "results" / f"{name}_seg.nii.gz")
    result = run(
        shared_cases / name, "--results", tmp_path / "results", "-o", tmp_path / "out", "--json"
    )
    own = json.loads(result.stdout)["cases"][0]
    for group in ("present-slices", "volume", "all-slices", "pooled"):
        for target in ("tumour", "core", "edema"):
            figures = own["figures"][group][target]
            assert figures["dice"] == figures["iou"] == 1
            assert figures.get("hd95_mm", 0) == 0


def test_without_names(run, cases, results, tmp_path):
    first = run(cases, "--results", results, "--out", tmp_path / "first")
    assert first.exit_code == 0
    (cases / "BraTS2021_00003").mkdir()
    out = tmp_path / "out"
    against = ["--against", tmp_path / "first" / "evaluation.json"]
    line = (cases, "--results", results, "--out", out, "--no-names", *against)
    assert run(*line).exit_code == 0
    for path in out.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "BraTS" not in text
        assert str(tmp_path) not in text
        assert "case 2" in text or path.name == "summary.csv"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names in Unicode alone")
def test_names_that_are_no_text_and_folders_that_cannot_be_read_stop_nothing(
    run, cases, tmp_path, tiny_bundle
):
    strange = os.fsdecode(b"caf\xe9")
    write_case(cases, strange)
    locked = cases / "lost+found"
    locked.mkdir()
    locked.chmod(0)
    options = ["--bundle", tiny_bundle, "--device", "cpu"]
    result = run(cases, "--out", tmp_path / "out", *options)
    locked.chmod(0o700)
    assert "Written" in result.stdout
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert len(dice_of(document)) == 3
    assert (tmp_path / "out" / "cases.csv").read_text(encoding="utf-8").count("caf") == 12
