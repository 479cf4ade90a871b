"""How the networks of a bundle are built: plain values, without torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal, get_args

Norm = Literal["batch", "instance-affine", "instance"]
Pooling = Literal["lse", "gap"]
MapRange = Literal["sigmoid", "min-max", "raw"]
Attention = Literal["joint", "shared", "conv3d"]
Guidance = Literal["geometric", "product"]
FinalMap = Literal["aggregate", "mean"]

_CHOICES = {
    "norm": Norm,
    "pooling": Pooling,
    "map_range": MapRange,
    "attention": Attention,
    "guidance": Guidance,
    "final_map": FinalMap,
}

DEFAULT_STRIDES = (2, 4, 8, 8)

#: The attention network sees images and maps at this fraction of the network grid: at full
#: resolution it would cost more than the backbone.
ATTENTION_STRIDE = 2


@dataclass(frozen=True, kw_only=True)
class Design:
    """Every choice about the networks that a bundle must know to run them.

    Parameters
    ----------
    width : int
        Channels of the first stage.
    strides : 4 int
        Of the exits, see `napari_gliocam.nets.multi_exit.MultiExitResNet`.
    norm : {"batch", "instance-affine", "instance"}
        Normalisation in the backbones.
    pooling : {"lse", "gap"}
        From a map to the image-level logit.
    map_range : {"sigmoid", "min-max", "raw"}
        How exit maps enter the aggregation: squashed; scaled to [0, 1] per slice over the
        brain (n(.) of paper 2, Eq. 2); or as they are (the papers' code, where ``1 - M`` is no
        complement).  What a user gets is in [0, 1] with each.
    attention : {"joint", "shared", "conv3d"}
        One 2-D network over all classes; one whose weights the classes share; or the papers'
        code's 3-D convolutions with the classes as depth, whose result depends on their order.
    guidance : {"geometric", "product"}
        Form of Eq. 3 of paper 1, see `napari_gliocam.nets.aggregator.guide`.
    sharing : bool
        Whether the class maps share out the tumour map, see `napari_gliocam.nets.aggregator.share`.
    final_map : {"aggregate", "mean"}
        The tumour map is the aggregate (paper 1), or the mean of it and the four exits (paper 2).
    """

    width: int = 32
    strides: tuple[int, ...] = DEFAULT_STRIDES
    norm: Norm = "batch"
    pooling: Pooling = "lse"
    map_range: MapRange = "sigmoid"
    attention: Attention = "joint"
    guidance: Guidance = "geometric"
    sharing: bool = True
    final_map: FinalMap = "aggregate"

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f'{name} is "{getattr(self, name)}"; choose one of {", ".join(get_args(kind))}'
                )
        steps = [b / a for a, b in pairwise(self.strides)]
        if (
            len(self.strides) != 4
            or self.strides[0] not in (1, 2, 4)
            or any(s not in (1, 2) for s in steps)
        ):
            raise ValueError(
                f"strides {list(self.strides)}: give four, the first 1, 2 or 4, each further one "
                "the same or twice as large"
            )
        if self.map_range == "raw" and self.guidance != "product":
            raise ValueError(
                f'guidance "{self.guidance}" with map_range "raw": a root needs maps in [0, 1]; '
                'choose "product"'
            )

    @property
    def design(self) -> Design:
        """These choices alone, where a subclass holds more."""
        return Design(**{f.name: getattr(self, f.name) for f in fields(Design)})
