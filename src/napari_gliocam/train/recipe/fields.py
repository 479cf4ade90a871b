"""Every choice of a training as plain values, also those that the papers leave open.

The numbers in brackets are those of the register of ambiguities that the project keeps of the two
papers and their released code; ``recipes/*.toml`` answers them in three ways.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from napari_gliocam.case import Modality
from napari_gliocam.nets.design import Design

PretrainLoss = Literal["none", "simclr", "supcon", "mulsupcon", "equal-labels"]


def number(default: Any, low: float, high: float = float("inf")) -> Any:
    """Return a field with a range, which `napari_gliocam.train.recipe.toml_file` checks."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The optimisation of one stage.

    Parameters
    ----------
    epochs : int
        Number of passes over the slices; 0 leaves the stage out, its networks stay as they are.
    batch : int
        Slices a step, over all devices.
    rate : float
        Learning rate; the peak where the schedule has one.
    optimiser : {"adam", "adamw", "sgd"}
        Optimiser; "adamw" decays the weights apart from the gradient.
    momentum : float
        Momentum of SGD.
    weight_decay : float
        Weight decay of the optimiser.
    schedule : {"one-cycle", "cosine", "poly", "constant"}
        Course of the learning rate; "poly" is ``(1 - step / steps)`` to the power of 0.9.
    warm_up : float
        One-cycle: the part of the steps in which the rate rises.
    hold : int
        Cosine: epochs before the rate begins to fall.
    floor : float
        Cosine: the last rate.
    precision : {"32-true", "bf16-mixed"}
        Number format of the training.
    keep : {"last", "best"}
        Weights that leave the stage; "best" by ``monitor`` on the validation patients.
    monitor : {"val_loss", "val_auc"}
        Figure that decides which weights are the best.
    patience : int
        Number of epochs without a better ``monitor`` after which the stage ends; 0 never ends it
        early.
    average : float
        Decay of a running mean of the weights over the steps, which leaves the stage in their
        place (a mean teacher, Tarvainen & Valpola 2017); it forgets faster in the first steps.
        0 keeps the last weights.
    accumulate : int
        Batches a step of the optimiser.
    checkpoint_steps : int
        Number of steps between checkpoints within an epoch; 0 writes them after each epoch alone.
    """

    epochs: int = number(5, 0)
    batch: int = number(32, 1)
    rate: float = number(1e-3, 0.0)
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float = number(0.0, 0.0, 1.0)
    weight_decay: float = number(0.0, 0.0)
    schedule: Literal["one-cycle", "cosine", "poly", "constant"] = "one-cycle"
    warm_up: float = number(0.15, 0.0, 1.0)
    hold: int = number(0, 0)
    floor: float = number(0.0, 0.0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    keep: Literal["last", "best"] = "last"
    monitor: Literal["val_loss", "val_auc"] = "val_loss"
    patience: int = number(0, 0)
    average: float = number(0.0, 0.0, 0.9999)
    accumulate: int = number(1, 1)
    checkpoint_steps: int = number(0, 0)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of the slices during training; no label is derived again.

    Parameters
    ----------
    mirror : float
        Probability that left and right change places.
    shift_px : float
        Largest shift along each axis, in pixels.
    rotate_deg : float
        Largest rotation either way, in degrees.
    crop : float
        Smallest part of the area that a random crop keeps (it is enlarged to the slice);
        1 crops nothing.  Small crops may cut the lesion off.
    scale : float
        Largest change of size either way, as a natural logarithm; 0.14 is 15 %.
    gain, offset : float
        Standard deviation of a factor around 1, and of an addend, for each modality.
    curve : float
        Standard deviation of a quadratic term in the intensities of each modality, which bends
        contrast as a gamma curve does.
    bias_field : float
        Largest standard deviation of a smooth field that is added to each modality.
    blur : float
        Largest part of a mean over 3 x 3 pixels that is blended in, on a fifth of the slices.
    noise : float
        Standard deviation of the noise of each pixel.
    drop_modality : float
        Probability that T1ce, and that T2, is left out, so that the networks learn to run
        without it.
    """

    mirror: float = number(0.5, 0.0, 1.0)
    shift_px: float = number(4.0, 0.0)
    rotate_deg: float = number(0.0, 0.0, 180.0)
    crop: float = number(1.0, 0.01, 1.0)
    scale: float = number(0.0, 0.0, 1.0)
    gain: float = number(0.12, 0.0)
    offset: float = number(0.12, 0.0)
    curve: float = number(0.0, 0.0)
    bias_field: float = number(0.0, 0.0)
    blur: float = number(0.0, 0.0, 1.0)
    noise: float = number(0.05, 0.0)
    drop_modality: float = number(0.0, 0.0, 0.5)

    def scaled(self, factor: float) -> Augment:
        """Return the same changes, stronger or weaker.

        Parameters
        ----------
        factor : float
            Factor on all but mirror, shift, crop and left-out modalities.
        """
        names = ("rotate_deg", "scale", "gain", "offset", "curve", "bias_field", "noise")
        scaled: dict[str, Any] = {name: factor * getattr(self, name) for name in names}
        return replace(self, **scaled, blur=min(1.0, factor * self.blur))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the classifiers' batches are drawn from real patients and synthetic cases.

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
class AnyData:
    """The part of the choice of slices that all trainings have in common.

    Parameters
    ----------
    validation : float
        [16] Part of the patients kept for validation, by seed, in proportion to their labels.
    """

    validation: float = number(0.1, 0.0, 0.5)


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
class Pretrain:
    """Contrastive pre-training of one backbone.

    Parameters
    ----------
    loss : {"none", "simclr", "supcon", "mulsupcon", "equal-labels"}
        [12] Loss; "none" leaves the stage out.  "equal-labels" is the form of MulSupCon in paper
        1's code: the same absence counts as well.  Vectors are normalised with each, unlike those
        in the code.
    temperature : float
        Divisor of the similarities.
    projection : int
        Length of the vectors that are compared.
    augment : Augment
        Changes of the two views of each slice.
    fit : Fit
        Optimisation.
    """

    loss: PretrainLoss = "none"
    temperature: float = number(0.1, 0.001)
    projection: int = number(128, 2)
    augment: Augment = Augment()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A multi-exit classifier (paper 1, Eq. 1 and 2).

    Parameters
    ----------
    loss : {"bce", "focal"}
        [11] Cross-entropy, or focal loss with gamma 2 and alpha 1.
    exit_weights : 4 float
        [3] Weight w_l of the loss of each exit.
    norm : {"together", "frozen", "apart"}
        Statistics of batch norm: those of the whole batch; those at the start, which a few cases of
        one kind would move; or real and synthetic slices each normalised by their own, of which
        those of the real ones stay (Chang et al. 2019, Domain-specific batch normalization).
    weight_maps : float
        Weight of the loss of the exits against soft maps (`napari_gliocam.train.stages.soft_maps`);
        `Round` sets it.
    blend : float
        Part of the learned weights in the result, the rest are those at the start (Wortsman et
        al. 2022, Robust fine-tuning of zero-shot models); 1 takes the learned ones alone.
    augment : Augment
        Changes of the slices.
    fit : Fit
        Optimisation.
    """

    loss: Literal["bce", "focal"] = "bce"
    exit_weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    norm: Literal["together", "frozen", "apart"] = "together"
    weight_maps: float = number(0.0, 0.0)
    blend: float = number(1.0, 0.0, 1.0)
    augment: Augment = Augment()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features by which foreground and background of a map are compared (paper 1, Eq. 5, 6).

    Parameters
    ----------
    projection : {"deep", "image"}
        [7] Stage 2 of the class network, averaged inside and outside the map; or the paper's
        1 x 1 convolution of the image, times the map, as one long vector.
    similarity : {"shifted", "cosine"}
        ``(1 + cos) / 2``, or the cosine, clamped (no gradient below 0).
    bank : int
        Number of vectors of earlier batches to compare with as well.
    region : {"lesion", "brain", "image"}
        Part of the slice: near the lesion (``ring_px`` around the mean tumour map), the brain, or
        all of it.
    ring_px : int
        Width of the ring around the lesion, in pixels of the attention's grid.
    """

    projection: Literal["deep", "image"] = "deep"
    similarity: Literal["shifted", "cosine"] = "shifted"
    bank: int = number(128, 0)
    region: Literal["lesion", "brain", "image"] = "lesion"
    ring_px: int = number(5, 1)


@dataclass(frozen=True, kw_only=True)
class TumourAggregate:
    """The tumour aggregator (paper 2, Eq. 2 and 3).

    Parameters
    ----------
    weight_class : float
        Weight of L_c: SimMin and SimMax of fore- and background, the paper's only term.
    weight_contrast : float
        Weight of J, the two-phase contrast of the image.
    weight_uniform : float
        Weight of the KL divergence of the attention from equal weights.
    features : Features
        Features that L_c compares.
    fit : Fit
        Optimisation.
    """

    weight_class: float = number(0.0, 0.0)
    weight_contrast: float = number(1.0, 0.0)
    weight_uniform: float = number(1.0, 0.0)
    features: Features = Features()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class ClassAggregate:
    """The guided class aggregator (paper 1, Eq. 3 to 9).

    Parameters
    ----------
    weight_class, weight_separate, weight_agree : float
        Weights of L_c, L_sep and L_agree: lambda of Eq. 9.
    weight_uniform : float
        Weight of the KL divergence of the attention from equal weights.
    labels : {"labelled", "every"}
        [9] Whether L_c, L_sep and L_agree look at a class on slices that show it, or on all.
    pairs : {"all", "same-image"}
        [9] The foregrounds of the two classes that L_sep compares.
    agreement : {"bce", "logits"}
        [10] L_agree on maps in [0, 1], or with a sigmoid in front.
    agreement_over : {"brain", "image"}
        Pixels over which L_agree is a mean: the brain's, or all (paper 1).
    features : Features
        Features that L_c and L_sep compare.
    fit : Fit
        Optimisation.
    """

    weight_class: float = number(1.0, 0.0)
    weight_separate: float = number(1.0, 0.0)
    weight_agree: float = number(5.0, 0.0)
    weight_uniform: float = number(20.0, 0.0)
    labels: Literal["labelled", "every"] = "labelled"
    pairs: Literal["all", "same-image"] = "all"
    agreement: Literal["bce", "logits"] = "bce"
    agreement_over: Literal["brain", "image"] = "brain"
    features: Features = Features()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class PretrainBoth:
    """Pre-training of each network.

    Parameters
    ----------
    tumour, classes : Pretrain
        Settings of the tumour network and of the class network.
    """

    tumour: Pretrain = Pretrain()
    classes: Pretrain = Pretrain()


@dataclass(frozen=True, kw_only=True)
class ClassifierBoth:
    """Training of each network.

    Parameters
    ----------
    tumour, classes : Classifier
        Settings of the tumour network and of the class network.
    """

    tumour: Classifier = Classifier()
    classes: Classifier = Classifier()


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Both aggregators.

    Parameters
    ----------
    slices : {"tumour", "all"}
        Whether to learn from slices that show tumour, or from all.
    max_slices : int
        Largest number of slices, drawn by seed; 0 takes all.
    tumour : TumourAggregate
        Settings of the tumour aggregator.
    classes : ClassAggregate
        Settings of the class aggregator.
    """

    slices: Literal["tumour", "all"] = "tumour"
    max_slices: int = number(3200, 0)
    tumour: TumourAggregate = TumourAggregate()
    classes: ClassAggregate = ClassAggregate()


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
class AnyRecipe(ABC):
    """The part that the recipes of all trainings have in common.

    Parameters
    ----------
    name : str
        Name of the recipe.
    seed : int
        Seed of everything: first weights, split, order, augmentation.
    start : {"random", "bundle"}
        First weights: random, or those of a bundle, whose networks keep their design whatever the
        recipe says.
    data : AnyData
        Choice of slices.
    """

    name: str = "unnamed"
    seed: int = number(0, 0)
    start: Literal["random", "bundle"] = "random"
    data: AnyData = AnyData()

    def __post_init__(self) -> None:
        for stage, fit in self.fits().items():
            validates = fit.keep == "best" or fit.patience
            if self.data.validation == 0 and fit.epochs and validates:
                key = f"{stage}.fit" if "." in stage else "fit"
                raise ValueError(
                    f'{key}.keep "{fit.keep}" with patience {fit.patience}, which need validation '
                    'patients, and data.validation is 0: choose "last" and 0, or keep some'
                )

    @abstractmethod
    def fits(self) -> dict[str, Fit]:
        """Return the `Fit` of each stage by its name, in the order in which the stages run."""

    @abstractmethod
    def with_fits(self, change: Callable[[str, Fit], Fit]) -> Self:
        """Return the recipe with other settings of its stages.

        Parameters
        ----------
        change : callable
            Takes the name of a stage, as in `fits`, and its `Fit`; returns the new one.
        """

    def without_validation(self) -> Self:
        """Return the recipe that judges with no patient and keeps the last weights."""
        last = self.with_fits(lambda _, fit: replace(fit, keep="last", patience=0))
        return replace(last, data=replace(self.data, validation=0.0))


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
    pretrain: PretrainBoth = PretrainBoth()
    classifier: ClassifierBoth = ClassifierBoth()
    aggregate: Aggregate = Aggregate()

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
            self.data.rehearsal or any(augment.drop_modality for augment in drops)
        ):
            raise ValueError(
                f"data.modalities {', '.join(self.data.modalities)}: synthetic cases and left-out "
                f"modalities know {', '.join(usual)} alone; set data.rehearsal and every "
                "drop_modality to 0"
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
        return {
            f"{kind}.{network}": getattr(getattr(self, kind), network).fit
            for kind, network in STAGES
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
