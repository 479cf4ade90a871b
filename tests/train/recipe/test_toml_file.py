import re
from dataclasses import replace

import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.recipe.maps import RECIPES, Data, Recipe, read_recipe
from napari_gliocam.train.recipe.toml_file import differences, recipe_values


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_that_ship_are_whole(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert len(recipe.fits()) == 3 * (1 + (len(recipe.network.targets) > 1))
    weights = dict.fromkeys(("ame-cam", "ame-cam-23", "c2am"), (1, 1, 1, 1))
    weights |= dict.fromkeys(("resnet34", "resnet50"), (0, 0, 0, 1))
    expected = weights.get(name, (0.25, 0.5, 0.75, 1.0))
    assert recipe.classifier.tumour.exit_weights == expected


def test_the_default_is_what_the_synthetic_bundle_began_with():
    from napari_gliocam.nets.bundle_info import read_bundle_info

    recipe, info = read_recipe(), read_bundle_info("gliocam-synthetic-2")
    assert recipe.network.design == info.design
    began, went_on, aggregated = info.training["stages"]
    for name, columns in began["recipe"].items():
        mine = getattr(recipe.classifier, name)
        assert mine.fit.epochs == columns["epochs"]
        assert mine.fit.batch == columns["batch"] == went_on["batch"]
        assert mine.fit.rate == columns["rate"]
        assert list(mine.exit_weights) == columns["exit_weights"] == went_on["exit_weights"]
        assert mine.augment.drop_modality == columns["drop_modality"]
    old = aggregated["recipe"]
    for stage in ("tumour", "classes"):
        mine = getattr(recipe.aggregate, stage)
        for key in ("weight_class", "weight_uniform"):
            assert getattr(mine, key) == old[stage][key]
        assert mine.features.ring_px == old[stage]["features"]["ring_px"]
    for key in ("weight_separate", "weight_agree"):
        assert getattr(recipe.aggregate.classes, key) == old["classes"][key]
    steps = recipe.aggregate.max_slices * recipe.aggregate.tumour.fit.epochs
    assert steps == old["max_slices"] * old["tumour"]["fit"]["epochs"]


def test_real_has_the_steps_of_the_bundle_that_ships():
    from napari_gliocam.nets.bundle_info import read_bundle_info

    recipe, told = read_recipe("real"), read_bundle_info().training
    fit, sampling = recipe.classifier.tumour.fit, recipe.data.sampling
    assert [(r.epochs * sampling.steps, r.rate) for r in recipe.rounds] == [
        (stage["steps"], stage["rate"]) for stage in told["stages"][:3]
    ]
    assert recipe.seeds == len(told["seeds"])
    assert (fit.batch, round(fit.batch * sampling.real)) == (
        told["batch"]["slices"],
        told["batch"]["real"],
    )
    assert recipe.classifier.tumour == recipe.classifier.classes


def test_real_cpu_is_real_with_less_work():
    whole, small = read_recipe("real"), read_recipe("real-cpu")

    def slices(recipe):
        batch, steps = recipe.classifier.tumour.fit.batch, recipe.data.sampling.steps
        return recipe.seeds * batch * steps * sum(each.epochs for each in recipe.rounds)

    assert slices(small) < slices(whole) / 7
    assert [r.prior_shift for r in small.rounds] == [r.prior_shift for r in whole.rounds]
    assert small.classifier.tumour == small.classifier.classes
    again = replace(small.classifier.tumour.augment, without_enhancement=0.0)
    assert again == whole.classifier.tumour.augment


def test_paper_and_released_differ_where_the_register_says():
    keys = differences(recipe_values(read_recipe("paper")), recipe_values(read_recipe("released")))
    for key in (
        "network.polarity",
        "network.norm",
        "network.map_range",
        "network.attention",
        "classifier.classes.loss",
        "pretrain.classes.loss",
        "aggregate.classes.pairs",
        "aggregate.classes.agreement",
    ):
        assert key in keys


def test_a_file_gives_only_what_differs(tmp_path):
    file = tmp_path / "mine.toml"
    text = 'base = "paper"\nname = "mine"\n[classifier.classes.fit]\nepochs = 3\n'
    file.write_text("\ufeff" + text, encoding="utf-8")
    changed = differences(recipe_values(read_recipe("paper")), recipe_values(read_recipe(file)))
    assert changed == ["classifier.classes.fit.epochs", "name"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("network.norm = 'layer'", "network.norm is 'layer'; choose one of batch"),
        ("network.widht = 3", "network.widht is no setting"),
        ("rounds = 3", "rounds is 3; head each table [[rounds]]"),
        ("[[rounds]]\nepochs = 0", "rounds[1].epochs is 0; give a number from 1 or more"),
        ("[[rounds]]\n[[rounds]]\nmaps = 1", "rounds[2].maps is no setting"),
        ("data.sampling.often = { a = -1 }", "give a table of names with numbers above 0"),
        ("data.sampling.core = 0.9", "data.sampling.core and edema of more than 1 together"),
        ("seeds = 2", "of use only where they begin alike"),
        ("network.width = 3.5", "network.width is 3.5; give a whole number"),
        ("network.width = true", "network.width is True; give a whole number"),
        ("network.sharing = 1", "network.sharing is 1; give true or false"),
        ("network.strides = [2, 4, 8]", "network.strides is [2, 4, 8]; give 4 numbers"),
        ("network.strides = [2, 8, 8, 8]", "network has strides [2, 8, 8, 8]"),
        ("network = 3", "network is 3; it is a table"),
        ("data.validation = 0.7", "data.validation is 0.7; give a number from 0 to 0.5"),
        ("seed = -1", "seed is -1; give a number from 0 or more"),
        ("classifier.tumour.fit.rate = nan", "classifier.tumour.fit.rate is nan"),
        ("classifier.tumour.fit.epochs = '5'", "classifier.tumour.fit.epochs is '5'"),
        ("classifier.tumour.exit_weights = [1, 1, 1, 'x']", "classifier.tumour.exit_weights"),
        ("base = 'mine'", "base is 'mine'; choose one of paper"),
        ("network.map_range = 'raw'\nnetwork.guidance = 'product'", "set aggregate.tumour"),
        ("data.validation = 0\nclassifier.tumour.fit.keep = 'best'", "classifier.tumour.fit.keep"),
        ("= broken", "is not valid TOML"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path, line, words):
    file = tmp_path / "bad recipe.toml"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=re.escape(words)) as caught:
        read_recipe(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_missing_recipe_names_those_that_ship(tmp_path):
    with pytest.raises(TrainingError, match="paper, released, default"):
        read_recipe(tmp_path / "none.toml")


def test_keeping_the_best_needs_validation_patients():
    recipe = Recipe()
    best = replace(recipe.classifier.tumour, fit=Fit(keep="best"))
    classifier = replace(recipe.classifier, tumour=best)
    replace(recipe, classifier=classifier)
    with pytest.raises(ValueError, match=r"classifier\.tumour\.fit"):
        replace(recipe, classifier=classifier, data=Data(validation=0.0))


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "data" + ".a" * 5_000 + " = 1", "a = 1e"])
def test_no_file_gives_a_traceback(tmp_path, text):
    file = tmp_path / "deep.toml"
    file.write_text(text)
    with pytest.raises(TrainingError, match=r"deep\.toml"):
        read_recipe(file)


def test_settings_of_all_stages_change_at_once():
    keys = []

    def longer(key, fit):
        keys.append(key)
        return replace(fit, epochs=fit.epochs + 1)

    recipe = read_recipe("paper")
    changed = recipe.with_fits(longer)
    assert keys == list(recipe.fits())
    for key, fit in changed.fits().items():
        assert fit == replace(recipe.fits()[key], epochs=recipe.fits()[key].epochs + 1)
    assert changed.with_fits(lambda key, fit: recipe.fits()[key]) == recipe
