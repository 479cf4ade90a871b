"""Parameters of each refinement; needs neither torch nor SciPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from napari_gliocam.errors import GliocamError

Superpixels = Literal["slic", "quickshift"]
SUPERPIXELS: tuple[Superpixels, ...] = ("slic", "quickshift")

Classes = Literal["by cluster", "as they are"]
CLASSES: tuple[Classes, ...] = ("by cluster", "as they are")

Backend = Literal["torch", "pydensecrf"]
BACKENDS: tuple[Backend, ...] = ("torch", "pydensecrf")

Method = Literal["none", "adapt", "crf", "boundary-fit", "boundary-fit+crf"]
METHODS: tuple[Method, ...] = ("none", "adapt", "crf", "boundary-fit", "boundary-fit+crf")


def _check(
    name: str,
    value: float,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Raise the sentence that says what a parameter may be."""
    title = name.replace("_", " ")
    if above is not None and not (value > above and math.isfinite(value)):
        raise GliocamError(f"The {title} is {value:g}; choose a value above {above:g}.")
    if least is not None and not (value >= least and math.isfinite(value)):
        raise GliocamError(f"The {title} is {value:g}; choose a value of at least {least:g}.")
    if most is not None and not value <= most:
        raise GliocamError(f"The {title} is {value:g}; choose a value of at most {most:g}.")


def _check_count(name: str, value: int) -> None:
    if not 1 <= value <= 1000 or value != int(value):
        title = name.replace("_", " ")
        raise GliocamError(f"The number of {title} is {value:g}; choose a whole number up to 1000.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        title = name.replace("_", " ")
        raise GliocamError(f'There is no {title} "{value}"; choose one of {", ".join(choices)}.')


@dataclass(frozen=True)
class AdaptParameters:
    """Parameters of the adaptation to the patient (see `napari_gliocam.refine.adapt`).

    Parameters
    ----------
    evidence : float
        Weight of this patient's intensities beside the maps, in [0, 2]; 0 leaves the maps alone
        to decide.
    tissues : int
        Gaussians for the healthy tissue around the lesion: white and grey matter, ventricles.
    smoothness : float
        How strongly neighbours are drawn to one class, tumour or not, core or edema: weight of the
        Markov field in log-odds, in [0, 10]; 0 leaves it out.
    balance : float
        How much of the patient's own ratio of the core map to the edema map is set right, in
        [0, 1]; 1 takes core and edema for equally likely in the tumour as a whole.  It acts in
        so far as the core map is unsure, as ``depth`` does.
    depth : float
        By how much the core is more likely deep in the tumour than at its border, in log-odds,
        in [0, 10]; 0 leaves depth out.
    slices : float
        Weight of the networks' doubt of core in single slices, beside the slices where they are
        surest, in [0, 2]; 0 leaves it out.
    denial : float
        The gate denies tumour only where the networks' probability for the slice is below this,
        in (0, 0.5]; core or edema alone fades below it.
    rounds : int
        How often the Gaussians are fitted anew to what was found; half as often, rounded up, those
        of core and edema.
    """

    evidence: float = 0.6
    tissues: int = 6
    smoothness: float = 1.0
    balance: float = 1.0
    depth: float = 2.0
    slices: float = 0.5
    denial: float = 0.1
    rounds: int = 4

    def __post_init__(self) -> None:
        _check("evidence", self.evidence, least=0.0, most=2.0)
        _check("smoothness", self.smoothness, least=0.0, most=10.0)
        _check("balance", self.balance, least=0.0, most=1.0)
        _check("depth", self.depth, least=0.0, most=10.0)
        _check("slices", self.slices, least=0.0, most=2.0)
        _check("denial", self.denial, above=0.0, most=0.5)
        for name in ("tissues", "rounds"):
            _check_count(name, getattr(self, name))


@dataclass(frozen=True)
class CrfParameters:
    """Kernels and iterations of the dense CRF (Krähenbühl and Koltun 2011, Eq. 3).

    Parameters
    ----------
    gaussian_width : float
        Standard deviation of the smoothness kernel in mm.
    gaussian_weight : float
        Its Potts weight; 0 leaves it out.
    bilateral_width : float
        Standard deviation in mm of the kernel that looks at the image.
    intensity_width : float
        Standard deviation of that kernel in intensities of 0 to 255, for each modality.
    bilateral_weight : float
        Its Potts weight; 0 leaves it out.
    iterations : int
        Of mean field.
    volume : bool
        Whether slices see each other: one CRF in 3-D instead of one for each slice.
    backend : {"torch", "pydensecrf"}
        Our own, on every device; or the package of that name (extra ``crf``).

    Notes
    -----
    The defaults are those of a function in paper 2's released code, where its call is commented
    out; ``CRF_PRESETS`` has others.
    """

    gaussian_width: float = 3.0
    gaussian_weight: float = 3.0
    bilateral_width: float = 10.0
    intensity_width: float = 13.0
    bilateral_weight: float = 10.0
    iterations: int = 10
    volume: bool = False
    backend: Backend = "torch"

    def __post_init__(self) -> None:
        for name in ("gaussian_width", "bilateral_width", "intensity_width"):
            _check(name, getattr(self, name), above=0.0)
        for name in ("gaussian_weight", "bilateral_weight"):
            _check(name, getattr(self, name), least=0.0)
        _check_count("iterations", self.iterations)
        _check_choice("backend", self.backend, BACKENDS)


#: Named sets of parameters: paper 2 as released; DeepLab (Chen et al. 2015) as SEC uses it.
CRF_PRESETS = {
    "paper 2": CrfParameters(),
    "DeepLab": CrfParameters(bilateral_width=80.0),
}


@dataclass(frozen=True)
class ComponentParameters:
    """Rules for the parts of a tumour that stay.

    Parameters
    ----------
    min_fraction : float
        A 3-D component stays if it has at least this fraction of the largest one's voxels,
        in [0, 1]; 0 keeps all.
    min_ml : float
        Above 0, a component of at least this volume stays as well: a second lesion may be small
        beside the first.
    fill_holes : bool
        Whether background that the tumour encloses becomes tumour.
    fill_core : bool
        Whether edema that the core encloses becomes core (necrosis).
    """

    min_fraction: float = 0.3
    min_ml: float = 1.0
    fill_holes: bool = True
    fill_core: bool = True

    def __post_init__(self) -> None:
        _check("min_fraction", self.min_fraction, least=0.0, most=1.0)
        _check("min_ml", self.min_ml, least=0.0)


@dataclass(frozen=True)
class ClusterParameters:
    """Parameters of the clusters of a slice (paper 4, section 2.1, and its released code).

    Parameters
    ----------
    superpixels : {"slic", "quickshift"}
        How a slice is cut into superpixels: SLIC makes them similar in size, Quickshift
        follows intensities alone.
    network : bool
        Merge superpixels into larger clusters with a small network that learns on each slice;
        without it, each superpixel is a cluster.
    superpixel_mm2 : float
        SLIC: area of a superpixel in mm²; paper 4's code makes 700 in a crop of
        128 x 128 mm.
    compactness : float
        SLIC, for intensities of 0 to 100: larger values make rounder superpixels; 10 is the best
        in `benchmarks/superpixels.py`, paper 4's code uses 20.
    kernel_size : float
        Quickshift, for intensities of 0 to 1: width of the smoothing kernel in pixels; larger
        values make fewer superpixels.
    max_dist : float
        Quickshift, for intensities of 0 to 1: distance at which superpixels are cut apart; larger
        values make fewer superpixels.
    ratio : float
        Quickshift, in [0, 1]: weight of intensity against distance in the image.
    max_labels : int
        Cluster network: most clusters that it can tell apart (its output channels, q in paper 4).
    min_labels : int
        Cluster network: it stops learning when only this many clusters are left.
    width : int
        Cluster network: channels of its two hidden layers.
    iterations : int
        Cluster network: most learning steps on each slice.
    learning_rate : float
        Cluster network: learning rate, above 0.
    stride : int
        Cluster network: it works on every n-th pixel along rows and columns; 1 in paper 4.
    seed : int
        Cluster network: seed of its first weights; the same seed gives the same clusters.
    """

    superpixels: Superpixels = "slic"
    network: bool = True
    superpixel_mm2: float = 23.4
    compactness: float = 10.0
    kernel_size: float = 1.0
    max_dist: float = 4.0
    ratio: float = 1.0
    max_labels: int = 32
    min_labels: int = 4
    width: int = 32
    iterations: int = 64
    learning_rate: float = 0.05
    stride: int = 2
    seed: int = 43

    def __post_init__(self) -> None:
        _check_choice("superpixels", self.superpixels, SUPERPIXELS)
        for name in ("superpixel_mm2", "compactness", "kernel_size", "max_dist", "learning_rate"):
            _check(name, getattr(self, name), above=0.0)
        _check("ratio", self.ratio, least=0.0, most=1.0)
        for name in ("max_labels", "min_labels", "width", "iterations", "stride"):
            _check_count(name, getattr(self, name))
        if self.min_labels > self.max_labels:
            raise GliocamError(
                f"The network is to keep {self.min_labels} labels and has {self.max_labels}; "
                "choose a smaller number of labels to keep."
            )


@dataclass(frozen=True)
class FitParameters:
    """Parameters of the fit of a mask to clusters (paper 4, section 2.3).

    Parameters
    ----------
    min_inside : float
        Fraction of a cluster that must lie inside the mask for it to stay, in (0, 1]; 1 in
        the paper.
    classes : {"by cluster", "as they are"}
        Whether core and edema follow the clusters, too.
    """

    min_inside: float = 1.0
    classes: Classes = "by cluster"

    def __post_init__(self) -> None:
        _check("min_inside", self.min_inside, above=0.0, most=1.0)
        _check_choice("classes", self.classes, CLASSES)


@dataclass(frozen=True)
class Refinement:
    """What is done to a segmentation after the thresholds; written beside the result.

    Parameters
    ----------
    method : {"none", "adapt", "crf", "boundary-fit", "boundary-fit+crf"}
        The refinement.
    adapt : AdaptParameters
        Parameters of the adaptation to the patient.
    crf : CrfParameters
        Parameters of the dense CRF.
    clusters : ClusterParameters
        Parameters of superpixels and clusters.
    fit : FitParameters
        Parameters of BoundaryFit.
    components : ComponentParameters or None
        None: every part of the tumour stays, holes stay open.

    Notes
    -----
    The default is what the rule in ``benchmarks/refinement.py`` chose: the maps adapted to the
    patient, then components; that parts above 1 ml stay keeps second lesions.  BoundaryFit as in
    the paper lowered the mean Dice of every target and is there to compare.
    """

    method: Method = "adapt"
    adapt: AdaptParameters = field(default_factory=AdaptParameters)
    crf: CrfParameters = field(default_factory=CrfParameters)
    clusters: ClusterParameters = field(default_factory=ClusterParameters)
    fit: FitParameters = field(default_factory=FitParameters)
    components: ComponentParameters | None = field(default_factory=ComponentParameters)

    def __post_init__(self) -> None:
        _check_choice("refinement", self.method, METHODS)

    @classmethod
    def nothing(cls) -> Refinement:
        """Return the refinement that leaves the labels as the thresholds cut them."""
        return cls("none", components=None)

    @classmethod
    def of(cls, used: Mapping[str, Any] | None) -> Refinement:
        """Return the refinement that `used` described; nothing for None.

        Raises
        ------
        GliocamError
            It describes no refinement of this version.
        """
        if used is None:
            return cls.nothing()
        kinds = {
            "adapt": AdaptParameters,
            "crf": CrfParameters,
            "clusters": ClusterParameters,
            "fit": FitParameters,
            "components": ComponentParameters,
        }
        try:
            given = {name: dict(part) for name, part in used.items() if name in kinds}
            given.get("adapt", {}).pop("seed", None)  # of earlier versions, which drew voxels
            parts = {name: kinds[name](**part) for name, part in given.items()}
            return cls(used["method"], **{"components": None, **parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise GliocamError(
                f"The refinement {dict(used)} is none of this version; choose its parameters anew."
            ) from error

    @property
    def changes_something(self) -> bool:
        """Whether anything runs at all."""
        return self.method != "none" or self.components is not None

    @property
    def adapts(self) -> bool:
        """Whether the maps are adapted to the patient."""
        return self.method == "adapt"

    @property
    def fits(self) -> bool:
        """Whether BoundaryFit runs."""
        return self.method.startswith("boundary-fit")

    @property
    def smooths(self) -> bool:
        """Whether the dense CRF runs."""
        return self.method.endswith("crf")

    @property
    def used(self) -> dict[str, Any]:
        """What ran, with its parameters, for the json."""
        parts = asdict(self)
        kept = {"method", *["components"] * (self.components is not None)}
        kept |= {"adapt"} if self.adapts else set()
        kept |= {"crf"} if self.smooths else set()
        kept |= {"clusters", "fit"} if self.fits else set()
        return {name: part for name, part in parts.items() if name in kept}
