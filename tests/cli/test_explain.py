"""The command ``explain`` as a script sees it."""

from __future__ import annotations

import csv
import json
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam.cli import explain as cli_explain
from napari_gliocam.cli.main import app
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (50, 60, 8)  # as in the file: L, P, S


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp(f"bundle-{seed}")
        net = GliocamNet(width=4)
        for exit_ in [*net.tumour.exits, *net.classes.exits]:
            exit_.weight.data.abs_()
        save_bundle(net, BundleInfo("tiny", "random numbers", "CC0-1.0", width=4), folder)
        made.append(folder)
    return made


@pytest.fixture
def case(tmp_path):
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, dtype=bool)
    brain[8:-8, 10:-10, 2:] = True
    folder = tmp_path / "cases" / "one"
    folder.mkdir(parents=True)
    for modality in ("flair", "t1ce", "t2"):
        volume = (rng.normal(300, 50, SHAPE).clip(1) * brain).astype(np.int16)
        nib.Nifti1Image(volume, AFFINE).to_filename(folder / f"one_{modality}.nii.gz")
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[20:30, 20:30, 3:6] = 2
    labels[22:26, 22:26, 4:6] = 1
    nib.Nifti1Image(labels, AFFINE).to_filename(folder / "one_seg.nii.gz")
    return folder


@pytest.fixture
def run(bundles):
    def run(*arguments, bundles=bundles[:1]):
        line = ["explain", *(str(a) for a in arguments), "--device", "cpu"]
        for folder in bundles:
            line += ["--bundle", str(folder)]
        return CliRunner().invoke(app, line)

    return run


def test_maps_sheet_and_table(run, case, tmp_path):
    out = tmp_path / "out"
    line = (case, "--out", out, "--method", "gradcam", "--method", "guided", "--no-gate")
    line = (*line, "--scope", "case")
    done = run(*line, "--ensemble", "and", "--ensemble", "1", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    folder = out / "one"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("one_explain.csv", "one_explain.png", "one_explain.json"),
        *(
            f"one_{t}_{m}.nii.gz"
            for t in ("core", "edema")
            for m in ("gradcam-4", "guided-aggregate", "ensemble-intersection", "ensemble-1-votes")
        ),
    }
    assert sorted(facts["files"]) == sorted(str(folder / name) for name in names)
    for name in names:
        if name.endswith(".nii.gz"):
            image = nib.load(folder / name)
            values = np.asarray(image.dataobj)
            assert image.shape == SHAPE
            assert np.array_equal(image.affine, AFFINE)
            assert values.min() >= 0
            assert 0 < values.max() <= 1
            assert values.dtype == (np.uint8 if "ensemble" in name else np.float32)
    figures = {(f["figure"], f["target"], f["method"], f["other"]) for f in facts["figures"]}
    assert ("iou", "core", "GradCAM 4", "Guided aggregate") in figures
    assert ("overlap", "core and edema", "GradCAM 4", "") in figures
    assert ("pointing_game", "edema", "Guided aggregate", "") in figures
    written = json.loads((folder / "one_explain.json").read_text())
    assert written["maps"][0]["layer"] == 4
    assert str(tmp_path) not in json.dumps(written)


def test_slices_where_the_networks_deny_the_class_are_0(run, case, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_gliocam.maps.raw_maps.GATE", 2.0)  # they deny everything
    line = (case, "--out", tmp_path, "--method", "gradcam", "--class", "core", "--scope", "case")
    assert run(*line).exit_code == 0
    assert not np.asarray(nib.load(tmp_path / "one" / "one_core_gradcam-4.nii.gz").dataobj).any()


def test_a_slice_without_lesion_has_no_figures_against_the_expert(run, case, tmp_path):
    line = (case, "--out", tmp_path, "--method", "gradcam", "--method", "exit", "--scope", "7")
    line = (*line, "--threshold", "1")  # so that nothing is found, either
    done = run(*line)
    assert done.exit_code == 0, done.output
    assert "1.000" not in done.stdout
    assert "- (no lesion in the reference)" in done.stdout
    assert "- (nothing found)" in done.stdout
    facts = json.loads((tmp_path / "one" / "one_explain.json").read_text())
    assert {f["value"] for f in facts["figures"]} == {None}
    table = (tmp_path / "one" / "one_explain.csv").read_text().splitlines()
    assert all(row.endswith(",") for row in table[1:])


def test_scales_are_normalised_where_that_is_asked_for(run, case, tmp_path):
    line = (case, "--method", "multiscale:gradcam", "--class", "core", "--scope", "4", "--no-gate")
    values = []
    for number, option in enumerate(((), ("--normalise-scales",))):
        out = tmp_path / str(number) / "one"
        assert run(*line, "--out", out.parent, *option).exit_code == 0
        written = json.loads((out / "one_explain.json").read_text())["maps"][0]["method"]
        assert written["normalise_scales"] is bool(option)
        (file,) = out.glob("*.nii.gz")
        values.append(np.asarray(nib.load(file).dataobj))
    assert not np.array_equal(*values)


def test_two_bundles_are_an_ensemble_of_networks(run, case, tmp_path, bundles):
    line = (
        case,
        "--out",
        tmp_path,
        "--method",
        "exit",
        "--class",
        "core",
        "--scope",
        "4",
        "--no-gate",
    )
    done = run(*line, "--ensemble", ">", bundles=bundles)
    assert done.exit_code == 0, done.output
    assert "Exit map 4, bundle 1 and Exit map 4, bundle 2" in done.stdout
    assert (tmp_path / "one" / "one_core_exit-map-4-bundle-2.nii.gz").exists()
    assert (tmp_path / "one" / "one_core_ensemble-larger.nii.gz").exists()


def test_each_member_of_an_ensemble_has_a_threshold_of_its_own(run, case, tmp_path):
    line = (case, "--method", "gradcam", "--method", "exit", "--class", "core", "--scope", "4")
    line = (*line, "--no-gate", "--ensemble", "and", "--ensemble", "or")
    wrong = run(*line, "--out", tmp_path / "no", "--member-threshold", 0.6)
    assert wrong.exit_code == 2
    assert "2 maps and 1 value of --member-threshold" in wrong.stderr
    done = run(*line, "--out", tmp_path, "--member-threshold", 0.6, "--member-threshold", 0.2)
    assert done.exit_code == 0, done.output
    read = {p.name: np.asarray(nib.load(p).dataobj) for p in (tmp_path / "one").glob("*.nii.gz")}
    first = read["one_core_gradcam-4.nii.gz"] > 0.6
    second = read["one_core_exit-map-4.nii.gz"] > 0.2
    both, either = (read[f"one_core_ensemble-{r}.nii.gz"] for r in ("intersection", "union"))
    assert np.array_equal(both > 0, first & second)
    assert np.array_equal(either > 0, first | second)


def test_no_ensemble_is_a_member_of_the_next(run, case, tmp_path):
    line = (case, "--method", "gradcam", "--method", "exit", "--class", "core", "--scope", "4")
    done = run(*line, "--no-gate", *(w for e in ("or", "2", "and") for w in ("--ensemble", e)),
               "--out", tmp_path)  # fmt: skip
    assert done.exit_code == 0, done.output
    both, two, either = (
        np.asarray(nib.load(tmp_path / "one" / f"one_core_ensemble-{name}.nii.gz").dataobj)
        for name in ("intersection", "2-votes", "union")
    )
    assert np.array_equal(both, two)
    assert not np.array_equal(both, either)


def test_many_cases_get_a_folder_each(run, case, tmp_path):
    other = case.parent / "two"
    other.mkdir()
    for path in case.iterdir():
        (other / path.name.replace("one", "two")).write_bytes(path.read_bytes())
    (other / "two_t2.nii.gz").write_bytes(b"no image")
    line = (case.parent, "--out", tmp_path / "out", "--method", "exit", "--class", "core")
    done = run(*line, "--scope", "4")
    assert done.exit_code == 1
    assert "two_t2.nii.gz" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one"]


def test_earlier_results_are_kept_unless_asked(run, case, tmp_path):
    line = (
        case,
        "--out",
        tmp_path,
        "--method",
        "exit",
        "--class",
        "core",
        "--scope",
        "4",
        "--no-gate",
    )
    assert run(*line).exit_code == 0
    again = run(*line)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run(*line, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--method", "cam"), 'no method "cam"; did you mean "'),
        (("--layer", "7"), "no layer 7; choose one from 1 to 4"),
        (("--score", "best"), '"best" is none of exit, mean'),
        (("--score", "5"), "no exit 5; choose one from 1 to 4"),
        (("--scope", "all"), '"all" is none of lesion, case'),
        (("--ensemble", "xor"), 'no ensemble "xor"'),
        (("--method", "exit", "--ensemble", "9"), "--ensemble 9 needs 9 maps and there is 1; add"),
        (("--method", "exit", "--ensemble", "and"), "--ensemble and needs 2 maps and there is 1"),
        (
            (
                *("--method", "exit", "--method", "average", "--ensemble", "4"),
                "--layer=3",
                "--layer=4",
            ),
            "--ensemble 4 needs 4 maps and there are 3",
        ),
        (("--tests", "faithfulnes"), 'no test "faithfulnes"; did you mean "faithfulness"?'),
        (("--baseline", "blurr"), '"blurr" is no choice; did you mean "blur"?'),
        (("--normalise", "none"), "no scale of their own"),
    ],
)
def test_wrong_settings_are_one_sentence_and_write_nothing(run, case, tmp_path, options, sentence):
    done = run(case, "--out", tmp_path / "out", *options)
    # How a map is scaled is a matter of the method, which is made with the case.
    assert done.exit_code == (1 if "--normalise" in options else 2)
    *usage, said = done.stderr.strip().splitlines()
    assert sentence in said
    assert not usage or usage[0].startswith("Usage")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["out", "out/one"])
def test_a_file_in_the_way_is_found_before_a_network_runs(run, case, tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    done = run(case, "--out", tmp_path / "out", "--method", "exit", "--scope", "4")
    assert done.exit_code == 2
    assert "is a file, not a folder" in done.stderr
    assert file.read_text() == "mine"


def test_ctrl_c_in_scorecam_writes_what_there_is(run, case, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_gliocam.cams.methods.scorecam.CHUNK", {"cpu": 10})
    seen = []
    original = cli_explain._follow

    def follow(work, name, bar, say):
        run_ = work.run

        def stopped():
            for progress in run_():
                seen.append(progress)
                if work.method.unit and progress.done >= 50:  # in the second slice of 32 channels
                    raise KeyboardInterrupt
                yield progress

        monkeypatch.setattr(work, "run", stopped)
        return original(work, name, bar, say)

    monkeypatch.setattr(cli_explain, "_follow", follow)
    line = (case, "--out", tmp_path, "--method", "exit", "--method", "scorecam", "--class", "core")
    done = run(*line, "--method", "average", "--scope", "case", "--json")
    assert done.exit_code == 130
    maps = json.loads(done.stdout)["maps"]
    assert [m["name"] for m in maps] == ["Exit map 4", "ScoreCAM 4"]
    assert maps[1]["slices"] == {"asked": 6, "finished": 1}
    assert (tmp_path / "one" / "one_core_scorecam-4.nii.gz").exists()


def test_a_user_is_told_when_it_takes_long(run, case, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_explain, "_LONG_SECONDS", 0.0)
    line = (case, "--out", tmp_path, "--method", "gradcam", "--class", "core", "--scope", "case")
    monkeypatch.setattr("napari_gliocam.segmentation.BATCH", {"cpu": 2})
    done = run(*line)
    assert done.exit_code == 0
    assert "GradCAM 4 takes about" in done.stderr
    assert done.stderr.count("takes about") == 1


def test_help_loads_no_torch():
    import subprocess

    code = (
        "import sys; from napari_gliocam.cli.main import app; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(app, ['explain', '--help']).exit_code == 0;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


TABLE = ["method", "class", "scope", "test", "value", "slices"]


def test_every_test_of_every_method_as_a_table(run, bundles, case, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_gliocam.trust.scoring.GATE", 0.0)  # the networks see lesion
    monkeypatch.setattr("napari_gliocam.cams.run.explain.GATE", 0.0)
    line = (case, "--out", tmp_path, "--method", "gradcam", "--method", "guided", "--no-gate")
    line = (*line, "--tests", "all", "--test-slices", "1", "--ensemble", "and", "--json")
    done = run(*line, bundles=bundles)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    path = tmp_path / "one" / "one_tests.csv"
    assert str(path) in facts["files"]
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(rows[0]) == TABLE
    assert len(rows) == len(facts["tests"])
    for method in ("GradCAM 4, bundle 1", "Guided aggregate, bundle 1"):
        for target in ("core", "edema"):
            of = {r["test"]: r for r in rows if (r["method"], r["class"]) == (method, target)}
            names = ("deletion", "insertion", "road-most", "road-least", "randomisation")
            names = (*names, "repeatability-rank", "auprc", "sequence-flair", "sequence-map-t2")
            assert set(names) <= set(of)
            assert of["deletion"]["scope"] == "lesion"
            assert float(of["deletion"]["value"]) >= 0
    assert not [r for r in rows if r["method"].endswith("bundle 2")]
    reasons = {(t["method"], t["test"]): t["reason"] for t in facts["tests"]}
    assert "made again" in reasons["Ensemble, intersection", "randomisation"]
    networks = {r["test"] for r in rows if r["method"] == "Networks"}
    assert {"doubt", "volume-ml", "volume-low-ml", "volume-high-ml"} <= networks


def test_tests_of_one_slice_in_words(run, case, tmp_path):
    line = (
        case,
        "--out",
        tmp_path,
        "--method",
        "gradcam",
        "--class",
        "core",
        "--scope",
        "4",
        "--no-gate",
    )
    done = run(*line, "--tests", "faithfulness,randomisation", "--baseline", "mirror")
    assert done.exit_code == 0, done.output
    (row,) = (r for r in done.stdout.splitlines() if r.startswith("deletion"))
    assert row.split()[1:5] == ["core", "GradCAM", "4", "slice"]
    assert "randomisation-" not in done.stdout
    assert "one_tests.csv" in done.stdout


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--tests", "beauty"), "no test"),
        (("--tests", "faithfulness", "--baseline", "black"), '"black" is no choice'),
        (("--tests", "repeatability"), "two bundles"),
    ],
)
def test_wrong_tests_are_refused_before_a_network_runs(run, case, tmp_path, options, word):
    done = run(case, "--out", tmp_path, *options)
    assert done.exit_code == 2
    assert word in done.output
    assert not (tmp_path / "one").exists()


def test_the_names_of_the_tests_are_those_of_the_room():
    from napari_gliocam.cli.explain_tests import NAMES
    from napari_gliocam.trust.fills import FILLS
    from napari_gliocam.trust.run import TESTS

    assert NAMES == TESTS
    assert FILLS == ("mean", "blur", "mirror")


def test_stopping_a_test_writes_what_is_there(run, case, tmp_path, monkeypatch):
    from napari_gliocam.trust import run as room

    def stopped(*arguments, **options):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(room, "randomising", stopped)
    line = (
        case,
        "--out",
        tmp_path,
        "--method",
        "gradcam",
        "--class",
        "core",
        "--scope",
        "4",
        "--no-gate",
    )
    done = run(*line, "--tests", "faithfulness,randomisation")
    assert done.exit_code == 130
    assert "the last test counts only the slices that were done" in done.stderr
    rows = list(csv.DictReader((tmp_path / "one" / "one_tests.csv").read_text().splitlines()))
    assert {"deletion", "insertion"} <= {r["test"] for r in rows}
