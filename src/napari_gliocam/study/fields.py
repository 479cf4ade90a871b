"""A study as plain values: rows of methods, the table that is shown, what the paper published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from napari_gliocam.settings import EvaluationSettings, Networks
from napari_gliocam.targets import Target

#: What a figure is averaged over.
Over = Literal["slices", "patients", "pooled"]
#: How a figure is counted, see `napari_gliocam.study.figures`.
Scoring = Literal["present-slices", "all-slices", "volume", "foreground", "two-class"]
Metric = Literal["dice", "iou", "hd95_mm", "dsc", "miou", "pa"]

#: Rows that run no network, by the name of the baseline in `measure.evaluation.baselines`.
BASELINES = {"empty": "nothing", "brain": "all brain", "intensity": "intensity"}
#: The method that makes the labels as Segment saves them.
SEGMENT = "segment"


@dataclass(frozen=True, kw_only=True)
class MapsChoice:
    """The maps of a row; rows that differ in nothing else share them.

    Parameters
    ----------
    method : str
        "segment" for the labels that Segment makes; a method of `explain`, such as "gradcam";
        "empty", "brain" or "intensity" for a baseline without a network.
    bundle : str
        Name of the bundle among the study's.
    networks : {"bundle", "maps", "segmenter"}
        Only for "segment": what segments where the bundle has a segmentation network, see
        `napari_gliocam.settings.SegmentRequest`.
    layer : int
        Residual stage, or exit, that is explained.
    score : str
        Logit that is explained: "exit", "mean", or the number of an exit.
    normalise : {"", "slice", "volume", "none"}
        Range that is stretched to [0, 1]; as usual for the method where it is empty.
    gate : bool
        Whether slices on which the networks deny the class are empty.
    """

    method: str = SEGMENT
    bundle: str = "default"
    networks: Networks = "bundle"
    layer: int = 4
    score: str = "exit"
    normalise: Literal["", "slice", "volume", "none"] = ""
    gate: bool = True


@dataclass(frozen=True, kw_only=True)
class Member(MapsChoice):
    """Maps and the threshold that makes them a mask.

    Parameters
    ----------
    threshold : float or None
        A voxel counts where its map exceeds this, in [0, 1]; 0.5, or the bundle's thresholds for
        "segment", where it is left out.
    """

    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudyRow(Member):
    """A row of the table.

    Parameters
    ----------
    name : str
        Name of the row, which no other row of its group has.
    group : str
        Heading above the row, such as a modality.
    seed : str
        Folder of one seed of the bundle, such as "seed-1"; where it is empty and the bundle has
        several, the row runs with each of them.
    class_threshold : float or None
        Only for "segment": threshold of the class maps where it differs from ``threshold``, which
        is then that of the tumour map.
    exclusive : bool
        Whether a voxel that both classes claim goes to the higher map.
    refine : str
        Refinement of the labels: none, adapt, crf, boundary-fit, boundary-fit+crf.
    crf : str
        Preset of the dense CRF.
    components : bool
        Whether small parts are dropped and holes filled.
    rule : str
        Makes the row an ensemble of ``members``: union, intersection, smaller, larger or vote
        ("or", "and", "<", ">" as well).
    votes : int
        Members that must agree, for "vote".
    members : tuple of Member
        Members of the ensemble.
    published : mapping of target to mapping of metric to tuple of float
        Mean, and standard deviation where there is one, that the paper prints.
    """

    name: str
    group: str = ""
    seed: str = ""
    class_threshold: float | None = None
    exclusive: bool = True
    refine: str = "none"
    crf: str = ""
    components: bool = False
    rule: str = ""
    votes: int = 2
    members: tuple[Member, ...] = ()
    published: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)

    @property
    def of_all_seeds(self) -> str:
        """The row with its group, such as "FLAIR: GradCAM"."""
        return f"{self.group}: {self.name}" if self.group else self.name

    @property
    def title(self) -> str:
        """The row with its group and seed, such as "FLAIR: GradCAM, seed-1"."""
        return f"{self.of_all_seeds}, {self.seed}" if self.seed else self.of_all_seeds

    @property
    def choices(self) -> tuple[Member, ...]:
        """Maps that the row needs: its own, or those of its members."""
        return self.members or (self,)


@dataclass(frozen=True, kw_only=True)
class NamedBundle:
    """A bundle of weights that rows refer to by a name.

    Parameters
    ----------
    path : str
        Folder, relative to the file of the study, or the name of a bundle that ships; "default"
        for the default one; empty where it must be given with ``--bundle NAME=DIR``.
    recipe : str
        Recipe that trains such a bundle.
    modalities : tuple of str
        Modalities that it must look at, such as "t1ce"; any where none is named.
    """

    path: str = ""
    recipe: str = ""
    modalities: tuple[str, ...] = ()

    @property
    def training(self) -> str:
        """How it is trained, such as "recipe ame-cam, --modality t1"; empty for any recipe."""
        recipe = [f"recipe {self.recipe}"] if self.recipe else []
        return ", ".join([*recipe, *(f"--modality {m}" for m in self.modalities)])


@dataclass(frozen=True, kw_only=True)
class TableChoice:
    """The figures of the table; the csv and the page hold all others, too.

    Parameters
    ----------
    over : {"slices", "patients", "pooled"}
        What is averaged.
    scoring : {"present-slices", "all-slices", "volume", "foreground", "two-class"}
        How a figure is counted.
    metrics : tuple of str
        dice, iou, hd95_mm; dsc, miou, pa with the scoring "two-class".
    """

    over: Over = "patients"
    scoring: Scoring = "volume"
    metrics: tuple[str, ...] = ("dice", "iou", "hd95_mm")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of true and false positives and false negatives (paper 1, Fig. 2).

    Parameters
    ----------
    cases : tuple of str
        Names of cases.
    count : int
        Where no case is named: the first so many of the cohort.
    """

    cases: tuple[str, ...] = ()
    count: int = 2

    def chosen(self, names: list[str]) -> list[str]:
        """Return the cases that get pictures, of all names in order."""
        return [n for n in names if n in self.cases] if self.cases else names[: self.count]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison over a cohort; read one with `napari_gliocam.study.toml_file.read_study`.

    Parameters
    ----------
    name : str
        Name of the study.
    title : str
        A line for a reader.
    differs : tuple of str
        Sentences about the differences from the paper.
    targets : tuple of Target
        Classes that are scored.  "tumour" alone takes the tumour's maps; with core or edema the
        maps are theirs, and tumour is their union.
    crop : {"", "brats"}
        Part of the volume that is scored: all of it, or the 128³ voxels that papers 4 and 5 cut
        out of the 240 × 240 × 155 of BraTS.
    tests : str
        Row that each row is compared with by paired tests: a row's title, "previous" for the one
        above, or empty for no tests.
    table : TableChoice
        Figures of the table.
    evaluation : EvaluationSettings
        How figures are computed.
    pictures : Pictures
        Cases that get pictures.
    bundles : mapping of str to NamedBundle
        Bundles by the name that rows use.
    rows : tuple of StudyRow
        Rows in order.
    """

    name: str
    title: str = ""
    differs: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ("core", "edema")
    crop: Literal["", "brats"] = ""
    tests: str = ""
    table: TableChoice = TableChoice()
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    pictures: Pictures = Pictures()
    bundles: Mapping[str, NamedBundle] = field(default_factory=dict)
    rows: tuple[StudyRow, ...] = ()
