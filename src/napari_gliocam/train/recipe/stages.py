"""The settings of each stage of the networks of the maps.

The numbers in brackets are those of the register of ambiguities that the project keeps of papers 1
and 2 and their released code; ``recipes/*.toml`` answers them in three ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_gliocam.train.recipe.augment import Augment
from napari_gliocam.train.recipe.common import Fit, number

PretrainLoss = Literal["none", "simclr", "supcon", "mulsupcon", "equal-labels"]


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
    augment: Augment = field(default_factory=Augment)
    fit: Fit = field(default_factory=Fit)


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
    augment: Augment = field(default_factory=Augment)
    fit: Fit = field(default_factory=Fit)


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
    fit: Fit = field(default_factory=Fit)


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
    fit: Fit = field(default_factory=Fit)


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
