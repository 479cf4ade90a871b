"""The result of an open case: its maps cut at thresholds, refined, and painted over by hand.

A refined label is shown only while it belongs to the thresholds and the refinement that are set.
No Qt here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_gliocam.case import Case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import METHODS, Method, Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS, Target, mask_of
from napari_gliocam.threshold import Segmentation, apply_thresholds
from napari_gliocam.ui.model.painted_labels import PaintedLabels
from napari_gliocam.ui.model.threshold_labels import ThresholdLabels, dice_of, joint_counts

TITLES: dict[Method, str] = {
    "none": "none",
    "adapt": "patient adaptation",
    "crf": "dense CRF",
    "boundary-fit": "BoundaryFit",
    "boundary-fit+crf": "BoundaryFit, then dense CRF",
}
assert tuple(TITLES) == METHODS


def title_of(refinement: Refinement) -> str:
    """Return a refinement's name in a sentence."""
    if refinement.components is None:
        return TITLES[refinement.method]
    return "components" if refinement.method == "none" else f"{TITLES[refinement.method]}, cleaned"


@dataclass(frozen=True, eq=False)
class Preview:
    """Labels of which some slices are refined.

    Parameters
    ----------
    settings : Thresholds
        Thresholds that the labels were cut with.
    refinement : Refinement
        The refinement of the slices.
    labels : ndarray of uint8, shape (S, P, L)
        The labels.
    slices : set of int
        The slices that are refined.
    """

    settings: Thresholds
    refinement: Refinement
    labels: NDArray[np.uint8]
    slices: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Change:
    """Figures before and after a refinement, for ``tumour``, ``core`` and ``edema``.

    Parameters
    ----------
    ml : mapping of target to (float, float)
        Volumes in ml.
    dice : mapping of target to (float, float)
        Volume Dice with the expert labels, in [0, 1]; empty where there are none, or not yet.
    hd95 : mapping of target to (float, float)
        95th percentile of surface distances in mm, likewise.
    """

    ml: Mapping[Target, tuple[float, float]]
    dice: Mapping[Target, tuple[float, float]] = field(default_factory=dict)
    hd95: Mapping[Target, tuple[float, float]] = field(default_factory=dict)


def volumes_changed(refined: Segmentation) -> Change:
    """Return the change in ml."""
    assert refined.unrefined is not None
    before, after = refined.unrefined.volumes_ml, refined.volumes_ml
    targets = refined.maps.targets
    return Change({target: (before[target], after[target]) for target in targets})


def measuring_change(
    refined: Segmentation, change: Change, case: Case
) -> Generator[Progress, None, Change]:
    """Add Dice and HD95 to a change, where the case has expert labels."""
    from napari_gliocam.measure import dice, hausdorff95

    assert refined.unrefined is not None
    assert case.expert is not None
    dices, distances = {}, {}
    for done, target in enumerate(change.ml):
        yield Progress(done, len(change.ml), "comparing with the expert labels")
        expert, before, after = (
            mask_of(labels, target)
            for labels in (case.expert.labels, refined.unrefined.labels, refined.labels)
        )
        dices[target] = dice(before, expert), dice(after, expert)
        spacing = case.grid.spacing
        distances[target] = (
            hausdorff95(before, expert, spacing),
            hausdorff95(after, expert, spacing),
        )
    return Change(change.ml, dices, distances)


@dataclass(eq=False)
class Result:
    """Labels of a case in three steps: cut at thresholds, refined, painted over by hand.

    Parameters
    ----------
    case : Case
        The case as it was when its maps were made.
    thresholded : ThresholdLabels
        The first step: the maps and the labels that follow the thresholds.
    refinement : Refinement
        The refinement that is wanted.
    painted : PaintedLabels
        The last step and the array of the result layer: strokes over the refined labels.
    refined : Segmentation or None
        The second step: the whole case, refined; it may belong to older thresholds.
    preview : Preview or None
        Slices that were refined to look at.
    change : Change or None
        The change from the thresholds' labels to ``refined``.
    flipped : bool
        Whether the labels before refinement are shown.
    volumes_ml : dict of str to float
        Volumes of the result in ml, as last counted.
    dice : mapping of target to float, or None
        Volume Dice with the expert labels, in [0, 1], as last counted; None without an expert,
        empty where it is not known yet.
    warnings : tuple of str
        Said at the end of the run that made it, one sentence each.
    """

    case: Case
    thresholded: ThresholdLabels
    refinement: Refinement
    painted: PaintedLabels
    refined: Segmentation | None = None
    preview: Preview | None = None
    change: Change | None = None
    flipped: bool = False
    volumes_ml: dict[str, float] = field(default_factory=dict)
    dice: Mapping[Target, float] | None = None
    warnings: tuple[str, ...] = ()

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    @classmethod
    def of(
        cls,
        case: Case,
        maps: ClassMaps,
        settings: Thresholds,
        refinement: Refinement,
        painted: PaintedLabels | None = None,
    ) -> Result:
        """Cut maps at thresholds.

        Parameters
        ----------
        case : Case
            The case that the maps were made from.
        maps : ClassMaps
            Maps of tumour, core and edema.
        settings : Thresholds
            The thresholds.
        refinement : Refinement
            The refinement that is wanted; it does not run here.
        painted : PaintedLabels, optional
            Strokes to keep over the new labels.
        """
        thresholded = ThresholdLabels(maps, settings)
        thresholded.finish()
        return cls(case, thresholded, refinement, painted or PaintedLabels(thresholded.labels))

    @property
    def maps(self) -> ClassMaps:
        """The maps that the labels are cut from."""
        return self.thresholded.maps

    # ---- the second step

    @property
    def current(self) -> Segmentation | None:
        """The refined case, None where it belongs to other thresholds or parameters."""
        return self.refined if self._holds(self.refined) else None

    @property
    def previewed(self) -> Preview | None:
        """The preview, None where it belongs to other thresholds or parameters."""
        return self.preview if self._holds(self.preview) else None

    def _holds(self, found: Segmentation | Preview | None) -> bool:
        if found is None or not self.refinement.changes_something:
            return False
        return (found.settings, found.refinement) == (self.thresholded.settings, self.refinement)

    def take(self, refined: Segmentation) -> None:
        """Take the refined case."""
        self.change = volumes_changed(refined)
        self.refined, self.preview, self.flipped = refined, None, False

    def take_slice(self, refined: Segmentation, index: int) -> None:
        """Take one refined slice, beside those that were taken before."""
        assert refined.refinement is not None
        old = self.previewed
        if old is None:
            self.thresholded.finish()
        labels = self.thresholded.labels.copy() if old is None else old.labels
        labels[index] = refined.labels[index]
        slices = {index} if old is None else old.slices | {index}
        self.preview = Preview(refined.settings, refined.refinement, labels, slices)

    # ---- the labels

    @property
    def unpainted_labels(self) -> NDArray[np.uint8]:
        """The labels to look at, without strokes."""
        if not self.flipped:
            if self.current is not None:
                return self.current.labels
            if self.previewed is not None:
                return self.previewed.labels
        return self.thresholded.labels

    @property
    def unpainted(self) -> Segmentation:
        """The result without strokes: refined where the whole case is, else as it was cut."""
        return self.thresholded.segmentation() if self.current is None else self.current

    @property
    def segmentation(self) -> Segmentation:
        """The result: refined where the whole case is, painted where it was."""
        return self.painted_over(self.unpainted)

    def painted_over(self, base: Segmentation) -> Segmentation:
        """Return labels with the strokes over them."""
        if not self.painted.painted:
            return base
        return replace(base, labels=self.painted.over(base.labels), painted=self.painted.painted)

    def lesion_voxels(self) -> NDArray[np.int64]:
        """Return the voxels of any class per slice of the result without strokes, shape (S,)."""
        if self.current is None:
            return self.thresholded.lesion_voxels()
        voxels: NDArray[np.int64] = np.count_nonzero(self.current.labels, axis=(1, 2))
        return voxels

    def count(self, expert: NDArray[np.uint8] | None) -> None:
        """Bring volumes and Dice up to date.

        Parameters
        ----------
        expert : ndarray of uint8, shape (S, P, L), or None
            The expert's labels, where there are some.
        """
        if self.painted.painted:
            segmentation = self.segmentation
            self.volumes_ml = segmentation.volumes_ml
            counts = None if expert is None else joint_counts(segmentation.labels, expert)
            self.dice = None if counts is None else dice_of(counts, self.maps.targets)
            return
        if self.current is not None and self.change is not None:
            self.volumes_ml = {t: after for t, (_, after) in self.change.ml.items()}
            known = {t: after for t, (_, after) in self.change.dice.items()}
            self.dice = None if expert is None else known
            return
        self.thresholded.compare_with(expert)
        self.volumes_ml, self.dice = self.thresholded.volumes_ml, self.thresholded.dice


def sentence_of(refinement: Refinement, result: Result | None, index: int | None, key: str) -> str:
    """Return in a few words which labels the viewer shows.

    Parameters
    ----------
    refinement : Refinement
        The refinement that is chosen.
    result : Result or None
        None before Segment.
    index : int or None
        The axial slice in view.
    key : str
        The key that flips between before and after.
    """
    title = title_of(refinement)
    if not refinement.changes_something:
        return "Labels as the thresholds cut them"
    if result is None:
        return f"Segment will run {title}"
    preview = result.previewed
    there = result.current or (preview is not None and index in preview.slices)
    if there and result.flipped:
        return f"Before {title}; key {key} shows it after"
    if result.current is not None:
        return f"{title[:1].upper()}{title[1:]} on the whole case"
    if there:
        return f"Preview on slice {index}, the others are not refined"
    if result.refined is not None:
        return "Out of date: unrefined labels are shown"
    return "Not applied yet: unrefined labels are shown"


def gate_limit(result: Result, index: int | None) -> float:
    """Return the slice probability below which a class is hidden, in the labels shown.

    Parameters
    ----------
    result : Result
        The result in view.
    index : int or None
        The axial slice in view.
    """
    refinement, preview = result.refinement, result.previewed
    refined = result.current or (preview is not None and index in preview.slices)
    if refined and not result.flipped and refinement.method == "adapt":
        return refinement.adapt.denial
    return result.thresholded.settings.gate_probability


def hidden_by_gate(result: Result, index: int) -> tuple[Target, ...]:
    """Return the targets that the gate alone keeps off a slice of the labels shown.

    Parameters
    ----------
    result : Result
        The result in view.
    index : int
        The axial slice in view.
    """
    settings, maps = result.thresholded.settings, result.maps
    if not settings.gate:
        return ()
    part, limit = slice(index, index + 1), gate_limit(result, index)
    without_gate = apply_thresholds(maps, replace(settings, gate=False), where=part).labels[index]
    return tuple(
        target
        for target, p in zip(TARGETS, maps.probabilities[index], strict=True)
        if p < limit
        and mask_of(without_gate, target).any()
        and not mask_of(result.painted.labels[index], target).any()
    )
