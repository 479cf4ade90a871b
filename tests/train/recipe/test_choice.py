from dataclasses import replace

import pytest

from napari_gliocam.train.recipe.choice import (
    PAPERS,
    WHAT,
    TrainingChoice,
    recipe_of_choice,
    usual_stages,
)
from napari_gliocam.train.recipe.maps import Recipe, read_recipe
from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values


@pytest.mark.parametrize("what", [*WHAT, *PAPERS])
def test_without_wishes_the_recipe_stays_as_it_is(what):
    recipe = read_recipe(what)
    chosen = recipe_of_choice(TrainingChoice(what))
    chosen = replace(chosen, pretrain=recipe.pretrain)
    classes = recipe.aggregate.classes
    assert (classes.weight_class, classes.weight_separate, classes.weight_agree) == (1, 1, 5)
    assert chosen == recipe
    assert build_settings(Recipe, recipe_values(chosen), "here") == chosen


def test_wishes_reach_the_recipe():
    choice = TrainingChoice(
        stages=frozenset({"pretrain", "classes"}),
        epochs=3,
        batch=4,
        rate=0.5,
        weight_class=2,
        weight_separate=3,
        weight_agree=4,
    )
    recipe = recipe_of_choice(choice)
    fits = recipe.fits()
    assert {key: fit.epochs for key, fit in fits.items()} == {
        "pretrain.tumour": 3,
        "classifier.tumour": 0,
        "pretrain.classes": 3,
        "classifier.classes": 0,
        "aggregate.tumour": 0,
        "aggregate.classes": 3,
    }
    assert fits["pretrain.classes"].batch == 4
    assert recipe.pretrain.tumour.loss == "supcon"
    assert recipe.pretrain.classes.loss == "mulsupcon"
    classes = recipe.aggregate.classes
    assert (classes.weight_class, classes.weight_separate, classes.weight_agree) == (2, 3, 4)
    only = recipe_of_choice(TrainingChoice(rate=0.25))
    assert only.classifier.tumour.fit.rate == 0.25
    assert only.aggregate.tumour.fit.rate != 0.25


def test_the_aggregators_alone_are_two_stages():
    assert usual_stages("aggregators") == {"tumour", "classes"}
    assert usual_stages("finetune") == {"classifier", "tumour", "classes"}
