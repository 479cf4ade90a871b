"""Figures that say how good a segmentation is, and what a radiologist reads from it.

Against an expert
    `evaluate_case` and `Evaluation` for many cases; `compare_labels` for one pair of label
    volumes (`LabelComparison` a class: Dice, IoU, HD95 under each `Convention`), `confusion` for a
    layer of true positives, false positives and false negatives.
Size and shape
    `measure_labels` gives `Measures`: of the case and of each lesion the volumes, `Diameters`
    with end points to draw, sphericity, depth of the core; `brain_depth` is made once a case.
    `FIGURES` says how each number is called, in which unit and with how many digits.
Core against edema
    `claims` and `claims_of` give who claims what by any pair of maps, `method_overlap` a row of
    a table with the worst slices.
Slice by slice
    `slice_areas` for a chart, `step_slice` to go to the next lesion or conflict.
One voxel
    `read_voxel`: intensities, maps, exits and their weights, why the label is what it is.

Examples
--------
>>> from napari_gliocam.measure import Evaluation, evaluate_case
>>> records = evaluate_case(case, segmentation)            # doctest: +SKIP
>>> Evaluation(records).save(Path("evaluated"))            # doctest: +SKIP
>>> depth = brain_depth(case.brain, case.grid.spacing)     # doctest: +SKIP
>>> measures = measure_labels(labels, case.grid, depth=depth)  # doctest: +SKIP
>>> measures.case.core.diameters.product_mm2               # doctest: +SKIP
"""

from napari_gliocam.measure.classes.class_overlap import (
    ClassOverlap,
    claims,
    claims_of,
    method_overlap,
    worst_slices,
)
from napari_gliocam.measure.classes.voxel import read_voxel
from napari_gliocam.measure.evaluation.baselines import baselines
from napari_gliocam.measure.evaluation.figures import FIGURES
from napari_gliocam.measure.evaluation.paired_test import compare, figures_by_case, paired_test
from napari_gliocam.measure.evaluation.record import CaseRecord, evaluate_case, score_labels
from napari_gliocam.measure.evaluation.report import Evaluation
from napari_gliocam.measure.evaluation.summary import summarise
from napari_gliocam.measure.lesion.depth import brain_depth
from napari_gliocam.measure.lesion.diameters import Diameters, diameters
from napari_gliocam.measure.lesion.measures import Measures, measure_labels
from napari_gliocam.measure.lesion.shape import sphericity, surface_mm2
from napari_gliocam.measure.lesion.slice_areas import slice_areas, step_slice
from napari_gliocam.measure.scores.confusion import (
    CONFUSION_NAMES,
    LabelComparison,
    compare_labels,
    confusion,
)
from napari_gliocam.measure.scores.conventions import Convention
from napari_gliocam.measure.scores.image_level import auc
from napari_gliocam.measure.scores.overlap import dice, iou, score
from napari_gliocam.measure.scores.surface import hausdorff95
from napari_gliocam.settings import BRATS_DISTANCE, EvaluationSettings
from napari_gliocam.targets import masks_of

__all__ = [
    "BRATS_DISTANCE",
    "CONFUSION_NAMES",
    "FIGURES",
    "CaseRecord",
    "ClassOverlap",
    "Convention",
    "Diameters",
    "Evaluation",
    "EvaluationSettings",
    "LabelComparison",
    "Measures",
    "auc",
    "baselines",
    "brain_depth",
    "claims",
    "claims_of",
    "compare",
    "compare_labels",
    "confusion",
    "diameters",
    "dice",
    "evaluate_case",
    "figures_by_case",
    "hausdorff95",
    "iou",
    "masks_of",
    "measure_labels",
    "method_overlap",
    "paired_test",
    "read_voxel",
    "score",
    "score_labels",
    "slice_areas",
    "sphericity",
    "step_slice",
    "summarise",
    "surface_mm2",
    "worst_slices",
]
