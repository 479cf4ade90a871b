"""What a user can set for each refinement; needs neither torch nor SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_gliocam.errors import GliocamError


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

    Notes
    -----
    The defaults are those of paper 2's released code, ``CRF_PRESETS`` has others.
    """

    gaussian_width: float = 3.0
    gaussian_weight: float = 3.0
    bilateral_width: float = 10.0
    intensity_width: float = 13.0
    bilateral_weight: float = 10.0
    iterations: int = 10

    def __post_init__(self) -> None:
        for name in ("gaussian_width", "bilateral_width", "intensity_width"):
            _check(name, getattr(self, name), above=0.0)
        for name in ("gaussian_weight", "bilateral_weight"):
            _check(name, getattr(self, name), least=0.0)
        if self.iterations != int(self.iterations) or not 1 <= self.iterations <= 1000:
            raise GliocamError(
                f"The number of iterations is {self.iterations:g}; choose 1 to 1000."
            )


#: Named sets of parameters: paper 2 as released; DeepLab (Chen et al. 2015) as SEC uses it.
CRF_PRESETS = {
    "paper 2": CrfParameters(),
    "DeepLab": CrfParameters(bilateral_width=80.0),
}
