"""Settings of a segmentation; window and commands fill the same dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypedDict, get_args

from napari_gliocam.errors import GliocamError
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.wording import no_such

#: How two sets of directed distances become one HD95.
HD95 = Literal["pooled", "max-directed"]

#: Devices that networks can run on; auto: the fastest there is.
DeviceName = Literal["auto", "cpu", "cuda", "mps"]

#: Networks of a bundle that segment, see `SegmentRequest`.
Networks = Literal["bundle", "maps", "segmenter"]

#: HD95 in mm that much code for BraTS gives where one mask is empty: the diagonal of its volume,
#: ``sqrt(240² + 240² + 155²)``; papers 1 and 2 use it for single slices, too.
BRATS_DISTANCE = 373.12866

#: Smaller parts of a tumour are no lesions of their own, in ml: a ball of 5.8 mm.
MIN_LESION_ML = 0.1


@dataclass(frozen=True)
class Thresholds:
    """Choices that turn maps into labels; no network runs again when they change.

    Parameters
    ----------
    tumour_threshold : float
        A voxel is tumour where the tumour map exceeds this, in [0, 1] (paper 1, section 3: 0.40).
    class_threshold : float
        A tumour voxel is core or edema where that class map exceeds this, in [0, 1] (paper 1,
        section 3: 0.50).
    exclusive : bool
        Give a voxel that both classes claim to the one with the higher map; else keep it as
        claimed by both, label 3.
    gate : bool
        Find a class only on slices where its image-level probability is high enough.
    gate_probability : float
        Least probability for that, in [0, 1].
    """

    tumour_threshold: float = 0.40
    class_threshold: float = 0.50
    exclusive: bool = True
    gate: bool = True
    gate_probability: float = 0.50

    def __post_init__(self) -> None:
        for name in ("tumour_threshold", "class_threshold", "gate_probability"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                title = name.replace("_", " ")
                raise GliocamError(f"The {title} is {value:g}; choose a value between 0 and 1.")

    def cut_like(self, other: Thresholds) -> Thresholds:
        """Return these choices with the thresholds of others, that of the gate among them."""
        return replace(
            self,
            tumour_threshold=other.tumour_threshold,
            class_threshold=other.class_threshold,
            gate_probability=other.gate_probability,
        )


@dataclass(frozen=True)
class SegmentRequest:
    """Settings with which cases are segmented.

    Parameters
    ----------
    bundle : Path or None
        Use the weights in this folder instead of the ones that ship.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the networks run.
    thresholds : Thresholds or None
        None: the bundle's own.
    refinement : Refinement
        What is done to the labels after the thresholds.
    networks : {"bundle", "maps", "segmenter"}
        Networks that segment where a bundle has a segmentation network: as the bundle was made,
        those of the maps, or that network alone.
    """

    bundle: Path | None = None
    device: str = "auto"
    thresholds: Thresholds | None = None
    refinement: Refinement = field(default_factory=Refinement)
    networks: Networks = "bundle"

    def __post_init__(self) -> None:
        if self.networks not in get_args(Networks):
            known = ", ".join(get_args(Networks))
            raise GliocamError(f'There are no networks "{self.networks}"; choose one of {known}.')

    @property
    def options(self) -> SegmentOptions:
        """The settings that `napari_gliocam.segmentation.segmenting` takes beside the bundle."""
        return {
            "device": self.device,
            "thresholds": self.thresholds,
            "refinement": self.refinement,
        }


class SegmentOptions(TypedDict):
    """Some settings of a `SegmentRequest`, as parameters."""

    device: str
    thresholds: Thresholds | None
    refinement: Refinement


@dataclass(frozen=True)
class EvaluationSettings:
    """Choices that change what the figures mean; written beside them.

    Parameters
    ----------
    hd95 : {"pooled", "max-directed"}
        95th percentile of both directed sets of surface distances together, or the larger of the
        two percentiles.
    max_distance : float or None
        HD95 in mm where only one of two masks is empty; None, the default: the diagonal of the
        slice or volume.
    min_pixels : int
        Fewest pixels, by the expert, for a slice to show a class (paper 2: 577); slices with
        fewer, but some, are left out of the image-level figures.
    probability : float
        A slice is called positive at this image-level probability or above, in [0, 1].
    """

    hd95: HD95 = "pooled"
    max_distance: float | None = field(
        default=None, metadata={"words": {"diagonal": None, "brats": BRATS_DISTANCE}}
    )
    min_pixels: int = 1
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.hd95 not in get_args(HD95):
            raise GliocamError(no_such(self.hd95, get_args(HD95), "HD95"))
        if self.max_distance is not None and not 0 < self.max_distance < float("inf"):
            raise GliocamError(
                f"The largest distance is {self.max_distance:g} mm; choose a number above 0."
            )
        if self.min_pixels < 1:
            raise GliocamError(f"The fewest pixels are {self.min_pixels}; choose 1 or more.")
        if not 0 <= self.probability <= 1:
            raise GliocamError(
                f"The probability is {self.probability:g}; choose a value between 0 and 1."
            )


def field_docs(kind: type) -> dict[str, str]:
    """Return what the numpy docstring of a class says of each parameter, on one line each.

    By the name of the field; help texts of commands and tooltips of forms are these texts.
    """
    from docstring_parser import DocstringStyle, parse

    parsed = parse(kind.__doc__ or "", DocstringStyle.NUMPYDOC)
    return {
        name.strip(): " ".join((parameter.description or "").split())
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")
    }
