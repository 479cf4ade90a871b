"""The recipe of the networks of the maps: slices, design, rounds and stages.

Numbers in brackets as in `napari_gliocam.train.recipe.stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from napari_gliocam.case import Modality
from napari_gliocam.nets.design import Design
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.train.recipe.common import AnyData, AnyRecipe, Fit, number
from napari_gliocam.train.recipe.stages import (
    Aggregate,
    Classifier,
    ClassifierBoth,
    PretrainBoth,
)
from napari_gliocam.train.recipe.toml_file import read_settings

#: The recipes that ship: the papers' text, their released code, our default; to go on from a bundle
#: with all networks, or with the aggregators alone; the recipe of the bundle that ships, for a GPU
#: and for a CPU; those of papers 1, 2 and 5 for single tables.
RECIPES = (
    *("paper", "released", "default", "finetune", "aggregators", "real", "real-cpu"),
    *("ame-cam", "ame-cam-23", "c2am", "resnet34", "resnet50"),
    *("paper1-class", "paper1-class-separate"),
)
#: Kind and network of each stage, in the order in which they run.
STAGES = (
    ("pretrain", "tumour"),
    ("classifier", "tumour"),
    ("pretrain", "classes"),
    ("classifier", "classes"),
    ("aggregate", "tumour"),
    ("aggregate", "classes"),
)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Shares of real patients and synthetic cases in the classifiers' batches.

    Parameters
    ----------
    real : float
        Part of each batch that shows real patients; 0 draws nothing by chance, an epoch goes once
        through all slices.
    core, edema : float
        Part of a patient's slices that show core, and edema without core; the others show neither.
    steps : int
        Number of batches that are called an epoch.
    synthetic_augment : float
        Factor on the strength of augmentation of synthetic slices, which vary by themselves.
    often : dict of str to float
        Number of times that the slices of a patient come as often as those of others, by the name
        of the case.  Meant for kinds of tumour that are rare among the cases.
    """

    real: float = number(0.0, 0.0, 1.0)
    core: float = number(0.36, 0.0, 1.0)
    edema: float = number(0.24, 0.0, 1.0)
    steps: int = number(100, 1)
    synthetic_augment: float = number(1.0, 0.0)
    often: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Data(AnyData):
    """The choice of slices to learn from.

    Parameters
    ----------
    modalities : tuple of str
        The networks' channels in order, some of t1ce, t2, flair and t1; a bundle to go on from
        keeps its own.
    min_pixels : int
        [15] Smallest number of pixels at which a slice counts as showing a class, where labels
        are derived from expert labels.
    few_pixels : {"exclude", "normal"}
        [15] Treatment of a slice with fewer pixels, but some: left out, or labelled as normal.
    blank : {"drop", "keep"}
        [15] Treatment of slices with less than 5 cm² of brain: left out, or learned from.
    validation
        As in `AnyData`.
    rehearsal : int
        Number of synthetic cases to learn from besides one's own, so that a bundle that goes on
        does not forget; none is ever validated with.
    not_enhancing : float
        Part of the synthetic tumours that would enhance and are drawn without enhancement.
    sampling : Sampling
        How batches are drawn from real and synthetic slices.
    """

    modalities: tuple[str, ...] = ("t1ce", "t2", "flair")
    min_pixels: int = number(8, 1)
    few_pixels: Literal["exclude", "normal"] = "exclude"
    blank: Literal["drop", "keep"] = "drop"
    rehearsal: int = number(0, 0)
    not_enhancing: float = number(0.0, 0.0, 1.0)
    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        known = [modality.value for modality in Modality]
        if not self.modalities or any(self.modalities.count(m) > 1 for m in self.modalities):
            raise ValueError("modalities: give some, each once")
        for name in self.modalities:
            if name not in known:
                raise ValueError(
                    f'modalities: there is no "{name}"; choose some of {", ".join(known)}'
                )


@dataclass(frozen=True, kw_only=True)
class Network(Design):
    """The design of the networks [2, 4 to 8], and their polarity.

    Parameters
    ----------
    polarity : {"auto", "normal", "inverted"}
        [1] Decided per exit and class without a mask (`napari_gliocam.train.stages.polarity`), or
        taken as high = lesion, or high = healthy everywhere (the papers' code).
    weights : str
        File of torchvision's weights that the backbones of new networks begin with, opened by
        torch with ``weights_only``; random ones where it is empty.
    """

    polarity: Literal["auto", "normal", "inverted"] = "auto"
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One of several rounds in which both classifiers learn, on from the weights of the last.

    Parameters
    ----------
    epochs : int
        Epochs of the round.
    rate : float
        Learning rate of the round.
    weight_maps : float
        Weight of the loss of the exits against soft maps of the real patients, which are made
        before the round from images, slice labels and the maps of the networks so far; 0 learns
        from slice labels alone.
    prior_shift : float
        Added to the logit of the tumour map before a patient's mixtures are fitted; below 0
        believes a map that is too large less.
    augment : float
        Factor on the strength of the classifiers' augmentation.
    """

    epochs: int = number(9, 1)
    rate: float = number(5e-4, 0.0)
    weight_maps: float = number(0.0, 0.0)
    prior_shift: float = number(0.0, -10.0, 10.0)
    augment: float = number(1.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Thresholds that the bundle of a training from scratch asks for [13, 14].

    Parameters
    ----------
    tumour_threshold, class_threshold : float
        Thresholds of the maps, in [0, 1].
    gate_probability : float
        Least image-level probability at which a slice shows a class, in [0, 1].
    """

    tumour_threshold: float = number(0.40, 0.0, 1.0)
    class_threshold: float = number(0.50, 0.0, 1.0)
    gate_probability: float = number(0.50, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Recipe(AnyRecipe):
    """A whole training; read one with `napari_gliocam.train.recipe.toml_file.read_recipe`.

    Parameters
    ----------
    name, seed, start
        As in `AnyRecipe`; of a bundle's networks only the polarity is decided again.
    data : Data
        Choice of slices.
    network : Network
        Design of new networks.
    thresholds : Cut
        Thresholds of the new bundle; a bundle to go on from keeps its own.
    seeds : int
        Number of runs of the rounds, with seeds that follow each other; the mean of their weights
        goes on (Wortsman et al. 2022, Model soups).  All begin with the weights of one bundle.
    rounds : tuple of Round
        Rounds of the classifiers; without any they learn once, as ``classifier`` says.
    pretrain : PretrainBoth
        Contrastive pre-training.
    classifier : ClassifierBoth
        Training of the classifiers.
    aggregate : Aggregate
        Training of the aggregators.
    """

    data: Data = Data()
    network: Network = Network()
    thresholds: Cut = Cut()
    seeds: int = number(1, 1)
    rounds: tuple[Round, ...] = ()
    pretrain: PretrainBoth = field(default_factory=PretrainBoth)
    classifier: ClassifierBoth = field(default_factory=ClassifierBoth)
    aggregate: Aggregate = field(default_factory=Aggregate)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.sampling.core + self.data.sampling.edema > 1:
            raise ValueError("data.sampling.core and edema of more than 1 together: lower one")
        if self.seeds > 1 and (self.start != "bundle" or not self.rounds):
            raise ValueError(
                f"seeds {self.seeds}, whose mean is of use only where they begin alike: set start "
                'to "bundle" and give rounds, or set seeds to 1'
            )
        usual = Data().modalities
        drops = [self.classifier.tumour.augment, self.classifier.classes.augment]
        if self.data.modalities != usual and (
            self.data.rehearsal or any(a.drop_modality or a.without_enhancement for a in drops)
        ):
            raise ValueError(
                f"data.modalities {', '.join(self.data.modalities)}: synthetic cases and left-out "
                f"modalities know {', '.join(usual)} alone; set data.rehearsal and every "
                "drop_modality and without_enhancement to 0"
            )
        if self.network.map_range == "raw":
            features = (self.aggregate.tumour.features, self.aggregate.classes.features)
            if self.aggregate.tumour.weight_contrast or any(f.region == "lesion" for f in features):
                raise ValueError(
                    'network.map_range "raw", where a map is no share of anything: set '
                    'aggregate.tumour.weight_contrast to 0 and every region to "image" or "brain"'
                )

    def of_round(self, number: int) -> Recipe:
        """Return the recipe with the settings of one round; only the first has a pre-training.

        Parameters
        ----------
        number : int
            The round, from 1.
        """
        chosen = self.rounds[number - 1]

        def changed(usual: Classifier) -> Classifier:
            return replace(
                usual,
                weight_maps=chosen.weight_maps,
                augment=usual.augment.scaled(chosen.augment),
                fit=replace(usual.fit, epochs=chosen.epochs, rate=chosen.rate),
            )

        both = self.classifier
        return replace(
            self,
            pretrain=self.pretrain if number == 1 else PretrainBoth(),
            classifier=replace(both, tumour=changed(both.tumour), classes=changed(both.classes)),
        )

    def fits(self) -> dict[str, Fit]:
        """Return the `Fit` of each stage by kind and network, such as ``"classifier.tumour"``."""
        alone = self.network.targets == TUMOUR_ALONE
        return {
            f"{kind}.{network}": getattr(getattr(self, kind), network).fit
            for kind, network in STAGES
            if network == "tumour" or not alone
        }

    def with_fits(self, change: Callable[[str, Fit], Fit]) -> Recipe:
        """Return the recipe with other settings of its stages."""
        recipe = self
        for kind, network in STAGES:
            both = getattr(recipe, kind)
            stage = getattr(both, network)
            fit = change(f"{kind}.{network}", stage.fit)
            both = replace(both, **{network: replace(stage, fit=fit)})
            recipe = replace(recipe, **{kind: both})
        return recipe


def read_recipe(source: str | Path = "default") -> Recipe:
    """Read a recipe that ships, or a file.

    Parameters
    ----------
    source : str or Path
        A name in `RECIPES`, also with ``.toml`` where there is no such file, or the path of a TOML
        file.  A file may say ``base = "default"`` (or another name) and give only what differs.

    Returns
    -------
    Recipe

    Raises
    ------
    TrainingError
        One sentence with the file and the key.
    """
    return read_settings(Recipe, source, RECIPES)
