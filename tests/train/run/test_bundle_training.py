import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_gliocam import segment
from napari_gliocam.cli.main import app
from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.phantom import make_phantom
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.segmentation import bundle_thresholds
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.data.synthetic import Drawing, synthetic_slices
from napari_gliocam.train.recipe.maps import RECIPES, read_recipe
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.stages.classifier import ClassifierStage

from ..case_files import write_case
from ..conftest import blob_slices, same_weights

ABOUT = BundleInfo("tiny", "blobs", "CC0-1.0")
CPU = Machine("cpu")
STAGES = ["classifier.tumour", "classifier.classes", "aggregate.tumour", "aggregate.classes"]


def run(recipe, slices, folder, **more):
    return train_bundle(
        recipe,
        slices,
        folder / "bundle",
        work_dir=folder / "work",
        about=ABOUT,
        machine=CPU,
        **more,
    )


@pytest.fixture(scope="module")
def recipe(tiny):
    """The default, but for its size."""
    return tiny(read_recipe("default"))


@pytest.fixture(scope="module")
def unbroken(recipe, slices, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken")
    reports = []
    assert run(recipe, slices, folder, report=reports.append) == folder / "bundle"
    return load_bundle(folder / "bundle"), reports, folder


def test_every_stage_runs_and_the_bundle_says_how(unbroken, recipe):
    bundle, reports, _ = unbroken
    order = list(dict.fromkeys(r.stage for r in reports))
    assert order == [*STAGES[:2], "polarity", "maps", *STAGES[2:]]
    info = bundle.info
    assert info.design == recipe.network.design
    assert [m.value for m in info.optional_modalities] == ["t1ce", "t2"]
    assert info.training["recipe"]["aggregate"]["classes"]["weight_agree"] == 5.0
    assert info.training["cases"] + info.training["validation_cases"] == 8
    assert set(info.training["polarity_votes"]) == {"skewness", "occlusion"}
    assert (info.tumour_threshold, info.class_threshold) == (0.40, 0.50)
    assert bundle.net.tumour_attention.layers[-1].weight.any()
    assert bundle.net.class_attention.layers[-1].weight.any()


def test_broken_off_in_every_stage_it_gives_the_same_bundle(recipe, slices, unbroken, tmp_path):
    class KilledError(Exception):
        pass

    for stage in STAGES:

        def kill(told, stage=stage):
            if told.stage == stage and told.step == 2:
                raise KilledError

        with pytest.raises(KilledError):
            run(recipe, slices, tmp_path, report=kill)
        assert not (tmp_path / "bundle").exists()

        def stop(told, stage=stage):
            return told.stage == stage and told.step == 1

        assert run(recipe, slices, tmp_path, report=stop) is None
    seen = []
    run(recipe, slices, tmp_path, report=seen.append)
    assert {r.stage for r in seen} == {STAGES[-1]}
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
import torch
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.run.bundle_training import train_bundle

torch.set_num_threads(1)

def report(told):
    if told.stage == "aggregate.classes" and told.step == 2:
        os.kill(os.getpid(), signal.SIGKILL)

recipe, slices, about = pickle.loads(Path(sys.argv[1]).read_bytes())
folder = Path(sys.argv[2])
train_bundle(recipe, slices, folder / "bundle", work_dir=folder / "work", about=about,
             machine=Machine("cpu"), report=report)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_kill_minus_9_gives_the_same_bundle(recipe, slices, unbroken, tmp_path):
    given = tmp_path / "given"
    given.write_bytes(pickle.dumps((recipe, slices, ABOUT)))
    line = [sys.executable, "-c", KILLED, str(given), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == done.stderr == ""
    run(recipe, slices, tmp_path)
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_damaged_work_files_are_made_again(recipe, slices, unbroken, tmp_path):
    class KilledError(Exception):
        pass

    def kill(report):
        if report.stage == STAGES[-1]:
            raise KilledError

    with pytest.raises(KilledError):
        run(recipe, slices, tmp_path, report=kill)
    work = tmp_path / "work"
    files = ("rows.npz", "polarity.json", "seconds.json", "maps/maps.npy", "maps/tumour.npy")
    for name in (*files, "classifier_tumour/weights.safetensors"):
        raw = (work / name).read_bytes()
        assert raw
        (work / name).write_bytes(raw[: len(raw) // 2])
        with pytest.raises(KilledError):
            run(recipe, slices, tmp_path, report=kill)
    run(recipe, slices, tmp_path)
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_a_folder_whose_training_is_unknown_is_a_sentence(recipe, slices, tmp_path):
    (tmp_path / "work").mkdir()
    for text in ("", "[]", '{"recipe": 3', "[" * 100_000):
        (tmp_path / "work" / "training.json").write_text(text)
        with pytest.raises(TrainingError, match="another folder") as caught:
            run(recipe, slices, tmp_path)
        assert "delete" not in str(caught.value)


def test_going_on_pools_as_the_bundle_does(recipe, slices, tmp_path, monkeypatch):
    poolings = []
    made = ClassifierStage.__init__

    def noted(self, network, columns, recipe, design):
        poolings.append(design.pooling)
        made(self, network, columns, recipe, design)

    monkeypatch.setattr(ClassifierStage, "__init__", noted)
    design = replace(recipe.network.design, pooling="gap")
    run(replace(recipe, start="bundle"), slices, tmp_path, start=GliocamNet.of(3, design))
    assert poolings == ["gap", "gap"]
    assert load_bundle(tmp_path / "bundle").info.pooling == "gap"


def test_slices_of_air_are_left_out_with_a_word(recipe, tmp_path):
    slices = blob_slices(32)
    slices.images[[3, 9]] = 0

    def stop(report):
        reports.append(report)
        return True

    reports = []
    run(recipe, slices, tmp_path, report=stop)
    assert reports[0].note == "2 slices show nothing but air and are left out."
    reports = []
    keep = replace(recipe, data=replace(recipe.data, blank="keep"))
    run(keep, slices, tmp_path / "keep", report=stop)
    assert not any(report.note for report in reports)
    with np.load(tmp_path / "keep" / "work" / "rows.npz") as rows:
        assert len(rows["train"]) + len(rows["validation"]) == 32


def test_going_on_needs_something_to_go_on_from(tiny, slices, tmp_path):
    with pytest.raises(TrainingError, match="goes on from a bundle"):
        run(tiny(read_recipe("finetune")), slices, tmp_path)


def with_targets(recipe, targets):
    return replace(recipe, network=replace(recipe.network, targets=targets))


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        *((name, None) for name in RECIPES),
        *((name, TUMOUR_ALONE) for name in ("default", "finetune", "released")),
        *((name, TARGETS) for name in ("ame-cam", "resnet34")),
    ],
)
def test_every_recipe_that_ships_trains_a_bundle_that_every_command_runs(
    name, targets, tiny, tmp_path
):
    recipe = tiny(read_recipe(name))
    if targets is not None:
        recipe = with_targets(recipe, targets)
    slices = blob_slices(24)
    reports = []
    start = GliocamNet.of(3, recipe.network.design) if recipe.start == "bundle" else None
    run(recipe, slices, tmp_path, report=reports.append, start=start)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.info.design == recipe.network.design
    inverted = bundle.info.polarity == {t: [-1] * 4 for t in recipe.network.targets}
    assert inverted is (name == "released")
    cut = bundle_thresholds(bundle.info)
    asked = (cut.tumour_threshold, cut.class_threshold, cut.gate_probability)
    assert asked == ((0.5, 0.4, 0.6225) if name == "released" else (0.4, 0.5, 0.5))
    pretrained = {r.stage for r in reports if r.stage.startswith("pretrain")}
    alone = recipe.network.targets == TUMOUR_ALONE
    assert (bundle.net.classes is None) is alone
    networks = ("tumour",) if alone else ("tumour", "classes")
    wanted = {n for n in networks if getattr(recipe.pretrain, n).loss != "none"}
    assert pretrained == {f"pretrain.{network}" for network in wanted}
    assert wanted or name not in ("paper", "released")

    case = write_case(tmp_path, "one")
    for command in ("segment", "evaluate", "explain", "report"):
        line = [command, case, "--bundle", tmp_path / "bundle", "--out", tmp_path / command]
        line += ["--device", "cpu", *(["--scope", "4"] if command == "explain" else [])]
        done = CliRunner().invoke(app, [str(word) for word in line])
        assert done.exit_code == 0, (command, done.output, done.exception)
        assert any((tmp_path / command).rglob("*.*")), command
    check_targets(tmp_path, recipe.network.targets)


def check_targets(folder, targets):
    """Every file speaks of the targets of the bundle, and of no other."""
    (labels,) = (folder / "segment").rglob("*_seg.nii.gz")
    values = set(np.unique(nib.load(labels).get_fdata()).astype(int).tolist())
    said = json.loads(labels.with_name("one.json").read_text())
    assert values <= {int(value) for value in said["labels"]}
    assert set(said["labels"].values()) == {"background", *(targets[1:] or targets)}
    assert set(said["volumes_ml"]) == set(targets)
    summary = (folder / "evaluate" / "summary.csv").read_text()
    assert ("edema" in summary) is (len(targets) > 1)
    (explained,) = (folder / "explain").rglob("*_explain.json")
    made = json.loads(explained.read_text())["maps"]
    assert all(one["targets"] == list(targets[1:] or targets) for one in made)
    (page,) = (folder / "report").rglob("*.html")
    _, _, body = page.read_text("utf-8").partition("</header>")
    assert ("edema" in body.partition("<footer>")[0]) is (len(targets) > 1)


def test_a_folder_of_another_training_is_refused(recipe, slices, unbroken):
    _, _, folder = unbroken
    with pytest.raises(TrainingError, match="recipe's seed") as caught:
        run(replace(recipe, seed=1), slices, folder)
    assert str(folder / "work") in str(caught.value)
    assert "delete" not in str(caught.value)
    with pytest.raises(TrainingError, match="other cases or slice labels"):
        run(recipe, blob_slices(32, seed=5), folder)


def test_stages_with_0_epochs_keep_what_they_were_given(recipe, slices, tmp_path):
    torch.manual_seed(1)
    start = GliocamNet.of(3, recipe.network.design)
    off = replace(recipe.classifier.tumour.fit, epochs=0)
    classifier = replace(
        recipe.classifier,
        tumour=replace(recipe.classifier.tumour, fit=off),
        classes=replace(recipe.classifier.classes, fit=off),
    )
    only_tumour = replace(recipe.aggregate, classes=replace(recipe.aggregate.classes, fit=off))
    chosen = replace(recipe, classifier=classifier, aggregate=only_tumour)
    before = {k: v.clone() for k, v in start.state_dict().items()}
    run(chosen, slices, tmp_path, start=start)
    after = load_bundle(tmp_path / "bundle").net.state_dict()
    for key, value in before.items():
        changed = not torch.equal(value.half().float(), after[key].float())
        assert not changed or key.startswith("tumour_attention"), key
        assert changed or key != "tumour_attention.layers.4.weight"
    other = GliocamNet(width=8)
    with pytest.raises(TrainingError, match=r"network\.width"):
        run(chosen, slices, tmp_path / "other", start=other)


def test_procedural_cases_make_a_bundle_that_segments(recipe, tmp_path):
    anatomy = procedural_anatomy(0)
    parts = [synthetic_slices(anatomy, [7, n], Drawing(spread=4, near=4)) for n in range(6)]
    slices = SliceSet(
        np.concatenate([images for images, _, _ in parts]),
        np.concatenate([labels for _, labels, _ in parts]),
        np.repeat(np.arange(6), [len(images) for images, _, _ in parts]),
    )
    folder = run(recipe, slices, tmp_path)
    case = make_phantom(shape=(16, 80, 80), spacing=(9.0, 3.0, 3.0), seed=1)
    result = segment(case, bundle=load_bundle(folder), device="cpu")
    assert result.labels.shape == case.grid.shape
    assert json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["training"]["slices"]
