"""The whole of a training on small cases with tiny networks: events, files, refusals."""

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_gliocam.errors import GliocamError, TrainingError
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo, read_bundle_info
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.labels.tag_file import save_tags
from napari_gliocam.train.labels.tags import Tag, Tags
from napari_gliocam.train.recipe.maps import read_recipe
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run import map_training
from napari_gliocam.train.run.events import (
    BeforeAfter,
    BetterWeights,
    Note,
    Plan,
    TrainingReport,
    event_from_json,
    event_to_json,
)
from napari_gliocam.train.run.finish import model_card
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.training import run_request
from napari_gliocam.train.run.work_folder import is_locked, locked
from napari_gliocam.train.stages.classifier import ClassifierStage

from ..case_files import write_case, write_cases
from ..conftest import same_weights


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_cases(tmp_path_factory.mktemp("cases"), 5)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny bundle to go on from."""
    torch.manual_seed(0)
    net = GliocamNet(width=4)
    folder = tmp_path_factory.mktemp("start")
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0, across_slices_mm=3.0)
    save_bundle(net, info, folder)
    return folder


def quick(name="finetune", **fit):
    """A recipe of a few steps."""

    recipe = read_recipe(name)
    recipe = recipe.with_fits(
        lambda _, usual: replace(usual, epochs=min(usual.epochs, 2), batch=8, **fit)
    )
    return replace(recipe, data=replace(recipe.data, rehearsal=0))


@pytest.fixture
def request_(cases, start, tmp_path):
    return TrainingRequest(
        cases=str(cases),
        out=str(tmp_path / "mine"),
        recipe=recipe_values(quick()),
        bundle=str(start),
        cache=str(cases / "cache"),
        device="cpu",
        threads=1,
    )


@pytest.fixture
def events():
    return []


@pytest.fixture(scope="module")
def unbroken(cases, start, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("unbroken") / "mine"
    emitted = []
    request = TrainingRequest(
        cases=str(cases),
        out=str(out),
        recipe=recipe_values(quick()),
        bundle=str(start),
        cache=str(cases / "cache"),
        device="cpu",
        threads=1,
    )
    assert run_request(request, emitted.append) == out
    return request, emitted


def test_the_folder_holds_all_that_belongs_to_a_bundle(unbroken):
    request, events = unbroken
    out = request.out_dir
    info = load_bundle(out).info
    assert info.name == "mine"
    assert info.pixel_mm == 3.0
    assert info.across_slices_mm == 3.0
    assert info.training["began_with"]["name"] == "tiny"
    assert info.training["recipe"]["classifier"]["tumour"]["norm"] == "frozen"
    card = (out / "README.md").read_text()
    assert "5 cases with 80 labelled slices" in card
    assert "| AUC, core |" in card
    assert "| Dice, tumour |" in card
    with (out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["stage"], r["epoch"]) for r in rows if "classifier" in r["stage"]] == [
        (f"classifier.{network}", epoch) for network in ("tumour", "classes") for epoch in "12"
    ]
    assert all(float(r["val_auc"]) >= 0 for r in rows if "classifier" in r["stage"])
    assert {"case", "before", "after"} <= set(
        next(csv.reader((out / "before-after.csv").read_text().splitlines()))
    )
    assert list((out / "pictures").glob("*.png"))
    assert not list(out.rglob("*.ckpt"))
    kinds = [type(e) for e in events]
    assert kinds.index(Plan) < kinds.index(TrainingReport) < kinds.index(BeforeAfter)
    assert BetterWeights in kinds
    for event in events:
        assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_only_the_aggregators_learn_where_only_they_are_asked_for(request_, start, events):
    request = replace(request_, recipe=recipe_values(quick("aggregators")))
    net = load_bundle(run_request(request, events.append)).net
    before = load_bundle(start).net
    assert same_weights(net.tumour, before.tumour)
    assert same_weights(net.classes, before.classes)
    assert not same_weights(net.class_attention, before.class_attention)


def test_frozen_norms_keep_their_statistics_and_blending_halves_the_way(
    request_, start, events, tmp_path
):
    whole = quick()
    whole = replace(
        whole,
        classifier=replace(whole.classifier, tumour=replace(whole.classifier.tumour, blend=1.0)),
    )
    request = replace(request_, recipe=recipe_values(whole))
    net = load_bundle(run_request(request, events.append)).net
    before = load_bundle(start).net.tumour.state_dict()
    for key, value in net.tumour.state_dict().items():
        if "running" in key:
            assert torch.equal(value, before[key]), key
    recipe = quick()
    half = replace(recipe.classifier.tumour, blend=0.5)
    recipe = replace(recipe, classifier=replace(recipe.classifier, tumour=half))
    request = replace(request_, out=str(tmp_path / "half"), recipe=recipe_values(recipe))
    blended = load_bundle(run_request(request, events.append)).net.tumour.state_dict()
    for key, value in net.tumour.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(blended[key], (value + before[key]) / 2, atol=2e-3, rtol=0)


def test_stop_keeps_the_best_and_going_on_gives_what_an_unbroken_run_gives(request_, unbroken):
    """Also when the process is killed between."""

    def stop(event):
        if getattr(event, "stage", "") == "classifier.classes":
            request_.stop_file.touch()

    assert run_request(request_, stop) is None
    assert "unfinished" in read_bundle_info(request_.out_dir).name
    stopped = load_bundle(request_.out_dir).net
    whole = load_bundle(unbroken[0].out_dir).net
    assert same_weights(stopped.tumour, whole.tumour)
    assert not same_weights(stopped.classes, whole.classes)

    with start_process(request_) as process:
        seen = wait_for(process, lambda e: e.get("stage") == "aggregate.classes")
        process.kill()
    assert not any(e["kind"] == "end" for e in seen)
    assert not is_locked(request_.out_dir)

    with start_process(request_) as process:
        seen = wait_for(process, lambda e: e["kind"] == "end")
        assert seen[-1]["state"] == "done", seen[-1]
    assert process.returncode == 0
    assert not any(e.get("stage") == "classifier.tumour" for e in seen)
    assert same_weights(load_bundle(request_.out_dir).net, whole)
    with pytest.raises(TrainingError, match="finished bundle"):
        run_request(request_, print)


def start_process(request, **pipes):
    line = [sys.executable, "-m", "napari_gliocam.train.run.process", str(request.save())]
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **pipes,
    )


def wait_for(process, is_it):
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if is_it(seen[-1]):
            break
    return seen


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_the_process_works_on_when_nobody_listens_and_stops_by_a_line(request_):
    with start_process(request_, stdin=subprocess.PIPE) as process:
        wait_for(process, lambda e: e["kind"] == "training")
        process.stdout.close()  # the window is gone
        with (
            pytest.raises(TrainingError, match=f"process {process.pid}"),
            locked(request_.out_dir),
        ):
            pass
        process.stdin.write("stop\n")
        process.stdin.flush()
        assert process.wait(60) == 0
    assert (request_.out_dir / "bundle.json").exists()


def test_two_trainings_on_one_folder_are_refused_and_a_dead_ones_lock_is_taken(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(TrainingError, match="Another training"),
        locked(tmp_path),
    ):
        pass
    hold = (
        "import sys, time; from pathlib import Path\n"
        "from napari_gliocam.train.run.work_folder import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    line = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        other.kill()
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_loss_that_is_no_number_ends_the_stage_with_its_best_weights(
    request_, events, monkeypatch
):
    terms = ClassifierStage.terms

    def broken(self, batch):
        values = terms(self, batch)
        late = self.training and self.current_epoch == 1 and self.columns == [0]
        return {k: v * torch.nan for k, v in values.items()} if late else values

    monkeypatch.setattr(ClassifierStage, "terms", broken)
    run_request(request_, events.append)
    (note,) = [e.note for e in events if getattr(e, "note", "")]
    assert "epoch 2, step 1" in note
    assert any(getattr(e, "stage", "") == "aggregate.classes" for e in events)

    def hopeless(self, batch):
        return {k: v * torch.nan for k, v in terms(self, batch).items()}

    monkeypatch.setattr(ClassifierStage, "terms", hopeless)
    request = replace(request_, out=f"{request_.out}-hopeless")
    with pytest.raises(TrainingError, match="epoch 1, step 1"):
        run_request(request, events.append)


CPU_IS_FULL = "[enforce fail at alloc_cpu.cpp:126] DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), RuntimeError(CPU_IS_FULL)])
def test_a_device_without_room_gets_half_batches_once(request_, events, monkeypatch, error):
    terms, sizes, most = ClassifierStage.terms, [], [4]

    def crowded(self, batch):
        if self.training:
            sizes.append(len(batch.labels))
        if len(batch.labels) > most[0] and self.training:
            raise error
        return terms(self, batch)

    monkeypatch.setattr(ClassifierStage, "terms", crowded)
    run_request(request_, events.append)
    notes = [e.note for e in events if getattr(e, "note", "")]
    assert [("tumour" in note, "batches of 4" in note) for note in notes] == [
        (True, True),
        (False, True),
    ]
    assert sizes[:3] == [8, 4, 4]
    most[0] = 1
    request = replace(request_, out=f"{request_.out}-none")
    with pytest.raises(TrainingError, match="batches of 4; lower the batch"):
        run_request(request, events.append)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
    ],
)
def test_a_full_disk_is_a_sentence(request_, events, monkeypatch, error):
    def full(*given, **named):
        raise error

    monkeypatch.setattr(map_training, "train_bundle", full)
    with pytest.raises(TrainingError, match=r"is full; make room and resume"):
        run_request(request_, events.append)
    assert not is_locked(request_.out_dir)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({0: Tag(), 1: Tag()}, "shows a tumour"),
        ({3: Tag(core=True), 9: Tag()}, "shows edema"),
        ({3: Tag(True, True), 4: Tag(core=True)}, "All 2 labelled slices show tumour"),
        ({3: Tag(skipped=True)}, "has a label"),
    ],
)
def test_labels_that_teach_nothing_are_refused(request_, tmp_path, tags, words):
    file = tmp_path / "labels.csv"
    save_tags(Tags({"case0": tags}), file)
    with pytest.raises(TrainingError, match=words):
        run_request(replace(request_, labels=str(file)), print)


def test_few_cases_are_trained_with_all_the_same(request_, tmp_path, events):
    tags = {3: Tag(True, True), 4: Tag(edema=True), 8: Tag(), 9: Tag(), 10: Tag()}
    file = tmp_path / "labels.csv"
    save_tags(Tags({"case0": tags, "case1": tags, "stranger": tags}), file)
    run_request(replace(request_, labels=str(file)), events.append)
    (plan,) = [e for e in events if isinstance(e, Plan)]
    assert plan.validation == ()
    assert any("too few to keep one" in concern for concern in plan.concerns)
    assert any("stranger" in e.sentence for e in events if isinstance(e, Note))
    assert "Nothing was measured" in (request_.out_dir / "README.md").read_text()


def test_a_bundle_of_other_classes_or_modalities_is_refused(request_, start, tmp_path):
    other = tmp_path / "other"
    info = read_bundle_info(start)
    net = load_bundle(start).net
    save_bundle(net, info, other)
    said = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps(said | {"polarity": {"necrosis": [1] * 4}}))
    with pytest.raises(GliocamError, match="polarity: give four signs for each of tumour"):
        run_request(replace(request_, bundle=str(other)), print)
    lacking = tmp_path / "lacking"
    write_case(lacking, "one", without=("flair",))
    with pytest.raises(TrainingError, match="has no FLAIR, which the networks need"):
        run_request(replace(request_, cases=str(lacking), cache=""), print)


def test_a_training_goes_on_after_a_move_by_another_spelling(
    request_, cases, unbroken, tmp_path, monkeypatch
):
    there, here = tmp_path / "there", tmp_path / "here"
    shutil.copytree(cases, there / "cases", ignore=shutil.ignore_patterns("cache"))
    request = replace(request_, cases="cases", cache="", out="mine")

    def stop(event):
        if getattr(event, "stage", "") == "classifier.classes":
            Path("mine/training/stop").touch()

    monkeypatch.chdir(there)
    assert run_request(request, stop) is None
    monkeypatch.chdir(tmp_path)
    there.rename(here)
    events = []
    again = replace(request, cases="here/../here/cases", out=str(here / "mine"))
    assert run_request(again, events.append) == here / "mine"
    assert not any(getattr(e, "what", "") == "preparing cases" for e in events)
    assert not any(getattr(e, "stage", "") == "classifier.tumour" for e in events)
    assert same_weights(load_bundle(here / "mine").net, load_bundle(unbroken[0].out_dir).net)


def test_a_bundle_tells_no_path_and_names_only_if_it_may(request_, cases, unbroken, events):
    shared = [f for f in unbroken[0].out_dir.iterdir() if f.is_file()]
    text = "".join(f.read_text() for f in shared if f.suffix in (".json", ".md", ".csv"))
    assert str(cases) not in text
    assert str(unbroken[0].out_dir.parent) not in text
    assert "case" in (unbroken[0].out_dir / "before-after.csv").read_text().splitlines()[-1]
    request = replace(request_, case_names=False)
    run_request(request, events.append)
    shared = [f for f in request.out_dir.iterdir() if f.is_file()]
    text = "".join(f.read_text() for f in shared if f.suffix in (".json", ".md", ".csv"))
    assert "all,Dice,tumour" in text
    assert "\ncase 1,Dice,tumour" in text
    assert not re.search("case[0-9]", text)
    assert not (request.out_dir / "pictures").exists()


def test_names_are_plain_text_in_the_model_card(unbroken):
    info = load_bundle(unbroken[0].out_dir).info
    evil = "a\n# Cured\n<img src=x onerror=alert(1)> [link](http://a.b) `code` |"
    training = {**info.training, "began_with": dict.fromkeys(("name", "origin", "licence"), evil)}
    (plan,) = [e for e in unbroken[1] if isinstance(e, Plan)]
    card = model_card(replace(info, name=evil, training=training), plan, BeforeAfter())
    assert len(re.findall("^# ", card, re.MULTILINE)) == 1
    assert "<" not in card
    assert "[link]" not in card
    assert r"\[link\]" in card


def test_a_case_that_is_gone_is_not_compared_and_stops_nothing(request_, cases, tmp_path, events):
    own = tmp_path / "cases"
    shutil.copytree(cases, own, ignore=shutil.ignore_patterns("cache"))

    def emit(event):
        events.append(event)
        if getattr(event, "stage", "") == "aggregate.classes":
            (plan,) = [e for e in events if isinstance(e, Plan)]
            shutil.rmtree(own / plan.validation[0], ignore_errors=True)

    run_request(replace(request_, cases=str(own), cache=""), emit)
    assert any("is not compared" in e.sentence for e in events if isinstance(e, Note))
    assert (request_.out_dir / "README.md").exists()
