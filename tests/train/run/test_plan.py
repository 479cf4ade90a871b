from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.train.data.slice_set import check_labels
from napari_gliocam.train.data.split import split_cases
from napari_gliocam.train.recipe.maps import RECIPES, read_recipe
from napari_gliocam.train.run.map_training import MapTraining, count_steps
from napari_gliocam.train.run.plan import estimating_time, fit_to_cases, make_plan
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.stages.classifier import ClassifierStage

from ..conftest import blob_slices


def made(count=32, a_case=4):
    slices = blob_slices(count, a_case=a_case)
    names = tuple(f"case{n}" for n in range(len(np.unique(slices.case))))
    return replace(slices, names=names)


def plan_of(slices, recipe, left_out=None):
    rows = split_cases(slices, recipe.data.validation, recipe.seed)
    return make_plan(slices, *rows, count_steps(recipe, slices.labels[rows[0]]), left_out)


def test_the_counts_are_those_of_the_slices():
    slices = made()
    recipe = read_recipe("default")
    plan = plan_of(slices, recipe, {"torn": "torn cannot be read."})
    labels = slices.labels
    assert plan.slices == 32
    assert plan.shown == {
        "tumour": labels[:, 0].sum(),
        "core": labels[:, 1].sum(),
        "edema": labels[:, 2].sum(),
    }
    assert len(plan.train) + len(plan.validation) == 8
    assert not set(plan.train) & set(plan.validation)
    assert "8 cases with 32 labelled slices" in plan.words
    assert plan.left_out == {"torn": "torn cannot be read."}
    assert any("slices show core" in concern for concern in plan.concerns)
    assert set(plan.steps) == {
        "classifier.tumour",
        "classifier.classes",
        "aggregate.tumour",
        "aggregate.classes",
    }


def test_the_same_seed_gives_the_same_split():
    splits = {plan_of(made(80), read_recipe("finetune")).validation for _ in range(3)}
    assert len(splits) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_with_few_patients_none_is_kept_and_the_last_weights_are(name):
    recipe = read_recipe(name)
    assert fit_to_cases(recipe, 3) == recipe
    few = fit_to_cases(recipe, 2)
    assert few.data.validation == 0
    assert {fit.keep for fit in few.fits().values()} == {"last"}
    assert any("good or bad" in c for c in plan_of(made(8), few).concerns)


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_is_the_same_everywhere_is_refused(column, value):
    labels = made().labels.copy()
    labels[:, column] = value
    if column == 0 and value == 0:
        labels[:] = 0
    with pytest.raises(TrainingError, match="None of" if value == 0 else "All 32"):
        check_labels(labels)


def training(recipe, net):
    """Return a training of slices in memory, and what it would come to."""
    slices = made()
    return MapTraining(
        request=TrainingRequest(cases="", out=""),
        recipe=recipe,
        start=Bundle(BundleInfo("tiny", "nowhere", "CC0-1.0", width=4), net),
        slices=slices,
        sources={},
        tags={},
        plan=plan_of(slices, recipe),
    )


@pytest.mark.parametrize("name", ["paper", "finetune"])
def test_the_pace_is_measured_and_nothing_is_learned(name, tiny):
    net = GliocamNet(width=4)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    given = training(tiny(read_recipe(name)), net)
    plan = given.plan
    work = estimating_time(given, "cpu")
    reports = []
    try:
        while True:
            reports.append(next(work))
    except StopIteration as stop:
        seconds = stop.value
    assert seconds > 0
    assert [r.total for r in reports] == [len(plan.steps)] * len(plan.steps)
    assert all((v == before[k]).all() for k, v in net.state_dict().items())
    assert finish(estimating_time(given, "cpu")) > 0


def test_too_little_memory_is_a_sentence_before_anything_is_trained(tiny, monkeypatch):
    def full(self, batch):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(ClassifierStage, "terms", full)
    given = training(tiny(read_recipe("finetune")), GliocamNet(width=4))
    with pytest.raises(TrainingError, match=r"too little memory for classifier\.tumour"):
        finish(estimating_time(given, "cpu"))
