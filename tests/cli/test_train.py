"""The command ``train``; what a training does is tested in tests/train."""

import importlib.metadata
import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_gliocam.cli.main import app

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from ..train.case_files import write_case, write_cases  # noqa: E402

TINY = """
base = "finetune"
data.rehearsal = 0
classifier.tumour.fit = { epochs = 1, batch = 8 }
classifier.classes.fit = { epochs = 1, batch = 8 }
aggregate.tumour.fit = { epochs = 1, batch = 8 }
aggregate.classes.fit = { epochs = 1, batch = 8 }
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    from napari_gliocam.nets.bundle import save_bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import GliocamNet

    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0)
    save_bundle(GliocamNet(width=4), info, folder / "bundle")
    (folder / "finetune.toml").write_text(TINY)
    return SimpleNamespace(folder=folder, cases=write_cases(folder / "cases", 4))


def run(given, *more):
    line = ["train", "--cases", given.cases, "--recipe", given.folder / "finetune.toml"]
    line += ["--bundle", given.folder / "bundle", "--device", "cpu", *more]
    return CliRunner().invoke(app, [str(word) for word in line])


def test_the_plan_is_told_and_nothing_is_trained(given, tmp_path):
    done = run(given, "--out", tmp_path / "new", "--plan")
    assert done.exit_code == 0, done.output
    assert "4 cases with 64 labelled slices" in done.output
    assert "on this machine" in done.output
    assert not (tmp_path / "new").exists()
    told = json.loads(run(given, "--out", tmp_path / "new", "--plan", "--json").stdout)
    assert told["shown"]["core"] > 0
    assert told["seconds"] > 0


@pytest.mark.parametrize("option", [("--targets", "tumour"), ("--modality", "t1ce")])
def test_options_of_new_networks_are_refused_where_a_bundle_goes_on(given, tmp_path, option):
    done = run(given, "--out", tmp_path / "new", "--plan", *option)
    assert done.exit_code == 2
    assert f"{option[0]} is for new networks" in " ".join(done.output.split())
    assert "--recipe default" in " ".join(done.output.split())


def test_a_bundle_is_trained_once(given, tmp_path):
    done = run(given, "--out", tmp_path / "new", "--name", "mine")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new" / "bundle.safetensors").exists()
    assert done.stdout.strip().endswith("new")
    assert "AUC, core" in done.stdout
    again = run(given, "--out", tmp_path / "new")
    assert again.exit_code == 2
    assert "finished bundle" in again.output


def test_what_is_wrong_is_a_sentence(given, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("case,slice,core,edema\ncase0,99,1,0\n")
    done = run(given, "--out", tmp_path / "new", "--labels", file)
    assert done.exit_code == 2
    assert "line 2: case0 has slices 0 to 15, not 99" in done.output.replace("\n", " ")
    write_case(tmp_path / "lacking", "one", without=("flair",))
    given = SimpleNamespace(folder=given.folder, cases=tmp_path / "lacking")
    assert "has no FLAIR" in run(given, "--out", tmp_path / "new").output


def test_lightning_is_there_and_runs_no_code_from_checkpoints(given, tmp_path, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert "not installed" in run(given, "--out", tmp_path / "new").output
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.5.5")
    assert "Lightning 2.6 or later" in run(given, "--out", tmp_path / "new").output


def test_blank_slices_are_kept_where_the_recipe_says_so(given, tmp_path):
    cases = write_cases(tmp_path / "cases", 3)
    for file in (cases / "case0").iterdir():
        image = nibabel.load(file)
        array = np.asarray(image.dataobj).copy()
        array[:, :, :2] = 0
        nibabel.save(nibabel.Nifti1Image(array, image.affine), file)
    given = SimpleNamespace(folder=given.folder, cases=cases)
    done = run(given, "--out", tmp_path / "new", "--plan")
    assert "46 labelled slices" in done.output
    assert "2 labelled slices show less than 5 cm²" in done.output.replace("\n", " ")
    keep = tmp_path / "keep.toml"
    keep.write_text(TINY + 'data.blank = "keep"\n')
    done = run(given, "--out", tmp_path / "new", "--plan", "--recipe", keep)
    assert "48 labelled slices" in done.output
    assert "less than 5 cm²" not in done.output


@pytest.mark.parametrize("what", ["--out", "--work", "--cache"])
def test_a_folder_that_cannot_be_made_is_found_before_anything_runs(given, tmp_path, what):
    long = tmp_path / ("x" * 300)
    line = {"--out": tmp_path / "new", what: long}
    done = run(given, *(word for pair in line.items() for word in pair))
    assert done.exit_code == 2
    said = done.output.replace("\n", " ")
    assert "name too long" in said or "is longer than the 255 bytes" in said
    assert not (tmp_path / "new" / "bundle.json").exists()


def test_a_file_in_the_way_is_refused_with_and_without_a_plan(given, tmp_path):
    file = tmp_path / "mine"
    file.write_text("mine")
    for more in ((), ("--plan",)):
        done = run(given, "--out", file, *more)
        assert done.exit_code == 2, done.output
        assert "is a file, not a folder" in done.stderr.replace("\n", " ")
    assert file.read_text() == "mine"


def test_a_refused_training_leaves_no_request(given, tmp_path):
    (tmp_path / "empty").mkdir()
    given = SimpleNamespace(folder=given.folder, cases=tmp_path / "empty")
    assert run(given, "--out", tmp_path / "new").exit_code == 2
    assert not (tmp_path / "new" / "training").exists()


def test_folds_train_a_bundle_each_and_a_split_says_who_judges(given, tmp_path):
    out = tmp_path / "folds"
    done = run(given, "--out", out, "--folds", "2", "--name", "mine")
    assert done.exit_code == 0, done.output
    rows = (out / "folds.csv").read_text().splitlines()
    assert rows[0] == "case,fold"
    assert sorted(row[-1] for row in rows[1:]) == ["1", "1", "2", "2"]
    for fold in (1, 2):
        info = json.loads((out / f"fold-{fold}" / "bundle.json").read_text())
        assert info["name"] == f"mine, fold {fold}"
        assert (info["training"]["cases"], info["training"]["validation_cases"]) == (2, 2)
    assert run(given, "--out", out, "--folds", "2").exit_code == 0  # both are there
    other = run(given, "--out", out, "--folds", "3")
    assert other.exit_code == 2
    assert "has 2 folds and --folds asks for 3" in other.output
    split = tmp_path / "split.csv"
    names = [row.split(",")[0] for row in rows[1:]]
    parts = ("train", "train", "validation", "test")
    lines = (f"{n},{p}\n" for n, p in zip(names, parts, strict=True))
    split.write_text("case,split\n" + "".join(lines))
    planned = run(given, "--out", tmp_path / "x", "--split", split, "--plan", "--json")
    assert planned.exit_code == 0, planned.output
    told = json.loads(planned.stdout)
    assert sorted(told["train"]) == sorted(names[:2])
    assert told["validation"] == names[2:3]
    both = run(given, "--out", tmp_path / "x", "--split", split, "--folds", "2")
    assert both.exit_code == 2
    assert "exclude each other" in both.output
