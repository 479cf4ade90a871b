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
    MethodOverlap,
    SliceOverlap,
    claims,
    claims_of,
    class_overlap,
    method_overlap,
    worst_slices,
)
from napari_gliocam.measure.classes.voxel import ExitReading, VoxelReading, read_voxel
from napari_gliocam.measure.evaluation.baselines import baselines, intensity_threshold
from napari_gliocam.measure.evaluation.figures import FIGURES, MeasuredFigure
from napari_gliocam.measure.evaluation.paired_test import (
    PairedTest,
    compare,
    figures_by_case,
    paired_test,
)
from napari_gliocam.measure.evaluation.record import (
    CaseRecord,
    Key,
    evaluate_case,
    evaluating_case,
    score_labels,
)
from napari_gliocam.measure.evaluation.report import Evaluation, compare_with, load_evaluation
from napari_gliocam.measure.evaluation.summary import Figure, summarise
from napari_gliocam.measure.lesion.depth import brain_depth
from napari_gliocam.measure.lesion.diameters import Diameters, Line, diameters
from napari_gliocam.measure.lesion.enhancing import EnhancingCore, enhancing_core
from napari_gliocam.measure.lesion.lesions import Lesions, find_lesions
from napari_gliocam.measure.lesion.measures import LesionMeasures, Measures, Region, measure_labels
from napari_gliocam.measure.lesion.shape import sphericity, surface_mm2
from napari_gliocam.measure.lesion.slice_areas import SliceAreas, slice_areas, step_slice
from napari_gliocam.measure.scores.confusion import (
    CONFUSION_NAMES,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    LabelComparison,
    compare_labels,
    confusion,
)
from napari_gliocam.measure.scores.conventions import Convention, Overlap
from napari_gliocam.measure.scores.image_level import ImageLevel, auc
from napari_gliocam.measure.scores.overlap import dice, iou, score
from napari_gliocam.measure.scores.surface import hausdorff95
from napari_gliocam.settings import BRATS_DISTANCE, EvaluationSettings
from napari_gliocam.targets import masks_of

__all__ = [
    "BRATS_DISTANCE",
    "CONFUSION_NAMES",
    "FALSE_NEGATIVE",
    "FALSE_POSITIVE",
    "FIGURES",
    "TRUE_POSITIVE",
    "CaseRecord",
    "ClassOverlap",
    "Convention",
    "Diameters",
    "EnhancingCore",
    "Evaluation",
    "EvaluationSettings",
    "ExitReading",
    "Figure",
    "ImageLevel",
    "Key",
    "LabelComparison",
    "LesionMeasures",
    "Lesions",
    "Line",
    "MeasuredFigure",
    "Measures",
    "MethodOverlap",
    "Overlap",
    "PairedTest",
    "Region",
    "SliceAreas",
    "SliceOverlap",
    "VoxelReading",
    "auc",
    "baselines",
    "brain_depth",
    "claims",
    "claims_of",
    "class_overlap",
    "compare",
    "compare_labels",
    "compare_with",
    "confusion",
    "diameters",
    "dice",
    "enhancing_core",
    "evaluate_case",
    "evaluating_case",
    "figures_by_case",
    "find_lesions",
    "hausdorff95",
    "intensity_threshold",
    "iou",
    "load_evaluation",
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
