"""The few choices that a window offers, as a recipe.  torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from napari_gliocam.train.recipe.fields import (
    Classifier,
    Fit,
    Pretrain,
    Recipe,
)
from napari_gliocam.train.recipe.toml_file import read_recipe

What = Literal["finetune", "aggregators", "default"]
StageKind = Literal["pretrain", "classifier", "tumour", "classes"]

#: What can be trained, in words.
WHAT: dict[What, str] = {
    "finetune": "Fine-tune the bundle in use",
    "aggregators": "Only its aggregators",
    "default": "New networks from scratch",
}
#: The stages in their order, in words.
STAGES: dict[StageKind, str] = {
    "pretrain": "Contrastive pre-training",
    "classifier": "Classifiers",
    "tumour": "Tumour aggregate",
    "classes": "Class aggregate",
}


@dataclass(frozen=True)
class TrainingChoice:
    """What a user has chosen; 0 and None leave it to the recipe.

    Parameters
    ----------
    what : {"finetune", "aggregators", "default"}
        A recipe's name.
    stages : frozenset of str or None
        Keys of `STAGES` that run.
    epochs, batch : int
        Of every stage that runs.
    rate : float
        Of the classifiers; the aggregators keep theirs.
    weights : (float, float, float)
        lambda of L_c, L_sep and L_agree (paper 1, Eq. 9).
    min_pixels : int
        Where labels are derived from outlines: a class shows from so many pixels on.
    """

    what: What = "finetune"
    stages: frozenset[StageKind] | None = None
    epochs: int = 0
    batch: int = 0
    rate: float = 0.0
    weights: tuple[float, float, float] = (1.0, 1.0, 5.0)
    min_pixels: int = 0


def usual_stages(what: What) -> frozenset[StageKind]:
    """The stages that a recipe runs by itself."""
    recipe = read_recipe(what)
    runs: dict[StageKind, bool] = {
        "pretrain": recipe.pretrain.tumour.loss != "none",
        "classifier": recipe.classifier.tumour.fit.epochs > 0,
        "tumour": recipe.aggregate.tumour.fit.epochs > 0,
        "classes": recipe.aggregate.classes.fit.epochs > 0,
    }
    return frozenset(stage for stage, does in runs.items() if does)


def recipe_of_choice(choice: TrainingChoice) -> Recipe:
    """The recipe that a choice stands for."""
    recipe = read_recipe(choice.what)
    stages = usual_stages(choice.what) if choice.stages is None else choice.stages

    def fit(usual: Fit, stage: StageKind, rate: float = 0.0) -> Fit:
        if stage not in stages:
            return replace(usual, epochs=0)
        return replace(
            usual,
            epochs=choice.epochs or usual.epochs or 5,
            batch=choice.batch or usual.batch,
            rate=rate or usual.rate,
        )

    def pretrain(usual: Pretrain, loss: Literal["supcon", "mulsupcon"]) -> Pretrain:
        if "pretrain" not in stages:
            return replace(usual, loss="none")
        chosen = loss if usual.loss == "none" else usual.loss
        return replace(usual, loss=chosen, fit=fit(usual.fit, "pretrain"))

    def classifier(usual: Classifier) -> Classifier:
        return replace(usual, fit=fit(usual.fit, "classifier", choice.rate))

    aggregate = recipe.aggregate
    apart, separate, agree = choice.weights
    return replace(
        recipe,
        data=replace(recipe.data, min_pixels=choice.min_pixels or recipe.data.min_pixels),
        pretrain=replace(
            recipe.pretrain,
            tumour=pretrain(recipe.pretrain.tumour, "supcon"),
            classes=pretrain(recipe.pretrain.classes, "mulsupcon"),
        ),
        classifier=replace(
            recipe.classifier,
            tumour=classifier(recipe.classifier.tumour),
            classes=classifier(recipe.classifier.classes),
        ),
        aggregate=replace(
            aggregate,
            tumour=replace(aggregate.tumour, fit=fit(aggregate.tumour.fit, "tumour")),
            classes=replace(
                aggregate.classes,
                weight_class=apart,
                weight_separate=separate,
                weight_agree=agree,
                fit=fit(aggregate.classes.fit, "classes"),
            ),
        ),
    )
