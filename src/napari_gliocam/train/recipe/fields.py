"""Every choice of a training as plain values: what the papers leave open has a name here.

The numbers in brackets are those of the ambiguity register the project keeps of the two papers
and their released code; ``recipes/*.toml`` answers them in three ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from napari_gliocam.nets.design import Design

PretrainLoss = Literal["none", "simclr", "supcon", "mulsupcon", "equal-labels"]


def _number(default: Any, low: float, high: float = float("inf")) -> Any:
    """A field with a smallest and a largest value, for `napari_gliocam.train.recipe.toml_file`."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one stage is optimised.

    Parameters
    ----------
    epochs : int
        0 leaves the stage out: its networks stay as they are.
    batch : int
        Slices a step, over all devices.
    rate : float
        Learning rate; the peak where the schedule has one.
    optimiser : {"adam", "sgd"}
    momentum : float
        Of SGD.
    weight_decay : float
    schedule : {"one-cycle", "cosine", "constant"}
    warm_up : float
        One-cycle: the part of the steps in which the rate rises.
    hold : int
        Cosine: epochs before it begins to fall.
    floor : float
        Cosine: the last rate.
    precision : {"32-true", "bf16-mixed"}
    keep : {"last", "best"}
        Which weights leave the stage; "best" by ``monitor`` on the validation patients.
    monitor : {"val_loss", "val_auc"}
    patience : int
        Stop after so many epochs without a better ``monitor``; 0 never stops early.
    accumulate : int
        Batches a step of the optimiser.
    checkpoint_steps : int
        Write a checkpoint also after so many steps; 0: after each epoch alone.
    """

    epochs: int = _number(5, 0)
    batch: int = _number(32, 1)
    rate: float = _number(1e-3, 0.0)
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: float = _number(0.0, 0.0, 1.0)
    weight_decay: float = _number(0.0, 0.0)
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warm_up: float = _number(0.15, 0.0, 1.0)
    hold: int = _number(0, 0)
    floor: float = _number(0.0, 0.0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    keep: Literal["last", "best"] = "last"
    monitor: Literal["val_loss", "val_auc"] = "val_loss"
    patience: int = _number(0, 0)
    accumulate: int = _number(1, 1)
    checkpoint_steps: int = _number(0, 0)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How slices are changed while they are learned from; no label is derived again.

    Parameters
    ----------
    mirror : float
        Probability of left and right changed.
    shift_px : float
        Largest shift along each axis.
    rotate_deg : float
        Largest rotation, either way.
    crop : float
        Smallest part of the area that a random crop keeps (it is enlarged to the slice);
        1 crops nothing.  Small crops may cut the lesion off.
    gain, offset : float
        Standard deviation of a factor around 1 and of an addend, a modality.
    noise : float
        Standard deviation a pixel.
    drop_modality : float
        Probability that T1ce, and that T2, is left out, so that a case without it runs.
    """

    mirror: float = _number(0.5, 0.0, 1.0)
    shift_px: float = _number(4.0, 0.0)
    rotate_deg: float = _number(0.0, 0.0, 180.0)
    crop: float = _number(1.0, 0.01, 1.0)
    gain: float = _number(0.12, 0.0)
    offset: float = _number(0.12, 0.0)
    noise: float = _number(0.05, 0.0)
    drop_modality: float = _number(0.0, 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which slices are learned from.

    Parameters
    ----------
    min_pixels : int
        [15] A class shows on a slice from so many pixels on (where labels are derived).
    few_pixels : {"exclude", "normal"}
        [15] What becomes of a slice with fewer, but some: left out, or called normal.
    blank : {"drop", "keep"}
        [15] Slices without brain.
    validation : float
        [16] Part of the patients kept for validation, by seed, in proportion to what they show.
    rehearsal : int
        Synthetic cases that are learned from besides one's own, so that a bundle that goes on
        does not forget what it could do; none is ever validated with.
    """

    min_pixels: int = _number(8, 1)
    few_pixels: Literal["exclude", "normal"] = "exclude"
    blank: Literal["drop", "keep"] = "drop"
    validation: float = _number(0.1, 0.0, 0.5)
    rehearsal: int = _number(0, 0)


@dataclass(frozen=True, kw_only=True)
class Network(Design):
    """How the networks are built [2, 4 to 8], and their polarity.

    Parameters
    ----------
    polarity : {"auto", "normal", "inverted"}
        [1] Settled per exit and class without a mask (`napari_gliocam.train.stages.polarity`), or
        taken as high = lesion, or high = healthy everywhere (the papers' code).
    """

    polarity: Literal["auto", "normal", "inverted"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Contrastive pre-training of one backbone.

    Parameters
    ----------
    loss : {"none", "simclr", "supcon", "mulsupcon", "equal-labels"}
        [12] "equal-labels" is what paper 1's code has for MulSupCon: the same absence counts as
        well.  Vectors are normalised with each; that the code's are not is not reproduced.
    temperature : float
    projection : int
        Length of the vectors that are compared.
    augment : Augment
        Two views a slice.
    fit : Fit
    """

    loss: PretrainLoss = "none"
    temperature: float = _number(0.1, 0.001)
    projection: int = _number(128, 2)
    augment: Augment = Augment()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A multi-exit classifier (paper 1, Eq. 1 and 2).

    Parameters
    ----------
    loss : {"bce", "focal"}
        [11] Focal: gamma 2, alpha 1.
    exit_weights : 4 float
        [3] w_l.
    freeze_norm : bool
        Batch norm keeps the statistics it has: a few cases of one kind would move them.
    blend : float
        Part of the learned weights in the result, the rest are those it began with (Wortsman et
        al. 2022, Robust fine-tuning of zero-shot models); 1 takes the learned ones alone.
    augment : Augment
    fit : Fit
    """

    loss: Literal["bce", "focal"] = "bce"
    exit_weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    freeze_norm: bool = False
    blend: float = _number(1.0, 0.0, 1.0)
    augment: Augment = Augment()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class Features:
    """What foreground and background of a map are compared by (paper 1, Eq. 5 and 6).

    Parameters
    ----------
    projection : {"deep", "image"}
        [7] Stage 2 of the class network, averaged inside and outside the map; or the paper's
        1 x 1 convolution of the image, times the map, as one long vector.
    similarity : {"shifted", "cosine"}
        ``(1 + cos) / 2``, or the cosine, clamped (no gradient below 0).
    bank : int
        Vectors of earlier batches that are compared with as well.
    region : {"lesion", "brain", "image"}
        Where: near the lesion (``ring_px`` around the mean tumour map), or everywhere.
    ring_px : int
        In pixels of the attention's grid.
    """

    projection: Literal["deep", "image"] = "deep"
    similarity: Literal["shifted", "cosine"] = "shifted"
    bank: int = _number(128, 0)
    region: Literal["lesion", "brain", "image"] = "lesion"
    ring_px: int = _number(5, 1)


@dataclass(frozen=True, kw_only=True)
class TumourAggregate:
    """The tumour aggregator (paper 2, Eq. 2 and 3).

    Parameters
    ----------
    weight_class : float
        L_c: SimMin and SimMax of fore- and background, the paper's only term.
    weight_contrast : float
        J, the two-phase contrast of the image.
    weight_uniform : float
        KL of the attention against equal weights.
    features : Features
    fit : Fit
    """

    weight_class: float = _number(0.0, 0.0)
    weight_contrast: float = _number(1.0, 0.0)
    weight_uniform: float = _number(1.0, 0.0)
    features: Features = Features()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class ClassAggregate:
    """The guided class aggregator (paper 1, Eq. 3 to 9).

    Parameters
    ----------
    weight_class, weight_separate, weight_agree : float
        lambda of Eq. 9.
    weight_uniform : float
        KL of the attention against equal weights.
    labels : {"labelled", "every"}
        [9] L_c, L_sep and L_agree look at a class on slices that show it, or on all.
    pairs : {"all", "same-image"}
        [9] Which foregrounds of the two classes L_sep compares.
    agreement : {"bce", "logits"}
        [10] L_agree on maps in [0, 1], or with a sigmoid in front.
    features : Features
    fit : Fit
    """

    weight_class: float = _number(1.0, 0.0)
    weight_separate: float = _number(1.0, 0.0)
    weight_agree: float = _number(5.0, 0.0)
    weight_uniform: float = _number(20.0, 0.0)
    labels: Literal["labelled", "every"] = "labelled"
    pairs: Literal["all", "same-image"] = "all"
    agreement: Literal["bce", "logits"] = "bce"
    features: Features = Features()
    fit: Fit = Fit()


@dataclass(frozen=True, kw_only=True)
class PretrainBoth:
    """Pre-training of each network."""

    tumour: Pretrain = Pretrain()
    classes: Pretrain = Pretrain()


@dataclass(frozen=True, kw_only=True)
class ClassifierBoth:
    """Training of each network."""

    tumour: Classifier = Classifier()
    classes: Classifier = Classifier()


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Both aggregators.

    Parameters
    ----------
    slices : {"tumour", "all"}
        Learn from slices that show tumour, or from all.
    max_slices : int
        At most so many, drawn by seed; 0 takes all.
    """

    slices: Literal["tumour", "all"] = "tumour"
    max_slices: int = _number(3200, 0)
    tumour: TumourAggregate = TumourAggregate()
    classes: ClassAggregate = ClassAggregate()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training; read one with `napari_gliocam.train.recipe.toml_file.read_recipe`.

    Parameters
    ----------
    name : str
    seed : int
        Of everything: first weights, split, order, augmentation.
    start : {"random", "bundle"}
        From scratch, or on from a bundle, whose networks are built as they are whatever
        ``network`` says (but for its polarity, which is settled anew).
    data : Data
    network : Network
    pretrain : PretrainBoth
    classifier : ClassifierBoth
    aggregate : Aggregate
    """

    name: str = "unnamed"
    seed: int = _number(0, 0)
    start: Literal["random", "bundle"] = "random"
    data: Data = Data()
    network: Network = Network()
    pretrain: PretrainBoth = PretrainBoth()
    classifier: ClassifierBoth = ClassifierBoth()
    aggregate: Aggregate = Aggregate()

    def __post_init__(self) -> None:
        for key, fit in self.fits().items():
            if self.data.validation == 0 and fit.epochs and (fit.keep == "best" or fit.patience):
                raise ValueError(
                    f'{key}.keep "{fit.keep}" with patience {fit.patience}, which need validation '
                    'patients, and data.validation is 0: choose "last" and 0, or keep some'
                )

        if self.network.map_range == "raw":
            features = (self.aggregate.tumour.features, self.aggregate.classes.features)
            if self.aggregate.tumour.weight_contrast or any(f.region == "lesion" for f in features):
                raise ValueError(
                    'network.map_range "raw", where a map is no share of anything: set '
                    'aggregate.tumour.weight_contrast to 0 and every region to "image" or "brain"'
                )

    def fits(self) -> dict[str, Fit]:
        """Each stage's `Fit` by its key, in the order the stages run."""
        return {
            "pretrain.tumour.fit": self.pretrain.tumour.fit,
            "classifier.tumour.fit": self.classifier.tumour.fit,
            "pretrain.classes.fit": self.pretrain.classes.fit,
            "classifier.classes.fit": self.classifier.classes.fit,
            "aggregate.tumour.fit": self.aggregate.tumour.fit,
            "aggregate.classes.fit": self.aggregate.classes.fit,
        }
