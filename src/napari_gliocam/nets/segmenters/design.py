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
    tumour_share, class_share : float
        Weights of the segmentation network beside the maps, in log-odds, in [0, 1]: in the tumour,
        and in its division into core and edema.  1: the maps take no part; 0: the network takes
        none, which holds for one of them at most.
    """

    architecture: Architecture = "small-unet"
    neighbours: int = 0
    neighbour_mm: float = 2.0
    mirror: bool = False
    tumour_share: float = 1.0
    class_share: float = 1.0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f'architecture is "{self.architecture}"; choose one of {", ".join(ARCHITECTURES)}'
            )
        if not 0 <= self.neighbours <= 3:
            raise ValueError(f"neighbours is {self.neighbours}; choose 0 to 3")
        if not 0.5 <= self.neighbour_mm <= 10:
            raise ValueError(f"neighbour_mm is {self.neighbour_mm:g}; choose 0.5 to 10")
        for name in ("tumour_share", "class_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; choose a number in [0, 1]")
        if self.tumour_share == self.class_share == 0:
            raise ValueError("tumour_share and class_share are both 0; give one a weight above 0")

    @property
    def alone(self) -> bool:
        """True if the maps take no part."""
        return self.tumour_share == self.class_share == 1

    @property
    def offsets_mm(self) -> list[float]:
        """Distances of the slices that the network sees from the slice itself, in mm."""
        return [k * self.neighbour_mm for k in range(-self.neighbours, self.neighbours + 1)]

    def channels(self, modalities: int) -> int:
        """Return the input channels of the network for a number of modalities."""
        return modalities * (2 * self.neighbours + 1)
