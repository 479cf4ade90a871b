"""Every choice of the training of a segmentation network as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.train.recipe.augment import Augment
from napari_gliocam.train.recipe.common import AnyData, AnyRecipe, Fit, number
from napari_gliocam.train.recipe.toml_file import read_settings


@dataclass(frozen=True, kw_only=True)
class MaskData(AnyData):
    """The choice of slices to learn from.

    Parameters
    ----------
    validation
        As in `AnyData`.
    healthy : float
        Part of the slices without tumour that is learned from, by seed.
    phantoms : int
        Synthetic cases to learn from besides; they are drawn with their masks.
    min_pixels : int
        Smallest number of pixels at which a mask shows a class, where there are no slice labels.
    agreement : float
        Least Dice of first and second masks, core and edema together, of a slice that is learned
        from or judged with: masks whose methods disagree are no teacher; 0 takes all.
    """

    healthy: float = number(1.0, 0.0, 1.0)
    phantoms: int = number(0, 0)
    min_pixels: int = number(4, 1)
    agreement: float = number(0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MaskLoss:
    """The weighted terms of the loss.

    With second masks, the cross-entropy looks at them (paper 3), and the terms "overlap" and
    "pixels" at the mean of both masks.

    Parameters
    ----------
    seed : float
        Weight of the seed loss on the first masks (paper 3, Eq. 8, in the form of SEC).
    cross_entropy : float
        Weight of the cross-entropy on the second masks (paper 3, Eq. 9); on the first ones where
        there are no others.
    overlap : float
        Weight of the soft Dice loss.
    pixels : float
        Weight of the cross-entropy with soft masks.
    images : float
        Weight of the cross-entropy of each slice's surest pixels with the slice labels.
    band_px : int
        Pixels on either side of a mask's border that are no seeds.
    disagreement : float
        Weight of a pixel that only one of two masks has, in the terms "overlap" and "pixels".
    """

    seed: float = number(0.0, 0.0)
    cross_entropy: float = number(0.0, 0.0)
    overlap: float = number(1.0, 0.0)
    pixels: float = number(1.0, 0.0)
    images: float = number(0.0, 0.0)
    band_px: int = number(0, 0, 16)
    disagreement: float = number(1.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if not any((self.seed, self.cross_entropy, self.overlap, self.pixels)):
            raise ValueError("no term of the loss: give one of them a weight above 0")


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe(AnyRecipe):
    """The training of a segmentation network.

    Parameters
    ----------
    name, seed, start
        As in `AnyRecipe`; the bundle's segmentation network must be of the same design.
    data : MaskData
        Choice of slices.
    network : SegmenterDesign
        Design of the network.
    loss : MaskLoss
        Terms of the loss.
    augment : Augment
        Changes of slices and masks.
    fit : Fit
        Optimisation.
    """

    data: MaskData = MaskData()
    network: SegmenterDesign = field(default_factory=SegmenterDesign)
    loss: MaskLoss = MaskLoss()
    augment: Augment = field(default_factory=Augment)
    fit: Fit = field(default_factory=Fit)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fit.monitor != "val_loss":
            raise ValueError(
                'fit.monitor is "val_auc", which a mask does not have: choose "val_loss"'
            )
        if self.augment.without_enhancement:
            raise ValueError(
                "augment.without_enhancement needs the soft maps of a recipe with rounds: "
                "set it to 0"
            )

    def fits(self) -> dict[str, Fit]:
        """Return the `Fit` of the only stage by its name."""
        return {SEGMENTER: self.fit}

    def with_fits(self, change: Callable[[str, Fit], Fit]) -> SegmenterRecipe:
        """Return the recipe with other settings of its stage."""
        return replace(self, fit=change(SEGMENTER, self.fit))


#: Name of the only stage.
SEGMENTER = "segmenter"
#: The recipes that ship: ours, and those of papers 3 and 4.
SEGMENTER_RECIPES = ("small-unet", "mixed-unet", "refit")


def read_segmenter_recipe(source: str | Path = "small-unet") -> SegmenterRecipe:
    """Read a recipe that ships, or a file that may name one of them as its base.

    Parameters
    ----------
    source : str or Path
        A name in `SEGMENTER_RECIPES`, or the path of a TOML file.

    Returns
    -------
    SegmenterRecipe

    Raises
    ------
    TrainingError
        One sentence with the file and the key.
    """
    return read_settings(SegmenterRecipe, source, SEGMENTER_RECIPES)
