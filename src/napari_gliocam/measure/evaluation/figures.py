"""Names, units and digits of the measures of a lesion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_gliocam.measure.lesion.measures import LesionMeasures
from napari_gliocam.wording import figure


@dataclass(frozen=True)
class MeasuredFigure:
    """One column of a table.

    Parameters
    ----------
    key : str
        In csv and json, with its unit.
    title : str
        What a user reads.
    unit : str
        Empty for a number without one.
    digits : int
        Decimals that are shown.
    measured : callable
        Takes it from a `LesionMeasures`.
    """

    key: str
    title: str
    unit: str
    digits: int
    measured: Callable[[LesionMeasures], float | None]

    def is_of(self, lesion: LesionMeasures) -> bool:
        """Return True but for figures of core and edema where the tumour is not divided."""
        return lesion.divided or self.key.startswith("tumour")

    def of(self, lesion: LesionMeasures) -> float | None:
        """Return the number; None where there is none."""
        return self.measured(lesion) if self.is_of(lesion) else None

    def text(self, lesion: LesionMeasures) -> str:
        """Return the number with its unit, such as "12.3 ml"."""
        return figure(self.of(lesion), self.digits, unit=self.unit)


FIGURES: tuple[MeasuredFigure, ...] = (
    MeasuredFigure("tumour_ml", "Tumour", "ml", 2, lambda m: m.tumour.ml),
    MeasuredFigure("core_ml", "Core", "ml", 2, lambda m: m.core.ml),
    MeasuredFigure("edema_ml", "Edema", "ml", 2, lambda m: m.edema_ml),
    MeasuredFigure(
        "tumour_long_mm", "Tumour, long diameter", "mm", 1, lambda m: m.tumour.diameters.long_mm
    ),
    MeasuredFigure(
        "tumour_perpendicular_mm",
        "Tumour, perpendicular",
        "mm",
        1,
        lambda m: m.tumour.diameters.perpendicular_mm,
    ),
    MeasuredFigure(
        "tumour_product_mm2",
        "Tumour, product",
        "mm²",
        0,
        lambda m: m.tumour.diameters.product_mm2,
    ),
    MeasuredFigure(
        "core_long_mm", "Core, long diameter", "mm", 1, lambda m: m.core.diameters.long_mm
    ),
    MeasuredFigure(
        "core_perpendicular_mm",
        "Core, perpendicular",
        "mm",
        1,
        lambda m: m.core.diameters.perpendicular_mm,
    ),
    MeasuredFigure(
        "core_product_mm2", "Core, product", "mm²", 0, lambda m: m.core.diameters.product_mm2
    ),
    MeasuredFigure(
        "core_depth_mm", "Core to the brain's surface", "mm", 1, lambda m: m.core_depth_mm
    ),
    MeasuredFigure("tumour_sphericity", "Tumour, sphericity", "", 2, lambda m: m.tumour.sphericity),
    MeasuredFigure("core_sphericity", "Core, sphericity", "", 2, lambda m: m.core.sphericity),
)
