"""Everything that a report says of a case, as numbers; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, ExpertLabels
from napari_gliocam.errors import CaseError
from napari_gliocam.io.sidecar import told_targets
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure.classes.class_overlap import MethodOverlap, claims_of, method_overlap
from napari_gliocam.measure.lesion.depth import brain_depth
from napari_gliocam.measure.lesion.enhancing import EnhancingCore, enhancing_core
from napari_gliocam.measure.lesion.measures import Measures, measure_labels
from napari_gliocam.measure.lesion.slice_areas import SliceAreas, slice_areas
from napari_gliocam.measure.scores.confusion import LabelComparison, compare_labels
from napari_gliocam.progress import Progress, finished
from napari_gliocam.settings import MIN_LESION_ML
from napari_gliocam.targets import BOTH, LABELS, TUMOUR_ALONE, Target
from napari_gliocam.threshold import Segmentation
from napari_gliocam.trust.cavity import cavity_warning
from napari_gliocam.trust.statement import TrustStatement, state_trust

if TYPE_CHECKING:  # it would load torch
    from napari_gliocam.trust.sequences import CaseSequences, Shares


@dataclass(frozen=True, eq=False)
class Reading:
    """The content of a report on a case.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    labels : ndarray of uint8, shape (S, P, L)
        As they were read: 0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.
    measures : Measures
        Volumes, lesions and diameters.
    areas : SliceAreas
        Areas of the classes by slice.
    claimed : ndarray of uint8 or None
        Core, edema and their overlap, before each voxel gets one class; None where that is not
        known.
    overlap : MethodOverlap or None
        Of ``claimed``.
    maps : ClassMaps or None
        None for labels that came from a file.
    used : mapping
        ``settings``, ``refinement`` and ``provenance`` as the json beside a result has them;
        empty where nothing is known of them.
    source : str
        Where the labels came from, such as the name of their file.
    painted : int
        Voxels that were changed by hand.
    expert : ExpertLabels or None
        What the labels are compared with, the case's expert labels or another result.
    comparison : mapping of target to LabelComparison
        Empty without ``expert``.
    heading : str
        What a user typed, on top of the page.
    warnings : tuple of str
        Beyond those of the case.
    with_pictures : bool
        Whether slices are drawn on the page.
    enhancing : EnhancingCore or None
        The core divided by a rule of intensity, where it was asked for.
    trust : TrustStatement or None
        How far the result can be trusted; None where the maps are not the networks' own.
    sequences : tuple of (int, Target, Shares)
        Contributions of the sequences to each lesion's map of a class; empty where not asked for.
    sequence_caution : str
        What a reader must know of these contributions; empty for nothing.
    """

    case: Case
    labels: NDArray[np.uint8]
    measures: Measures
    areas: SliceAreas
    claimed: NDArray[np.uint8] | None = None
    overlap: MethodOverlap | None = None
    maps: ClassMaps | None = None
    used: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    painted: int = 0
    expert: ExpertLabels | None = None
    comparison: Mapping[Target, LabelComparison] = field(default_factory=dict)
    heading: str = ""
    warnings: tuple[str, ...] = ()
    with_pictures: bool = True
    enhancing: EnhancingCore | None = None
    trust: TrustStatement | None = None
    sequences: tuple[tuple[int, Target, Shares], ...] = ()
    sequence_caution: str = ""

    def without_names(self, name: str) -> Reading:
        """Return the reading without names of cases and files, and without pictures."""
        case = replace(self.case, name=name, sources={}, warnings=())
        expert = self.expert and replace(self.expert, source=None)
        source = "read from a file" if self.source else ""
        return replace(
            self, case=case, expert=expert, source=source, warnings=(), with_pictures=False
        )

    @property
    def expert_name(self) -> str:
        """The name of the file that the labels are compared with."""
        if self.expert is None or self.expert.source is None:
            return "expert labels"
        return self.expert.source.name


def reading_segmentation(
    case: Case,
    result: Segmentation | NDArray[Any],
    *,
    painted: NDArray[Any] | None = None,
    expert: ExpertLabels | None = None,
    depth: NDArray[np.floating] | None = None,
    min_ml: float = MIN_LESION_ML,
    used: Mapping[str, Any] | None = None,
    source: str = "",
    heading: str = "",
    warnings: tuple[str, ...] = (),
    enhancing: bool = False,
    sequences: CaseSequences | None = None,
) -> Generator[Progress, None, Reading]:
    """Measure a segmentation for a report.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    result : Segmentation, or ndarray of an integer type, shape (S, P, L)
        Labels alone, such as a saved result, have no maps, no settings and no probabilities.
    painted : ndarray of an integer type, shape (S, P, L), optional
        The labels as a user left them, where they were painted in.
    expert : ExpertLabels, optional
        What to compare with; the case's own by default.
    depth : ndarray of float, shape (S, P, L), optional
        `brain_depth` of the case, if it is at hand.
    min_ml : float
        Smaller parts are no lesions.
    used, source, heading
        As in `Reading`; a `Segmentation` knows what it was made with.
    warnings : tuple of str
        Beyond those of the case.
    enhancing : bool
        Whether the core is divided into what enhances and what does not (`enhancing_core`).
    sequences : CaseSequences, optional
        Contributions of the sequences, where they are known.

    Raises
    ------
    GliocamError
        The labels do not fit the case.
    """
    segmentation = result if isinstance(result, Segmentation) else None
    base: NDArray[Any] = result.labels if isinstance(result, Segmentation) else result
    shown = base if painted is None else painted
    yield Progress(0, 1, "measuring the brain")
    if depth is None:
        depth = brain_depth(case.brain, case.grid.spacing)
    yield Progress(0, 1, "measuring the lesions")
    targets = segmentation.maps.targets if segmentation else told_targets(used or {})
    measures = measure_labels(shown, case.grid, depth=depth, min_ml=min_ml, targets=targets)
    known = (shown >= 0) & (shown <= max(LABELS))
    labels = np.where(known, shown, 0).astype(np.uint8)
    yield Progress(0, 1, "measuring the overlap")
    claimed = None
    if segmentation is not None and segmentation.maps.targets != TUMOUR_ALONE:
        claimed = claims_of(segmentation.maps, settings=segmentation.settings)
    elif (labels == BOTH).any():
        claimed = labels
    trust = None
    if segmentation is not None:
        yield Progress(0, 1, "measuring the doubt")
        case_volumes = measures.case
        trust = state_trust(
            segmentation,
            {
                "tumour": case_volumes.tumour.ml,
                "core": case_volumes.core.ml,
                "edema": case_volumes.edema_ml,
            },
        )
        if cavity := cavity_warning(case):
            warnings += (cavity,)
    divided = None
    if enhancing:
        yield Progress(0, 1, "measuring what enhances")
        try:
            divided = enhancing_core(case, labels)
        except CaseError as error:
            warnings += (str(error),)
    expert = expert or case.expert
    comparison: Mapping[Target, LabelComparison] = {}
    if expert is not None:
        yield Progress(0, 1, "comparing")
        compared = compare_labels(labels, expert.labels, case.grid.spacing)
        comparison = {t: found for t, found in compared.items() if targets is None or t in targets}
        if labels.any() and not expert.labels.any():
            warnings += (
                f"The expert labels show no tumour: all {measures.case.tumour.ml:.1f} ml that "
                "were found are false positives.",
            )
    return Reading(
        case,
        labels,
        measures,
        slice_areas(labels, case.grid),
        claimed,
        None if claimed is None else method_overlap("guided aggregate", claimed, case.grid),
        segmentation.maps if segmentation else None,
        used or (_used(segmentation) if segmentation else {}),
        source,
        0 if painted is None else int(np.count_nonzero(painted != base)),
        expert,
        comparison,
        heading,
        warnings,
        enhancing=divided,
        trust=trust,
        sequences=() if sequences is None else tuple(sequences.by_lesion(labels)),
        sequence_caution="" if sequences is None else sequences.caution,
    )


read_segmentation = finished(reading_segmentation, "read_segmentation")


def _used(segmentation: Segmentation) -> dict[str, Any]:
    return {
        "settings": asdict(segmentation.settings),
        "refinement": segmentation.refinement.used if segmentation.refinement else None,
        "provenance": dict(segmentation.maps.provenance),
    }
