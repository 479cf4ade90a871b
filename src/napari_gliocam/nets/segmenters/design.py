"""Design and use of a segmentation network: plain values, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Architecture = Literal["small-unet", "mixed-unet", "unet", "fcn", "deeplabv3"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

#: The sides of a slice must be multiples of this: four halvings of the U-Nets, five of VGG-16.
SIDE_MULTIPLE = 32


@dataclass(frozen=True, kw_only=True)
class SegmenterDesign:
    """Every choice about a segmentation network that a bundle must know to run it.

    Parameters
    ----------
    architecture : {"small-unet", "mixed-unet", "unet", "fcn", "deeplabv3"}
        Network: a U-Net that starts with 16 channels, Mixed-UNet (paper 3), or the three networks
        that paper 3 compares it with.
    neighbours : int
        Slices on either side that the network sees besides, as further channels, 0 to 3.
    neighbour_mm : float
        Distance between those slices in mm, 0.5 to 10; the same in cases of any slice spacing.
    mirror : bool
        Whether the mean of a slice and its mirror image is taken.
    share : float
        Weight of the segmentation network beside the maps, in log-odds, in (0, 1]; 1: the maps
        take no part.
    """

    architecture: Architecture = "small-unet"
    neighbours: int = 0
    neighbour_mm: float = 2.0
    mirror: bool = False
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f'architecture is "{self.architecture}"; choose one of {", ".join(ARCHITECTURES)}'
            )
        if not 0 <= self.neighbours <= 3:
            raise ValueError(f"neighbours is {self.neighbours}; choose 0 to 3")
        if not 0.5 <= self.neighbour_mm <= 10:
            raise ValueError(f"neighbour_mm is {self.neighbour_mm:g}; choose 0.5 to 10")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share:g}; choose a number above 0, at most 1")

    @property
    def offsets_mm(self) -> list[float]:
        """Distances of the slices that the network sees from the slice itself, in mm."""
        return [k * self.neighbour_mm for k in range(-self.neighbours, self.neighbours + 1)]

    def channels(self, modalities: int) -> int:
        """Return the input channels of the network for a number of modalities."""
        return modalities * (2 * self.neighbours + 1)
