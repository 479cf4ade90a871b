"""What became of a case's refinement: what is applied, what is previewed, what the viewer shows.

A refined label is shown only while it belongs to the thresholds and parameters that are set.
No Qt here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import METHODS, Method, Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.model.threshold_labels import ThresholdLabels

TITLES: dict[Method, str] = {
    "none": "none",
    "adapt": "adaptation to this patient",
    "crf": "dense CRF",
    "boundary-fit": "BoundaryFit",
    "boundary-fit+crf": "BoundaryFit, then dense CRF",
}
assert tuple(TITLES) == METHODS


def acts(refinement: Refinement) -> bool:
    """Whether a refinement does anything at all."""
    return refinement.method != "none" or refinement.components is not None


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
        What the slices were made with.
    labels : ndarray of uint8, shape (S, P, L)
        The labels.
    slices : set of int
        The refined ones.
    """

    settings: Thresholds
    refinement: Refinement
    labels: NDArray[np.uint8]
    slices: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Change:
    """What a refinement changed, before and after, for ``tumour``, ``core`` and ``edema``.

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
    return Change({target: (before[target], after[target]) for target in TARGETS})


def measuring_change(
    refined: Segmentation, change: Change, case: Case
) -> Generator[Progress, None, Change]:
    """Add Dice and HD95 to a change, where the case has expert labels."""
    from napari_gliocam.measure import dice, hausdorff95, masks_of

    assert refined.unrefined is not None
    assert case.expert is not None
    experts = masks_of(case.expert.labels)
    pair = [masks_of(labels) for labels in (refined.unrefined.labels, refined.labels)]
    dices, distances = {}, {}
    for done, (target, expert) in enumerate(experts.items()):
        yield Progress(done, len(experts), "comparing with the expert labels")
        before, after = (masks[target] for masks in pair)
        dices[target] = dice(before, expert), dice(after, expert)
        spacing = case.grid.spacing
        distances[target] = (
            hausdorff95(before, expert, spacing),
            hausdorff95(after, expert, spacing),
        )
    return Change(change.ml, dices, distances)


@dataclass(eq=False)
class Refined:
    """The refinement of one case's result.

    Parameters
    ----------
    wanted : Refinement
        What is chosen.
    live : ThresholdLabels or None
        The labels as the thresholds cut them; None before Segment.
    applied : Segmentation or None
        The whole case, refined.
    preview : Preview or None
        The slice in view, refined.
    change : Change or None
        What ``applied`` changed.
    flipped : bool
        Whether the labels before refinement are looked at.
    """

    wanted: Refinement = field(default_factory=Refinement)
    live: ThresholdLabels | None = None
    applied: Segmentation | None = None
    preview: Preview | None = None
    change: Change | None = None
    flipped: bool = False

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    @property
    def current(self) -> Segmentation | None:
        """The refined case, None where it belongs to other thresholds or parameters."""
        return self.applied if self._holds(self.applied) else None

    @property
    def previewed(self) -> Preview | None:
        """The preview, None where it belongs to other thresholds or parameters."""
        return self.preview if self._holds(self.preview) else None

    def _holds(self, found: Segmentation | Preview | None) -> bool:
        if found is None or self.live is None or not acts(self.wanted):
            return False
        return (found.settings, found.refinement) == (self.live.settings, self.wanted)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The labels to look at."""
        assert self.live is not None
        if not self.flipped:
            if self.current is not None:
                return self.current.labels
            if self.previewed is not None:
                return self.previewed.labels
        return self.live.labels

    @property
    def segmentation(self) -> Segmentation:
        """The result: refined where the whole case is, else as the thresholds cut it."""
        assert self.live is not None
        return self.live.segmentation() if self.current is None else self.current

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volumes of that result."""
        assert self.live is not None
        if self.current is None or self.change is None:
            return self.live.volumes_ml
        return {target: after for target, (_, after) in self.change.ml.items()}

    def lesion_voxels(self) -> NDArray[np.int64]:
        """Voxels of any class per slice of that result, shape (S,)."""
        assert self.live is not None
        if self.current is None:
            return self.live.lesion_voxels()
        voxels: NDArray[np.int64] = np.count_nonzero(self.current.labels, axis=(1, 2))
        return voxels

    def start(self, live: ThresholdLabels) -> None:
        """Follow new maps: what was refined before belongs to others."""
        self.applied = self.preview = self.change = None
        self.live, self.flipped = live, False

    def take(self, refined: Segmentation) -> None:
        """Take the refined case."""
        self.change = volumes_changed(refined)
        self.applied, self.preview, self.flipped = refined, None, False

    def stop(self) -> None:
        """There are no labels any more."""
        self.live = self.applied = self.preview = self.change = None
        self.flipped = False

    def resume(self, applied: Segmentation | None, change: Change | None) -> None:
        """Take back what was refined before other maps were followed."""
        self.applied, self.change = applied, change

    def take_slice(self, refined: Segmentation, index: int) -> None:
        """Take one slice of it."""
        assert self.live is not None
        assert refined.refinement is not None
        old = self.previewed
        if old is None:
            self.live.finish()
        labels = self.live.labels.copy() if old is None else old.labels
        labels[index] = refined.labels[index]
        slices = {index} if old is None else old.slices | {index}
        self.preview = Preview(refined.settings, refined.refinement, labels, slices)

    def sentence(self, index: int | None, key: str) -> str:
        """Return in a few words which labels the viewer shows."""
        title = title_of(self.wanted)
        if not acts(self.wanted):
            return "Labels as the thresholds cut them"
        if self.live is None:
            return f"Segment will run {title}"
        preview = self.previewed
        there = self.current or (preview is not None and index in preview.slices)
        if there and self.flipped:
            return f"Before {title}; key {key} shows it after"
        if self.current is not None:
            return f"{title[:1].upper()}{title[1:]} on the whole case"
        if there:
            return f"Preview on slice {index}, the others are not refined"
        if self.applied is not None:
            return "Out of date: unrefined labels are shown"
        return "Not applied yet: unrefined labels are shown"
