import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.recipe.segmenter import (
    SEGMENTER_RECIPES,
    SegmenterRecipe,
    read_segmenter_recipe,
)
from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values


@pytest.mark.parametrize("name", SEGMENTER_RECIPES)
def test_every_recipe_that_ships_reads_back(name):
    recipe = read_segmenter_recipe(name)
    assert recipe.name == name
    assert build_settings(SegmenterRecipe, recipe_values(recipe), "") == recipe


def test_mixed_unet_is_that_of_paper_3():
    recipe = read_segmenter_recipe("mixed-unet")
    assert (recipe.fit.batch, recipe.fit.rate, recipe.fit.weight_decay) == (8, 1e-3, 1e-4)
    assert (recipe.fit.epochs, recipe.fit.schedule) == (100, "poly")
    assert recipe.loss.seed == recipe.loss.cross_entropy == 1.0
    assert recipe.loss.overlap == recipe.loss.pixels == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('base = "paper"', "small-unet, mixed-unet, refit"),
        ('[network]\narchitecture = "vnet"', "network.architecture"),
        ("[network]\nneighbours = 9", "neighbours is 9"),
        ("[loss]\noverlap = 0\npixels = 0", "no term of the loss"),
        ('[data]\nvalidation = 0\n[fit]\nkeep = "best"', "need validation"),
        ('[fit]\nmonitor = "val_auc"', "val_loss"),
        ("[augment]\nwithout_enhancement = 0.3", "soft maps"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_key(tmp_path, text, words):
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=words):
        read_segmenter_recipe(file)
