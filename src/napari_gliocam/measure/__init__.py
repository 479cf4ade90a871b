"""Figures that say how good a segmentation is.

Examples
--------
>>> from napari_gliocam.measure import Evaluation, evaluate_case
>>> records = evaluate_case(case, segmentation)            # doctest: +SKIP
>>> Evaluation(records).save(Path("evaluated"))            # doctest: +SKIP
"""

from napari_gliocam.measure.class_overlap import ClassOverlap, class_overlap
from napari_gliocam.measure.compare import PairedTest, compare, figures_by_case, paired_test
from napari_gliocam.measure.conventions import Convention, EvaluationSettings, Overlap
from napari_gliocam.measure.image_level import ImageLevel, auc
from napari_gliocam.measure.overlap import dice, iou, masks_of, score
from napari_gliocam.measure.record import (
    CaseRecord,
    Key,
    evaluate_case,
    evaluating_case,
    score_labels,
)
from napari_gliocam.measure.report import Evaluation, compare_with, load_evaluation
from napari_gliocam.measure.rivals import intensity_threshold, rivals
from napari_gliocam.measure.summary import Figure, summarise
from napari_gliocam.measure.surface import BRATS_DISTANCE, hausdorff95

__all__ = [
    "BRATS_DISTANCE",
    "CaseRecord",
    "ClassOverlap",
    "Convention",
    "Evaluation",
    "EvaluationSettings",
    "Figure",
    "ImageLevel",
    "Key",
    "Overlap",
    "PairedTest",
    "auc",
    "class_overlap",
    "compare",
    "compare_with",
    "dice",
    "evaluate_case",
    "evaluating_case",
    "figures_by_case",
    "hausdorff95",
    "intensity_threshold",
    "iou",
    "load_evaluation",
    "masks_of",
    "paired_test",
    "rivals",
    "score",
    "score_labels",
    "summarise",
]
