"""Who claims what by one method, at any threshold: two class maps and what cuts them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.class_maps import ROWS, ClassMaps, Row
from napari_gliocam.measure.classes.class_overlap import (
    MethodOverlap,
    claims,
    claims_of,
    method_overlap,
)
from napari_gliocam.settings import Thresholds
from napari_gliocam.ui.model.painted_labels import EVERYWHERE

#: What the rows of a bundle's own maps are called beside other methods.
OWN: dict[Row, str] = {
    row: {"aggregate": "Result's maps", "guided": "Average, guided"}.get(row, row.capitalize())
    for row in reversed(ROWS)
}


@dataclass(frozen=True, eq=False)
class ClassClaims:
    """A method that has a map of core and one of edema.

    Parameters
    ----------
    title : str
    core, edema : ndarray of float32, shape (S, P, L)
        In [0, 1].
    maps : ClassMaps or None
        Whose tumour map and gate apply; None: the maps are cut as they are.
    """

    title: str
    core: NDArray[np.float32]
    edema: NDArray[np.float32]
    maps: ClassMaps | None = None

    @classmethod
    def own(cls, maps: ClassMaps, row: Row) -> ClassClaims:
        """One row of a bundle's own maps, enlarged here once."""
        core, edema = (maps.volume(row, target) for target in ("core", "edema"))  # type: ignore[arg-type]
        return cls(OWN[row], core, edema, replace(maps, core=core, edema=edema))

    def cut(
        self,
        settings: Thresholds,
        threshold: float,
        out: NDArray[np.uint8],
        part: tuple[slice, ...] = EVERYWHERE,
    ) -> None:
        """Write 1 core only, 2 edema only, 3 both into a part of ``out``."""
        if self.maps is None:
            claims(self.core[part], self.edema[part], threshold, out=out[part])
        else:
            claims_of(
                self.maps,
                settings=replace(settings, class_threshold=threshold),
                where=part,
                out=out,
            )

    def overlap(self, settings: Thresholds, threshold: float, like: ClassMaps) -> MethodOverlap:
        """The row of the table."""
        labels = np.zeros(self.core.shape, dtype=np.uint8)
        self.cut(settings, threshold, labels)
        return method_overlap(self.title, labels, like.grid)


def own_rows(maps: ClassMaps) -> list[Row]:
    """Rows of which both classes are there, the aggregate first."""
    return [row for row in OWN if maps.has(row, "core") and maps.has(row, "edema")]
