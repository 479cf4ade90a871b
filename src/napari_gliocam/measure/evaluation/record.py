"""Everything that is measured of one case by one method, as one record."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import CaseError
from napari_gliocam.io.read import NO_EXPERT
from napari_gliocam.measure.classes.class_overlap import ClassOverlap, class_overlap
from napari_gliocam.measure.evaluation.baselines import baselines
from napari_gliocam.measure.scores.conventions import (
    Convention,
    Counts,
    Overlap,
    overlaps,
)
from napari_gliocam.measure.scores.image_level import (
    ImageLevel,
    SliceCalls,
    call_slices,
    image_level,
)
from napari_gliocam.progress import Progress, finished
from napari_gliocam.settings import EvaluationSettings
from napari_gliocam.targets import BOTH, TARGETS, TUMOUR_ALONE, Target, masks_of, targets_of
from napari_gliocam.threshold import Segmentation, apply_thresholds

#: What the evaluated segmentation is called beside its baselines.
METHOD = "gliocam"
IMAGE_LEVEL, CLASS_OVERLAP, CLASSES = "image-level", "class-overlap", "core and edema"


class Key(NamedTuple):
    """The address of a figure, such as ``("volume", "core", "dice")``.

    ``group`` is a `Convention`, `IMAGE_LEVEL` or `CLASS_OVERLAP`; ``target`` is tumour, core,
    edema or, for the overlap, `CLASSES`.
    """

    group: str
    target: str
    metric: str


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """The figures of one case by one method.

    Parameters
    ----------
    case, method : str
        Names of the case and of the method.
    overlaps : mapping of target to mapping of Convention to Overlap
        Dice, IoU and HD95 of each target in each convention.
    counts : mapping of target to Counts
        Voxels.
    calls : mapping of target to SliceCalls
        Kept so that slices of several cases can be pooled.
    class_overlap : ClassOverlap or None
        Of core and edema before exclusivity; None where the labels are exclusive.
    """

    case: str
    method: str
    overlaps: Mapping[Target, Mapping[Convention, Overlap]]
    counts: Mapping[Target, Counts]
    calls: Mapping[Target, SliceCalls]
    class_overlap: ClassOverlap | None = None

    def image_level(self, target: Target) -> ImageLevel:
        """Return figures of the image-level calls of one class."""
        return image_level(self.calls[target])

    def figures(self) -> Iterator[tuple[Key, float | None]]:
        """Return every figure with its address, always in the same order."""
        for target in self.overlaps:
            for convention, overlap in self.overlaps[target].items():
                yield Key(convention.value, target, "dice"), overlap.dice
                yield Key(convention.value, target, "iou"), overlap.iou
                if convention is not Convention.POOLED:
                    yield Key(convention.value, target, "hd95_mm"), overlap.hd95
            calls = self.image_level(target)
            for metric in ("auc", "sensitivity", "specificity", "accuracy"):
                yield Key(IMAGE_LEVEL, target, metric), getattr(calls, metric)
        if self.class_overlap is not None:
            for metric, value in asdict(self.class_overlap).items():
                yield Key(CLASS_OVERLAP, CLASSES, metric), value

    def to_json(self) -> dict[str, Any]:
        """Return plain values: figures by group, target and metric, and the counts behind them."""
        figures: dict[str, dict[str, dict[str, float | None]]] = {}
        for (group, target, metric), value in self.figures():
            figures.setdefault(group, {}).setdefault(target, {})[metric] = value
        slices, undefined = {}, {}
        for target in self.overlaps:
            present = self.overlaps[target][Convention.PRESENT_SLICES]
            every = self.overlaps[target][Convention.ALL_SLICES]
            calls = self.image_level(target)
            slices[target] = {
                "showing_it": present.n,
                "showing_it_penalised": present.penalised,
                "all": every.n,
                "all_penalised": every.penalised,
                "image_level_positive": calls.positive,
                "image_level_negative": calls.negative,
                "image_level_left_out": calls.left_out,
            }
            undefined[target] = dict(calls.undefined)
        return {
            "case": self.case,
            "method": self.method,
            "figures": figures,
            "voxels": {target: asdict(counts) for target, counts in self.counts.items()},
            "slices": slices,
            "undefined": {target: reasons for target, reasons in undefined.items() if reasons},
        }


def score_labels(
    labels: NDArray[Any],
    expert: NDArray[Any],
    spacing: Sequence[float],
    *,
    probabilities: NDArray[np.floating] | None = None,
    brain: NDArray[np.bool_] | None = None,
    before_exclusivity: NDArray[Any] | None = None,
    targets: Sequence[Target] | None = None,
    settings: EvaluationSettings | None = None,
    case: str = "case",
    method: str = METHOD,
) -> CaseRecord:
    """Score any label volume against an expert's, wherever it came from.

    Parameters
    ----------
    labels, expert : ndarray of uint8, shape (S, P, L)
        0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided.
    spacing : (S, P, L)
        mm.
    probabilities : ndarray of float, shape (S, 3), optional
        Image-level, of tumour, core and edema in [0, 1]; without them a slice is called
        positive where ``labels`` shows the class, and there is no AUC.
    brain : ndarray of bool, shape (S, P, L), optional
        Slices without brain are no image-level negatives; all slices count without it.
    before_exclusivity : ndarray of uint8, shape (S, P, L), optional
        Labels that may be both (3), for the overlap of the classes.
    targets : sequence of Target, optional
        Targets that are scored, of those that both volumes tell of; all of these by default.
    settings : EvaluationSettings, optional
        How figures are computed; the defaults of `EvaluationSettings` if not given.
    case, method : str
        What the record is called.

    Raises
    ------
    CaseError
        The shapes differ.
    """
    settings = settings or EvaluationSettings()
    if labels.ndim != 3 or labels.shape != expert.shape:
        sizes = (" × ".join(map(str, volume.shape)) for volume in (labels, expert))
        raise CaseError(
            '"{}": the labels have {} voxels and the expert\'s {}; resample one to the '
            "other.".format(case, *sizes)
        )
    ours, theirs = masks_of(labels), masks_of(expert)
    by_convention, counts, calls = {}, {}, {}
    known = targets_of(labels, expert)
    for target in (target for target in targets or known if target in known):
        by_convention[target], counts[target] = overlaps(
            ours[target], theirs[target], spacing, settings
        )
        calls[target] = call_slices(
            ours[target],
            theirs[target],
            probability=None if probabilities is None else probabilities[:, TARGETS.index(target)],
            brain=brain,
            min_pixels=settings.min_pixels,
            threshold=settings.probability,
        )
    overlap = None
    if before_exclusivity is not None:
        overlap = class_overlap(before_exclusivity, math.prod(spacing) / 1000)
    return CaseRecord(case, method, by_convention, counts, calls, overlap)


def evaluating_case(
    case: Case,
    result: Segmentation | NDArray[np.uint8],
    *,
    targets: Sequence[Target] | None = None,
    settings: EvaluationSettings | None = None,
    with_baselines: bool = True,
) -> Generator[Progress, None, list[CaseRecord]]:
    """Score a case's segmentation, and the baselines without a network beside it.

    Parameters
    ----------
    case : Case
        With expert labels.
    result : Segmentation, or ndarray of uint8, shape (S, P, L)
        A segmentation brings probabilities and the overlap of its classes with it; labels show
        the overlap where any of them is 3.
    targets : sequence of Target, optional
        Targets that labels without maps tell of; see `score_labels`.
    settings : EvaluationSettings, optional
        How figures are computed; the defaults of `EvaluationSettings` if not given.
    with_baselines : bool
        Whether baselines without a network are scored beside it.

    Returns
    -------
    list of CaseRecord
        The case's own first.

    Raises
    ------
    CaseError
        The case has no expert labels, or the labels are on another grid.
    """
    expert = expert_labels(case)
    probabilities = before = None
    if isinstance(result, Segmentation):
        labels, maps = result.labels, result.maps
        probabilities, targets = maps.probabilities, maps.targets
        if targets != TUMOUR_ALONE:
            before = apply_thresholds(maps, replace(result.settings, exclusive=False)).labels
    else:
        labels = result
        before = labels if (labels == BOTH).any() else None
    spacing, brain = case.grid.spacing, case.brain
    yield Progress(0, 1, "scoring")
    records = [
        score_labels(
            labels,
            expert,
            spacing,
            probabilities=probabilities,
            brain=brain,
            before_exclusivity=before,
            targets=targets,
            settings=settings,
            case=case.name,
        )
    ]
    for name, baseline in baselines(case).items() if with_baselines else ():
        yield Progress(0, 1, f"scoring the baseline {name}")
        records.append(
            score_labels(
                baseline,
                expert,
                spacing,
                brain=brain,
                targets=tuple(records[0].counts),
                settings=settings,
                case=case.name,
                method=name,
            )
        )
    return records


evaluate_case = finished(evaluating_case, "evaluate_case")


def expert_labels(case: Case) -> NDArray[np.uint8]:
    """Return the expert's labels of a case.

    Raises
    ------
    CaseError
        There are none.
    """
    if case.expert is None:
        # Labels that were found and are none: a result, or a mask of the brain.
        found = "".join(f" {text}" for text in case.warnings if NO_EXPERT in text)
        raise CaseError(
            f'Case "{case.name}" has no expert labels to be measured by; add its _seg file.{found}'
        )
    return case.expert.labels
