import csv
import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.multi_exit import MultiExitNet
from napari_gliocam.train.data.batches import SliceDataset, StageData
from napari_gliocam.train.recipe.augment import Augment
from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.recipe.stages import Classifier
from napari_gliocam.train.run.checkpoints import LAST, WEIGHTS
from napari_gliocam.train.run.events import TrainingReport
from napari_gliocam.train.run.fit import Machine, StoppedError, fit_stage, quiet_lightning
from napari_gliocam.train.stages.classifier import ClassifierStage

from ..conftest import QUICK, same_weights

CPU = Machine("cpu")
#: Of 24 training slices at a batch of 8.
STEPS = 3


class KilledError(Exception):
    """The process ends: no hook of ours runs."""


def kill_at(step):
    def report(told):
        if told.step == step:
            raise KilledError

    return report


def train(slices, folder, fit=QUICK, report=None, machine=CPU, validation=True):
    """A classifier of 4 channels; the rest is as in a real training."""
    torch.manual_seed(0)
    stage = ClassifierStage(MultiExitNet(3, 1, 4), (0,), Classifier(fit=fit))
    data = StageData(
        SliceDataset(slices, np.arange(24), Augment(drop_modality=0.1), seed=1),
        SliceDataset(slices, np.arange(24, 32 if validation else 24)),
        fit,
        seed=1,
    )
    fit_stage("classifier.tumour", stage, data, folder, machine, report)
    return stage.network


@pytest.fixture(scope="module")
def unbroken(slices, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken") / "stage"
    return train(slices, folder), folder


def test_the_same_seed_gives_the_same_weights(slices, unbroken, tmp_path):
    assert same_weights(train(slices, tmp_path), unbroken[0])


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 1, 2 * STEPS])
def test_killed_anywhere_and_resumed_is_as_unbroken(slices, unbroken, tmp_path, step):
    with pytest.raises(KilledError):
        train(slices, tmp_path, report=kill_at(step))
    assert not (tmp_path / WEIGHTS).exists()
    assert (tmp_path / LAST).exists() is (step > STEPS)
    reports = []
    resumed = train(slices, tmp_path, report=reports.append)
    assert same_weights(resumed, unbroken[0])
    assert reports[0].step == (STEPS if step > STEPS else 0) + 1


@pytest.mark.parametrize(
    ("asked", "stands"), [(2, 2), (STEPS, STEPS + 1), (STEPS + 2, STEPS + 2), (2 * STEPS, None)]
)
def test_stopped_at_any_step_and_resumed_is_as_unbroken(slices, unbroken, tmp_path, asked, stands):
    with pytest.raises(StoppedError):
        train(slices, tmp_path, report=lambda told: told.step == asked)
    assert (tmp_path / WEIGHTS).exists() is (stands is None)
    reports = []
    resumed = train(slices, tmp_path, report=reports.append)
    assert same_weights(resumed, unbroken[0])
    # An epoch is never left before it is judged; a stage that is done is not begun again.
    assert [r.step for r in reports][:1] == ([] if stands is None else [stands + 1])


@pytest.mark.parametrize(("every", "stands"), [(2, 4), (3, 3), (1, 4), (5, 3)])
def test_checkpoints_within_an_epoch(slices, unbroken, tmp_path, every, stands):
    often = replace(QUICK, checkpoint_steps=every)
    with pytest.raises(KilledError):
        train(slices, tmp_path, often, report=kill_at(STEPS + 2))
    reports = []
    resumed = train(slices, tmp_path, often, report=reports.append)
    assert same_weights(resumed, unbroken[0])
    assert reports[0].step == stands + 1


@pytest.mark.parametrize("damaged", [("last.ckpt",), ("last.ckpt", "last-before.ckpt")])
def test_a_cut_checkpoint_does_not_end_the_training(slices, unbroken, tmp_path, damaged):
    fit = replace(QUICK, checkpoint_steps=1)
    with pytest.raises(KilledError):
        train(slices, tmp_path, fit, report=kill_at(STEPS + 2))
    for name in damaged:
        file = tmp_path / name
        file.write_bytes(file.read_bytes()[:1000])
    reports = []
    resumed = train(slices, tmp_path, fit, report=reports.append)
    assert same_weights(resumed, unbroken[0])
    again = len(damaged) == 2
    assert ("begins again" if again else "goes on from the one before") in reports[0].note
    assert reports[1].step == (1 if again else STEPS + 1)


def test_damaged_weights_of_a_finished_stage_are_made_again(slices, unbroken, tmp_path):
    shutil.copytree(unbroken[1], tmp_path / "stage")
    for gone in ((), ("last.ckpt", "last-before.ckpt")):
        (tmp_path / "stage" / WEIGHTS).write_bytes(b"cut")
        for name in gone:
            (tmp_path / "stage" / name).unlink()
        assert same_weights(train(slices, tmp_path / "stage"), unbroken[0])


def test_a_training_that_moved_still_knows_its_best_epoch(slices, tmp_path):
    fit = Fit(epochs=3, batch=8, rate=0.3, schedule="constant", keep="best")
    whole = train(slices, tmp_path / "whole", fit)
    with pytest.raises(KilledError):
        train(slices, tmp_path / "there", fit, report=kill_at(2 * STEPS + 1))
    (tmp_path / "there").rename(tmp_path / "here")
    assert same_weights(train(slices, tmp_path / "here", fit), whole)


def test_best_weights_that_are_lost_are_said(slices, tmp_path):
    fit = Fit(epochs=2, batch=8, rate=0.01, keep="best")
    train(slices, tmp_path, fit)
    for file in (WEIGHTS, "best.ckpt", "best-before.ckpt"):
        (tmp_path / file).write_bytes(b"cut")
    reports = []
    train(slices, tmp_path, fit, report=reports.append)
    assert "best weights of classifier.tumour cannot be read" in reports[-1].note


def test_a_finished_stage_is_not_run_again(slices, unbroken):
    network, folder = unbroken

    def report(told):
        raise AssertionError("it ran")

    assert same_weights(train(slices, folder, report=report), network)


def test_training_learns(slices, tmp_path):
    reports = []
    fit = Fit(epochs=8, batch=8, rate=0.01)
    train(slices, tmp_path, fit, report=reports.append)
    losses = [r.values["train_loss"] for r in reports if "train_loss" in r.values]
    assert losses[-1] < 0.7 * losses[0]


def test_reports_are_plain_and_count_right(slices, tmp_path):
    reports = []
    train(slices, tmp_path, report=reports.append)
    steps = [(r.step, r.epoch) for r in reports]
    assert steps == [(1, 0), (2, 0), (3, 0), (3, 1), (4, 1), (5, 1), (6, 1), (6, 2)]
    last = reports[-1]
    assert isinstance(last, TrainingReport)
    assert (last.stage, last.epochs, last.steps) == ("classifier.tumour", 2, 6)
    assert {"train_loss", "val_loss", "val_auc", "val_auc_tumour", "rate"} <= set(last.values)
    assert 0 <= last.values["val_auc_tumour"] <= 1
    json.dumps(vars(last))


def test_it_says_nothing_and_logs_csv(slices, tmp_path, capfd, caplog):
    with caplog.at_level(logging.INFO):
        train(slices, tmp_path)
    out, err = capfd.readouterr()
    assert out == err == ""
    assert not caplog.records
    with (tmp_path / "logs" / "version_0" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows if r["val_auc_tumour"]] == ["0", "1"]
    assert len([r for r in rows if r["train_loss"]]) == 2


def test_the_best_weights_leave_the_stage(slices, tmp_path):
    fit = Fit(epochs=3, batch=8, rate=0.01, schedule="constant", keep="best", patience=3)
    reports = []
    best = train(slices, tmp_path, fit, report=reports.append)
    losses = [r.values["val_loss"] for r in reports if r.step == r.epoch * STEPS]
    checkpoint = torch.load(tmp_path / LAST, weights_only=True)
    number = int(np.argmin(losses))
    state = {k.removeprefix("network."): v for k, v in checkpoint["state_dict"].items()}
    same = all(torch.equal(v, state[k]) for k, v in best.state_dict().items())
    assert same is (number == 2)


def test_it_stops_early(slices, tmp_path):
    fit = Fit(epochs=9, batch=8, rate=0.0, schedule="constant", patience=2, monitor="val_auc")
    reports = []
    train(slices, tmp_path, fit, report=reports.append)
    assert reports[-1].epoch < 9


@pytest.mark.parametrize(
    "fit",
    [
        replace(QUICK, precision="bf16-mixed"),
        replace(QUICK, optimiser="sgd", momentum=0.9, schedule="cosine", hold=1),
        replace(QUICK, accumulate=2, schedule="constant"),
    ],
)
def test_other_ways_to_fit(slices, unbroken, tmp_path, fit):
    network = train(slices, tmp_path, fit, validation=False)
    assert not same_weights(network, unbroken[0])
    assert all(p.isfinite().all() for p in network.parameters())


def test_a_loss_that_is_no_number_is_named_and_stops(slices, tmp_path):
    with pytest.raises(TrainingError, match="epoch 1, step 2") as caught:
        train(slices, tmp_path, replace(QUICK, optimiser="sgd", rate=1e38, schedule="constant"))
    assert "\n" not in str(caught.value)


def test_quiet_is_only_while_it_trains():
    log = logging.getLogger("lightning.pytorch")
    before = log.level
    with quiet_lightning():
        assert log.level == logging.ERROR
    assert log.level == before
