"""The few choices of a training that a window offers, as a recipe.  Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from napari_gliocam.train.recipe.common import Fit
from napari_gliocam.train.recipe.maps import Recipe, read_recipe
from napari_gliocam.train.recipe.stages import Pretrain, PretrainLoss

What = Literal["finetune", "aggregators", "default", "paper", "released"]
StageKind = Literal["pretrain", "classifier", "tumour", "classes"]

#: Titles of the recipes that a window offers.
WHAT: dict[What, str] = {
    "finetune": "Fine-tune the bundle in use",
    "aggregators": "Only its aggregators",
    "default": "New networks from scratch",
}
#: Recipes of new networks beside the default one.
PAPERS: dict[What, str] = {
    "paper": "The text of papers 1 and 2",
    "released": "The code that paper 1 released",
}
#: Titles of the stages, in their order.
STAGES: dict[StageKind, str] = {
    "pretrain": "Contrastive pre-training",
    "classifier": "Classifiers",
    "tumour": "Tumour aggregate",
    "classes": "Class aggregate",
}


@dataclass(frozen=True)
class TrainingChoice:
    """The choices of a user; 0 and None leave the value to the recipe.

    Parameters
    ----------
    what : {"finetune", "aggregators", "default", "paper", "released"}
        Name of the recipe.
    stages : frozenset of str or None
        Keys of `STAGES` that run.
    epochs, batch : int
        Epochs, and slices a batch, of every stage that runs.
    rate : float
        Learning rate of the classifiers; the aggregators keep theirs.
    weight_class : float
        Weight of L_c: foreground and background of a class differ (paper 1).
    weight_separate : float
        Weight of L_sep: core and edema differ (paper 1).
    weight_agree : float
        Weight of L_agree, lambda of paper 1, Eq. 9: both together agree with the tumour.
    min_pixels : int
        Smallest number of pixels at which a slice counts as showing a class, where labels are
        derived from expert labels.
    """

    what: What = "finetune"
    stages: frozenset[StageKind] | None = None
    epochs: int = 0
    batch: int = 0
    rate: float = 0.0
    weight_class: float = 1.0
    weight_separate: float = 1.0
    weight_agree: float = 5.0
    min_pixels: int = 0


def usual_stages(what: What) -> frozenset[StageKind]:
    """Return the stages that a recipe runs by itself."""
    recipe = read_recipe(what)
    off = {"pretrain"} if recipe.pretrain.tumour.loss == "none" else set()
    return frozenset(
        kind for key, fit in recipe.fits().items() if fit.epochs and (kind := _kind(key)) not in off
    )


def recipe_of_choice(choice: TrainingChoice) -> Recipe:
    """Return the recipe that a choice stands for."""
    recipe = read_recipe(choice.what)
    stages = usual_stages(choice.what) if choice.stages is None else choice.stages

    def chosen(key: str, usual: Fit) -> Fit:
        if _kind(key) not in stages:
            return replace(usual, epochs=0)
        return replace(
            usual,
            epochs=choice.epochs or usual.epochs or 5,
            batch=choice.batch or usual.batch,
            rate=(_kind(key) == "classifier" and choice.rate) or usual.rate,
        )

    def pretrain(usual: Pretrain, loss: PretrainLoss) -> Pretrain:
        if "pretrain" not in stages:
            return replace(usual, loss="none")
        return replace(usual, loss=loss if usual.loss == "none" else usual.loss)

    recipe = recipe.with_fits(chosen)
    classes = replace(
        recipe.aggregate.classes,
        weight_class=choice.weight_class,
        weight_separate=choice.weight_separate,
        weight_agree=choice.weight_agree,
    )
    return replace(
        recipe,
        data=replace(recipe.data, min_pixels=choice.min_pixels or recipe.data.min_pixels),
        pretrain=replace(
            recipe.pretrain,
            tumour=pretrain(recipe.pretrain.tumour, "supcon"),
            classes=pretrain(recipe.pretrain.classes, "mulsupcon"),
        ),
        aggregate=replace(recipe.aggregate, classes=classes),
    )


def _kind(stage: str) -> StageKind:
    """Return the entry of `STAGES` for the name of a stage."""
    kind, network = stage.split(".")
    if kind == "aggregate":
        return "tumour" if network == "tumour" else "classes"
    return "pretrain" if kind == "pretrain" else "classifier"
