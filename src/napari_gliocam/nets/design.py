"""Design of the networks of a bundle: plain values, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal, get_args

from napari_gliocam.targets import TARGETS, TUMOUR_ALONE, Target

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "vgg19"]
Norm = Literal["batch", "instance-affine", "instance", "none"]
Pooling = Literal["lse", "gap"]
MapRange = Literal["sigmoid", "min-max", "raw"]
Attention = Literal["joint", "shared", "conv3d"]
Guidance = Literal["geometric", "product"]
FinalMap = Literal["aggregate", "mean"]

_CHOICES = {
    "backbone": Backbone,
    "norm": Norm,
    "pooling": Pooling,
    "map_range": MapRange,
    "attention": Attention,
    "guidance": Guidance,
    "final_map": FinalMap,
}

#: Stages of a backbone, each of which may have an exit.
ALL_EXITS = (1, 2, 3, 4)
#: The exits whose mean is the image-level logit by default.
IMAGE_EXITS = (2, 3, 4)
#: Strides of VGG-19, whose pooling layers cannot be left out.
VGG_STRIDES = (2, 4, 8, 16)
DEFAULT_STRIDES = (2, 4, 8, 8)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Every choice about the networks that a bundle must know to run them.

    Parameters
    ----------
    targets : tuple of Target
        Tumour, core and edema; or the tumour alone (papers 2 to 5), without a class network.
    backbone : {"resnet18", "resnet34", "resnet50", "resnet101", "vgg19"}
        Backbone of every network.
    exits : tuple of int
        Stages with an exit, of 1 to 4.  One without answers with the map of the next that has one,
        or else of the last, so a single exit at stage 4 is a plain classifier.
    image_exits : tuple of int
        Exits whose mean is the image-level logit; of paper 1's code the last alone.
    width : int
        Channels of the first stage.
    strides : 4 int
        Of the exits, see `napari_gliocam.nets.multi_exit.MultiExitNet`.
    norm : {"batch", "instance-affine", "instance", "none"}
        Normalisation in the backbones.
    pooling : {"lse", "gap"}
        From a map to the image-level logit.
    map_range : {"sigmoid", "min-max", "raw"}
        How exit maps enter the aggregation: squashed; scaled to [0, 1] per slice over the
        brain (n(.) of paper 2, Eq. 2); or as they are (the papers' code, where ``1 - M`` is no
        complement).  What a user gets is in [0, 1] with each.
    attention_stride : int
        Pixels of the slice a pixel of the attention, 1 or 2: at full resolution (the papers) it
        costs more than the backbone.
    attention : {"joint", "shared", "conv3d"}
        One 2-D network over all classes; one whose weights the classes share; or the papers'
        code's 3-D convolutions with the classes as depth, whose result depends on their order.
    guidance : {"geometric", "product"}
        Form of Eq. 3 of paper 1, see `napari_gliocam.nets.aggregator.guide`.
    sharing : bool
        Whether the class maps share out the tumour map, see `napari_gliocam.nets.aggregator.share`.
    times_tumour : bool
        Whether the class maps are multiplied by the tumour map at the end (the code of paper 1).
    final_map : {"aggregate", "mean"}
        The tumour map is the aggregate (paper 1), or the mean of it and the four exits (paper 2).
    """

    targets: tuple[Target, ...] = TARGETS
    backbone: Backbone = "resnet18"
    exits: tuple[int, ...] = ALL_EXITS
    image_exits: tuple[int, ...] = IMAGE_EXITS
    width: int = 32
    strides: tuple[int, ...] = DEFAULT_STRIDES
    norm: Norm = "batch"
    pooling: Pooling = "lse"
    map_range: MapRange = "sigmoid"
    attention_stride: int = 2
    attention: Attention = "joint"
    guidance: Guidance = "geometric"
    sharing: bool = True
    times_tumour: bool = False
    final_map: FinalMap = "aggregate"

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f'{name} is "{getattr(self, name)}"; choose one of {", ".join(get_args(kind))}'
                )
        if tuple(self.targets) not in (TARGETS, TUMOUR_ALONE):
            raise ValueError(
                f"targets {list(self.targets)}: give {list(TARGETS)} or {list(TUMOUR_ALONE)}"
            )
        for name in ("exits", "image_exits"):
            chosen = getattr(self, name)
            if not chosen or list(chosen) != sorted({*chosen} & {*ALL_EXITS}):
                raise ValueError(f"{name} {list(chosen)}: give some of 1, 2, 3, 4, in order")
        if self.backbone == "vgg19" and tuple(self.strides) != VGG_STRIDES:
            raise ValueError(
                f"strides {list(self.strides)}: VGG-19 has {', '.join(map(str, VGG_STRIDES))}"
            )
        grow = all(b in (a, 2 * a) for a, b in pairwise(self.strides))
        if len(self.strides) != 4 or self.strides[0] not in (1, 2, 4) or not grow:
            raise ValueError(
                f"strides {list(self.strides)}: give four, the first 1, 2 or 4, each further one "
                "the same or twice as large"
            )
        if self.attention_stride not in (1, 2):
            raise ValueError(f"attention_stride {self.attention_stride}: choose 1 or 2")
        if self.map_range == "raw" and self.guidance != "product":
            raise ValueError(
                f'guidance "{self.guidance}" with map_range "raw": a root needs maps in [0, 1]; '
                'choose "product"'
            )

    @property
    def exit_strides(self) -> tuple[int, ...]:
        """Strides of the maps that the four stages answer with."""
        return tuple(self.strides[nearest_exit(n, self.exits) - 1] for n in ALL_EXITS)

    @property
    def design(self) -> Design:
        """These choices alone, where a subclass holds more."""
        return Design(**{f.name: getattr(self, f.name) for f in fields(Design)})


def nearest_exit(number: int, exits: Sequence[int]) -> int:
    """Return the exit that answers for a stage: its own, the next that there is, or the last.

    Parameters
    ----------
    number : int
        The stage, from 1.
    exits : sequence of int
        Stages with an exit, in order.
    """
    return next((exit_ for exit_ in exits if exit_ >= number), exits[-1])
