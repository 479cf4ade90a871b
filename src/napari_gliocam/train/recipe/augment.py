"""The strength of every random change of a slice during training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from napari_gliocam.train.recipe.common import number


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of slices, and of the masks or soft maps that belong to them, during training.

    No image-level label is derived again.

    Parameters
    ----------
    mirror : float
        Probability that left and right change places.
    quarter_turns : float
        Probability of a turn by 90, 180 or 270 degrees, as in paper 3.
    rotate_deg : float
        Largest further rotation either way, in degrees.
    shift_px : float
        Largest shift along each axis, in pixels; by whole pixels where nothing else moves them.
    crop : float
        Smallest part of the area that a random crop keeps (it is enlarged to the slice);
        1 crops nothing.  Small crops may cut the lesion off.
    scale : float
        Largest change of size either way, as a natural logarithm; 0.14 is 15 %.
    bend : float
        Standard deviation of a smooth deformation, as part of the slice.
    gain, offset : float
        Standard deviation of the logarithm of a factor, and of an addend, for each modality.
    curve : float
        Standard deviation of a quadratic term in the intensities of each modality, which bends
        contrast as a gamma curve does.
    bias_field : float
        Largest standard deviation of a smooth field that is added to each modality.
    blur : float
        Largest part of a mean over 3 x 3 pixels that is blended in, on a fifth of the slices.
    noise : float
        Standard deviation of the noise of each pixel.
    without_enhancement : float
        Probability that T1ce inside the tumour of a real slice is drawn to the level of its edema,
        so that the core no longer enhances; where soft maps say what the tumour is.
    drop_modality : float
        Probability that T1ce, and that T2, is left out, so that the networks learn to run
        without it.
    drop_neighbours : float
        Probability that a slice stands in for its neighbours, where a network sees them.
    """

    mirror: float = number(0.5, 0.0, 1.0)
    quarter_turns: float = number(0.0, 0.0, 1.0)
    rotate_deg: float = number(0.0, 0.0, 180.0)
    shift_px: float = number(4.0, 0.0)
    crop: float = number(1.0, 0.01, 1.0)
    scale: float = number(0.0, 0.0, 1.0)
    bend: float = number(0.0, 0.0, 0.1)
    gain: float = number(0.12, 0.0)
    offset: float = number(0.12, 0.0)
    curve: float = number(0.0, 0.0)
    bias_field: float = number(0.0, 0.0)
    blur: float = number(0.0, 0.0, 1.0)
    noise: float = number(0.05, 0.0)
    without_enhancement: float = number(0.0, 0.0, 1.0)
    drop_modality: float = number(0.0, 0.0, 0.5)
    drop_neighbours: float = number(0.0, 0.0, 1.0)

    @classmethod
    def nothing(cls) -> Augment:
        """Return the augmentation that changes nothing."""
        return cls(mirror=0.0, shift_px=0.0, gain=0.0, offset=0.0, noise=0.0)

    @property
    def resamples(self) -> bool:
        """True if pixels are interpolated, not only moved by whole pixels or mirrored."""
        return self.rotate_deg > 0 or self.crop < 1 or self.scale > 0 or self.bend > 0

    @property
    def moves(self) -> bool:
        """True if pixels change their place."""
        return self.resamples or self.mirror > 0 or self.quarter_turns > 0 or self.shift_px > 0

    def scaled(self, factor: float) -> Augment:
        """Return the same changes, stronger or weaker.

        Parameters
        ----------
        factor : float
            Factor on all but probabilities, shift and crop.
        """
        names = ("rotate_deg", "scale", "bend", "gain", "offset", "curve", "bias_field", "noise")
        scaled: dict[str, Any] = {name: factor * getattr(self, name) for name in names}
        return replace(self, **scaled, blur=min(1.0, factor * self.blur))
