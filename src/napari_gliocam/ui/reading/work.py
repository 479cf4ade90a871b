"""Work of the Reading dock that runs on other threads."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, ExpertLabels
from napari_gliocam.errors import CaseError
from napari_gliocam.maps.class_maps import CLASS_ROWS, ClassMaps, Row
from napari_gliocam.measure.classes.class_overlap import MethodOverlap, claims_of, method_overlap
from napari_gliocam.measure.lesion.depth import brain_depth
from napari_gliocam.measure.lesion.enhancing import EnhancingCore, enhancing_core
from napari_gliocam.measure.lesion.measures import Measures, measure_labels
from napari_gliocam.measure.lesion.slice_areas import SliceAreas, slice_areas
from napari_gliocam.measure.scores.confusion import LabelComparison, compare_labels
from napari_gliocam.progress import Progress
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TUMOUR_ALONE, Target, parts_of
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.jobs.work import Ready

if TYPE_CHECKING:
    from napari_gliocam.trust.sequences import CaseSequences

_CLASSES: tuple[Target, ...] = ("core", "edema")
#: The rows of a bundle's own maps, as they are called beside other methods.
OWN: dict[Row, str] = {
    row: {"aggregate": "Result's maps", "guided": "Average, guided"}.get(row, row.capitalize())
    for row in reversed(CLASS_ROWS)
}


@dataclass(frozen=True, eq=False)
class Measured:
    """The figures of a result.

    Parameters
    ----------
    result : Segmentation
        The result that was measured.
    measures : Measures
        Volumes, lesions and diameters.
    areas : SliceAreas
        Of the labels.
    overlap : ndarray of float64, shape (S,)
        mm² that both classes claim by the maps of the result.
    enhancing : EnhancingCore, str or None
        The core divided by intensity, where that was asked for; a sentence where it cannot be told.
    """

    result: Segmentation
    measures: Measures
    areas: SliceAreas
    overlap: NDArray[np.float64]
    enhancing: EnhancingCore | str | None = None


def measuring(
    result: Segmentation, depth: NDArray[np.float32] | None, divided: Case | None = None
) -> Generator[Progress, None, Measured]:
    """Measure a result.

    Parameters
    ----------
    result : Segmentation
        The result to measure.
    depth : ndarray of float32 or None
        Depth of every voxel below the brain's surface, in mm.
    divided : Case, optional
        The case of the result, where the enhancing part of its core is asked for.
    """
    measures = measure_labels(result.labels, result.grid, depth=depth, targets=result.maps.targets)
    yield Progress(1, 2, "measuring")
    areas = slice_areas(result.labels, result.grid)
    overlap = areas.both
    if result.maps.targets != TUMOUR_ALONE:
        overlap = slice_areas(claims_of(result.maps, settings=result.settings), result.grid).both
    enhancing: EnhancingCore | str | None = None
    if divided is not None:
        yield Progress(1, 2, "measuring what enhances")
        try:
            enhancing = enhancing_core(divided, result.labels)
        except CaseError as error:
            enhancing = str(error)
    return Measured(result, measures, areas, overlap, enhancing)


def depth_of(case: Case) -> NDArray[np.float32] | None:
    """Return the depth of every voxel below the brain's surface."""
    return brain_depth(case.brain, case.grid.spacing)


def own_rows(maps: ClassMaps) -> list[Row]:
    """Return the rows of a bundle's own maps that have both classes, the aggregate first."""
    return [row for row in OWN if maps.has(row, "core") and maps.has(row, "edema")]


def overlapping(
    maps: ClassMaps, more: Sequence[ClassMaps], settings: Thresholds
) -> Generator[Progress, None, tuple[MethodOverlap, ...]]:
    """Make the table of methods: every row of the result's maps, then other methods.

    Parameters
    ----------
    maps : ClassMaps
        The result's; a row is enlarged, cut and let go.
    more : sequence of ClassMaps
        Other methods' maps.
    settings : Thresholds
        Thresholds that the labels were cut with.
    """
    made: list[MethodOverlap] = []
    rows = own_rows(maps)
    for row in rows:
        yield Progress(len(made), len(rows), "overlap")
        labels = claims_of(maps, row=row, settings=settings)
        made.append(method_overlap(OWN[row], labels, maps.grid))
    for other in more:
        yield Progress(len(made), len(rows), "overlap")
        made.append(method_overlap(other.name, claims_of(other, settings=settings), maps.grid))
    return tuple(made)


def comparing(
    result: Segmentation, other: NDArray[np.generic]
) -> Generator[Progress, None, Mapping[Target, LabelComparison]]:
    """Compare a result with a reference, class by class."""
    yield Progress(0, 1, "comparing")
    return compare_labels(result.labels, other, result.grid.spacing)


def read_other(path: str | Path, case: Case) -> tuple[ExpertLabels, str]:
    """Read labels of another reader, or another result, and what is doubtful about them."""
    from napari_gliocam.io.results import read_labels_for

    read = read_labels_for(case, Path(path))
    return read.expert, " ".join(read.warnings)


def reporting(
    case: Case,
    result: Segmentation,
    folder: Path,
    depth: NDArray[np.float32] | None,
    expert: ExpertLabels | None,
    heading: str,
    unpainted: NDArray[np.uint8] | None,
    *,
    enhancing: bool = False,
    sequences: CaseSequences | None = None,
) -> Generator[Progress, None, list[Path]]:
    """Write the report."""
    from napari_gliocam.report import reading_segmentation, save_reading

    base = result if unpainted is None else replace(result, labels=unpainted, painted=0)
    reading = yield from reading_segmentation(
        case,
        base,
        painted=None if unpainted is None else result.labels,
        depth=depth,
        expert=expert,
        heading=heading,
        enhancing=enhancing,
        sequences=sequences,
    )
    yield Progress(0, 1, "drawing")
    return save_reading(reading, folder, overwrite=True)


class Sharing:
    """The sequences' part in each class, as work that can be stopped and keeps what it has.

    Parameters
    ----------
    ready : Ready
        The case and the networks.
    maps : ClassMaps
        Of the case, as *Segment* made them.
    index : int, optional
        A slice; by default, of those on which the networks see a class, the slices that
        `napari_gliocam.trust.scoring.choose_slices` takes.

    Attributes
    ----------
    targets : tuple of Target
        Core and edema; the tumour where the maps know no classes.
    made : CaseSequences or None
        The slices that are done; None before the case is ready.
    """

    def __init__(self, ready: Ready, maps: ClassMaps, index: int | None = None) -> None:
        self._ready, self._maps, self._index = ready, maps, index
        self.targets = parts_of(maps.targets)
        self.made: CaseSequences | None = None

    def run(self) -> Generator[Progress, None, CaseSequences]:
        """Do the work; can be closed at any yield."""
        prepared = yield from self._ready.getting()
        from napari_gliocam.trust.scoring import choose_slices
        from napari_gliocam.trust.sequences import CaseSequences, sharing_case

        scope = "lesion" if self._index is None else self._index
        asked: dict[Target, list[int]] = {
            target: choose_slices(prepared, self._maps, target, scope=scope)
            for target in self.targets
        }
        made = self.made = CaseSequences.of(prepared, asked)
        yield from sharing_case(prepared, into=made)
        return made


def explaining(
    case: Case, bundle: Path | None, device: str, method: str, title: str
) -> Generator[Progress, None, ClassMaps]:
    """Make maps of core and edema by a method, on every slice on which the networks see them.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Path or None
        The folder of the bundle; None for the one that ships.
    device : str
        Name of the device.
    method : str
        Its name in `napari_gliocam.cams.methods.registry`.
    title : str
        Its name for a reader.
    """
    prepared = yield from Ready(case, bundle, device).getting()
    from napari_gliocam.cams.run.explain import Explaining

    made = Explaining(prepared, method, _CLASSES, scope="lesion", gate=True)
    maps = yield from made.run()
    return replace(maps, name=title)
