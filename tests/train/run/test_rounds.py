"""Recipe "real" on small cases with tiny networks: rounds, seeds, soft maps, and no outline."""

import builtins
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.find import find_cases
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.train.data.batches import SliceDataset
from napari_gliocam.train.data.case_index import SlicePreparation, indexing
from napari_gliocam.train.data.case_set import derive_tags
from napari_gliocam.train.labels.tag_file import save_tags
from napari_gliocam.train.recipe.maps import Data, Round, read_recipe
from napari_gliocam.train.recipe.stages import Classifier
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run import training
from napari_gliocam.train.run.checkpoints import mean_weights
from napari_gliocam.train.run.events import TrainingReport
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.training import run_request
from napari_gliocam.train.stages.classifier import ClassifierStage

from ..case_files import write_cases
from ..conftest import blob_slices, same_weights


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Patients with a table of slice labels, and no outline any more."""
    folder = write_cases(tmp_path_factory.mktemp("patients"), 4)
    index = finish(indexing(folder, SlicePreparation(), cache=folder.parent / "counting"))
    save_tags(derive_tags(index, Data(min_pixels=1)), folder.parent / "labels.csv")
    for file in folder.rglob("*_seg.nii.gz"):
        file.unlink()
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    info = BundleInfo("tiny", "nowhere", "CC0-1.0", width=4, pixel_mm=3.0, across_slices_mm=3.0)
    save_bundle(GliocamNet(width=4), info, folder)
    return folder


def small():
    recipe = read_recipe("real")
    recipe = recipe.with_fits(lambda _, fit: replace(fit, epochs=1, batch=8, checkpoint_steps=1))
    sampling = replace(recipe.data.sampling, steps=2, often={"case1": 2.0})
    return replace(
        recipe,
        data=replace(recipe.data, rehearsal=1, sampling=sampling),
        seeds=2,
        rounds=(Round(epochs=1), Round(epochs=1, weight_maps=1.0, prior_shift=-0.7)),
        aggregate=replace(recipe.aggregate, max_slices=16),
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The cache, so that the synthetic case is drawn once."""
    return tmp_path_factory.mktemp("slices")


def ask(cases, start, drawn, out, recipe=None):
    return TrainingRequest(
        cases=str(cases),
        labels=str(cases.parent / "labels.csv"),
        out=str(out),
        recipe=recipe_values(recipe or small()),
        bundle=str(start),
        cache=str(drawn),
        device="cpu",
    )


@pytest.fixture(scope="module")
def unbroken(cases, start, drawn, tmp_path_factory):
    torch.set_num_threads(1)
    events = []
    out = tmp_path_factory.mktemp("unbroken") / "bundle"
    assert run_request(ask(cases, start, drawn, out), events.append) == out
    return load_bundle(out), events, out


def test_every_seed_learns_in_every_round_before_the_aggregators(unbroken):
    bundle, events, out = unbroken
    stages = list(dict.fromkeys(e.stage for e in events if isinstance(e, TrainingReport)))
    learned = [
        f"classifier.{name}, round {number} of 2, seed {seed}"
        for number in (1, 2)
        for seed in (0, 1)
        for name in ("tumour", "classes")
    ]
    learned.insert(4, "soft maps")
    assert stages == [*learned, "polarity", "maps", "aggregate.tumour", "aggregate.classes"]
    assert bundle.info.training["recipe"]["rounds"][1]["prior_shift"] == -0.7
    assert "2 seeds" in (out / "README.md").read_text()
    assert "case1" not in (out / "bundle.json").read_text()  # named in sampling.often
    curves = (out / "curves.csv").read_text()
    assert "round-2.seed-1.classifier.classes" in curves
    left = [f for f in (out / "training").rglob("*") if f.suffix in (".ckpt", ".safetensors")]
    assert not left
    assert not list((out / "training").rglob("soft-maps"))


def test_broken_off_anywhere_it_gives_the_same_bundle(cases, start, drawn, unbroken, tmp_path):
    class KilledError(Exception):
        pass

    stages = [e.stage for e in unbroken[1] if isinstance(e, TrainingReport)]
    for stage in dict.fromkeys(stages):

        def kill(event, stage=stage):
            if isinstance(event, TrainingReport) and event.stage == stage:
                raise KilledError

        with pytest.raises(KilledError):
            run_request(ask(cases, start, drawn, tmp_path / "bundle"), kill)
    run_request(ask(cases, start, drawn, tmp_path / "bundle"), lambda event: None)
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_no_outline_is_opened_and_none_changes_a_weight(
    cases, start, drawn, unbroken, tmp_path, monkeypatch
):
    """With outlines beside the images, and a table of labels, nothing opens them to train."""
    whole = write_cases(tmp_path / "patients", 4)
    (tmp_path / "labels.csv").write_bytes((cases.parent / "labels.csv").read_bytes())
    assert all(files.labels for files in find_cases(whole))
    request = ask(whole, start, drawn, tmp_path / "bundle")
    request = replace(request, cache=str(tmp_path / "cache"))
    finish(
        indexing(
            whole,
            SlicePreparation.of(load_bundle(start).info, small().data),
            cache=tmp_path / "cache",
        )
    )  # counts pixels, which a table of labels overrules

    opened = []
    real_open, io_open = builtins.open, io.open

    def watching(real):
        def opening(file, *args, **more):
            opened.append(str(file))
            return real(file, *args, **more)

        return opening

    monkeypatch.setattr(builtins, "open", watching(real_open))
    monkeypatch.setattr(io, "open", watching(io_open))
    run_request(request, lambda event: None)
    monkeypatch.undo()
    assert any(name.endswith((".slices", ".npy", ".json")) for name in opened)  # it does watch
    assert not [name for name in opened if "_seg" in Path(name).name]
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_other_slice_labels_give_other_weights(cases, start, drawn, unbroken, tmp_path):
    """The labels do teach: the guard above would hold for a training that learned nothing."""
    table = (cases.parent / "labels.csv").read_text().splitlines()
    swapped = [",".join([*r.split(",")[:2], *r.split(",")[:1:-1]]) for r in table[1:]]
    (tmp_path / "labels.csv").write_text("\n".join([table[0], *swapped]))
    request = ask(cases, start, drawn, tmp_path / "bundle")
    run_request(replace(request, labels=str(tmp_path / "labels.csv")), lambda event: None)
    assert not same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_slices_held_on_the_device_go_through_every_round(
    cases, start, drawn, unbroken, tmp_path, monkeypatch
):
    """As on a GPU, whose random numbers are others."""
    monkeypatch.setattr(Machine, "holds", lambda self, images: True)
    events = []
    request = replace(ask(cases, start, drawn, tmp_path / "bundle"), workers=1)
    run_request(request, events.append)
    stages, before = (
        [e.stage for e in every if isinstance(e, TrainingReport)] for every in (events, unbroken[1])
    )
    assert stages == before
    held = load_bundle(tmp_path / "bundle").net
    assert not same_weights(held, unbroken[0].net)


def test_networks_that_learn_at_the_same_time_are_those_that_learn_in_turn(
    cases, start, drawn, unbroken, tmp_path, monkeypatch
):
    """Each in a process of its own, also where the first one is broken off."""
    monkeypatch.setattr(training, "machine_of", lambda request: Machine("cpu", at_once=2))
    request = ask(cases, start, drawn, tmp_path / "bundle")
    seen = set()

    def stop(event):
        if isinstance(event, TrainingReport):
            seen.add(event.stage)
            request.absolute().stop_file.touch()

    assert run_request(request, stop) is None
    assert seen
    assert not any("round 2" in stage for stage in seen)
    seen.clear()
    run_request(request, lambda event: seen.add(getattr(event, "stage", "")))
    assert any("round 2" in stage for stage in seen)
    assert same_weights(load_bundle(tmp_path / "bundle").net, unbroken[0].net)


def test_seeds_that_do_not_begin_alike_are_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "real"\nstart = "random"\n')
    with pytest.raises(TrainingError, match="begin alike"):
        read_recipe(file)


def test_soft_maps_need_maps_of_their_range(cases, drawn, tmp_path):
    info = BundleInfo("raw", "x", "CC0-1.0", width=4, pixel_mm=3.0, map_range="min-max")
    save_bundle(GliocamNet(width=4, map_range="min-max"), info, tmp_path / "start")
    with pytest.raises(TrainingError, match="weight_maps"):
        run_request(ask(cases, tmp_path / "start", drawn, tmp_path / "bundle"), lambda e: None)


# ---- its parts


def test_the_mean_of_weights_is_of_each_weight():
    nets = [GliocamNet(width=4) for _ in range(3)]
    mean = mean_weights(nets)
    key = "tumour.stages.0.0.conv1.weight"
    whole = torch.stack([n.state_dict()[key] for n in nets]).mean(0)
    torch.testing.assert_close(mean[key], whole)


def stage_and_batch(norm):
    torch.manual_seed(0)
    net = GliocamNet(width=4)
    made = blob_slices(12)
    made.images[6:] += np.float16(2) * (made.images[6:] != 0)  # synthetic ones are brighter
    slices = replace(made, case=np.where(np.arange(12) % 2 == 0, 0, -1))
    batch = SliceDataset(slices, np.arange(12)).__getitems__([(0, i) for i in range(12)])
    stage = ClassifierStage(net.tumour, (0,), Classifier(norm=norm))
    return stage.train(), batch


def test_apart_each_kind_is_normalised_by_itself_and_the_real_ones_stay():
    stage, batch = stage_and_batch("apart")
    real = (batch.case >= 0).nonzero()[:, 0]
    exits = stage._exits(batch.images, batch.case < 0)
    kept = {k: v.clone() for k, v in stage.network.state_dict().items() if "running" in k}
    alone, _ = stage_and_batch("apart")
    expected = alone.network(batch.images[real])
    for found, wanted in zip(exits, expected, strict=True):
        torch.testing.assert_close(found[real], wanted)
    after = alone.network.state_dict()
    for key, value in kept.items():
        torch.testing.assert_close(value, after[key])
    together, _ = stage_and_batch("together")
    mixed = together._exits(batch.images, batch.case < 0)
    assert not torch.allclose(mixed[0][real], exits[0][real])
    momenta = {m.momentum for m in stage.network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.1}
