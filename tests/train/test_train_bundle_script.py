"""``scripts/train_bundle.py`` from end to end, with tiny networks and drawn patients."""

import importlib.util
from pathlib import Path

import pytest
import torch

from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.train.data.case_index import SlicePreparation, indexing
from napari_gliocam.train.data.case_set import derive_tags
from napari_gliocam.train.labels.tag_file import save_tags
from napari_gliocam.train.recipe.maps import Data

from .case_files import write_cases
from .conftest import same_weights

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_bundle.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_bundle", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = write_cases(tmp_path_factory.mktemp("patients"), 3)
    index = finish(indexing(folder, SlicePreparation(), cache=folder.parent / "counting"))
    save_tags(derive_tags(index, Data(min_pixels=1)), folder.parent / "labels.csv")
    return folder


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(0)
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0)
    save_bundle(GliocamNet(width=4), info, tmp_path / "start")
    return tmp_path / "start"


def test_patients_and_their_labels_give_a_bundle_that_loads(script, patients, start, tmp_path):
    out = tmp_path / "bundle"
    words = ["--patients", patients, "--labels", patients.parent / "labels.csv", "--out", out]
    words += ["--start", start, "--quick", "--cases", "1", "--device", "cpu"]
    assert script.main([str(word) for word in words]) == 0
    bundle = load_bundle(out)
    recipe = bundle.info.training["recipe"]
    assert (recipe["name"], recipe["seeds"], len(recipe["rounds"])) == ("real", 2, 3)
    assert not same_weights(bundle.net, load_bundle(start).net)
    before = (out / "bundle.safetensors").read_bytes()
    assert script.main([str(word) for word in words]) == 0  # finished: nothing runs again
    assert (out / "bundle.safetensors").read_bytes() == before


@pytest.mark.parametrize("lacking", ["patients", "labels", "anatomies", "start"])
def test_a_missing_folder_is_one_sentence(script, patients, start, tmp_path, capsys, lacking):
    given = {
        "patients": patients,
        "labels": patients.parent / "labels.csv",
        "anatomies": tmp_path,
        "start": start,
    }
    given[lacking] = tmp_path / "nowhere"
    words = [str(word) for name, path in given.items() for word in (f"--{name}", path)]
    assert script.main([*words, "--out", str(tmp_path / "bundle"), "--quick"]) == 1
    said = capsys.readouterr().err.strip()
    assert "nowhere" in said
    assert said.count("\n") == 0
    assert said.endswith(".")
    assert not (tmp_path / "bundle").exists()


def test_patients_without_labels_are_refused(script, patients, tmp_path, capsys):
    words = ["--patients", str(patients), "--out", str(tmp_path / "bundle")]
    assert script.main(words) == 1
    assert "--labels" in capsys.readouterr().err
