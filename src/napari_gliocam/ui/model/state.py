"""What the panels share about a viewer: its cases, the choices made, what runs.  No Qt here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_gliocam.case import Case, Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import Target
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.model.assign import Source, sources_of
from napari_gliocam.ui.model.painted_labels import PaintedLabels
from napari_gliocam.ui.model.refined import Change, Refined
from napari_gliocam.ui.model.threshold_labels import ThresholdLabels, dice_of, joint_counts


@dataclass(frozen=True, eq=False)
class Networks:
    """What Segment found, kept while another method's maps are the result.

    Parameters
    ----------
    settings : Thresholds
        The thresholds that were set then.
    maps : ClassMaps or None
        None where Segment had not run.
    applied : Segmentation or None
        Refined labels of the whole case, with ``change``, what that changed.
    """

    settings: Thresholds
    maps: ClassMaps | None = None
    applied: Segmentation | None = None
    change: Change | None = None


@dataclass(eq=False)
class OpenCase:
    """A case in a viewer and what became of it; its layers carry it in their metadata.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    files : CaseFiles or None
        Where it came from, to read it again another way.
    pool : tuple of Source
        Volumes to choose modalities from; those of the case as it was read by default.
    segmented : Case or None
        The case as it was when ``maps`` were made from it.
    settings : Thresholds
        The thresholds of this case.
    maps : ClassMaps or None
        Set when Segment has finished.
    live : ThresholdLabels or None
        The labels that follow ``settings``.
    refined : Refined
        The refinement that is chosen and what it made of the labels.
    shown : PaintedLabels or None
        The labels in the result layer: those of ``refined`` under what was painted by hand.
    volumes_ml : dict or None
        Volumes of the result; None before Segment.
    dice : mapping of target to float, or None
        Volume Dice with the expert labels, of that result; None where it is not known (yet).
    revision : int
        Grows whenever the result changes.
    networks : Networks or None
        What Segment found, where ``maps`` are those of another method by now.
    saved_strokes : ndarray of uint8 or None
        What was painted by hand when the result was saved last.
    opened : float
        When it came into the viewer, by the monotonic clock.
    """

    case: Case
    files: Any = None
    pool: tuple[Source, ...] = ()
    segmented: Case | None = None
    settings: Thresholds = field(default_factory=Thresholds)
    maps: ClassMaps | None = None
    live: ThresholdLabels | None = None
    refined: Refined = field(default_factory=Refined)
    shown: PaintedLabels | None = None
    volumes_ml: dict[str, float] | None = None
    dice: Mapping[Target, float] | None = None
    revision: int = 0
    networks: Networks | None = None
    saved_strokes: NDArray[np.uint8] | None = None
    opened: float = field(default_factory=time.monotonic)

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    def __post_init__(self) -> None:
        self.pool = self.pool or sources_of(self.case)

    def start(self, maps: ClassMaps) -> None:
        """Take new maps, cut at the present settings; what was painted by hand stays."""
        live = ThresholdLabels(maps, self.settings)
        live.finish()
        self.live = live
        self.refined.start(live)
        if self.shown is None:
            self.shown = PaintedLabels(live.labels)
        self.maps = maps

    @property
    def result(self) -> Segmentation:
        """The result as it is shown: refined where the whole case is, painted where it was."""
        return self.painted_over(self.refined.segmentation)

    def painted_over(self, base: Segmentation) -> Segmentation:
        """Labels of this case with the strokes over them."""
        if self.shown is None or not self.shown.painted:
            return base
        return replace(base, labels=self.shown.over(base.labels), painted=self.shown.painted)

    @property
    def unsaved_strokes(self) -> bool:
        """Whether something was painted by hand that no file has."""
        strokes = None if self.shown is None else self.shown.strokes
        if strokes is None or self.saved_strokes is None:
            return strokes is not None
        return not np.array_equal(strokes, self.saved_strokes)

    def count(self) -> None:
        """Bring the volumes of a changed result up to date."""
        painted = self.shown is not None and self.shown.painted
        self.dice = self._dice(bool(painted))
        self.volumes_ml = self.result.volumes_ml if painted else self.refined.volumes_ml
        self.revision += 1

    def _dice(self, painted: bool) -> Mapping[Target, float] | None:
        expert = None if self.case.expert is None else self.case.expert.labels
        if expert is None or self.live is None:
            return None
        if painted:
            return dice_of(joint_counts(self.result.labels, expert))
        if self.refined.current is not None:
            change = self.refined.change
            return {} if change is None else {t: after for t, (_, after) in change.dice.items()}
        self.live.compare_with(expert)
        return self.live.dice

    def assignment(self) -> dict[Modality, Source | None]:
        """Which volume of the pool is which modality."""
        return {
            modality: next(
                (
                    source
                    for source in self.pool
                    if source.volume is not None
                    and source.volume is self.case.volumes.get(modality)
                ),
                None,
            )
            for modality in Modality
        }


Level = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Message:
    """One sentence for the panel's strip."""

    text: str
    level: Level = "info"


@dataclass(eq=False)
class State:
    """The state of one viewer's panels.

    Parameters
    ----------
    open_cases : tuple of OpenCase
        The cases whose layers are in the viewer.
    current : OpenCase or None
        The case the panel works on.
    device : str
        Name of a device, or ``"auto"``.
    devices : tuple of (name, title)
        What this computer has; filled in by the engine.
    bundle : BundleInfo or None
        The weights in use.
    running : OpenCase or None
        The case that Segment works on.
    progress : Progress or None
        How far it is.
    refining : OpenCase or None
        The case that a refinement is applied to.
    refining_progress : Progress or None
        How far that is.
    message : Message or None
        What the strip shows.
    under : Modality or None
        What lies under the maps of a comparison; None for what shows each class best.
    outline : bool
        Whether segmentations are drawn as outlines.
    panels : int
        How many panels show it.
    """

    open_cases: tuple[OpenCase, ...] = ()
    current: OpenCase | None = None
    device: str = "auto"
    devices: tuple[tuple[str, str], ...] = (("auto", "Automatic"),)
    bundle: Any = None
    running: OpenCase | None = None
    progress: Progress | None = None
    refining: OpenCase | None = None
    refining_progress: Progress | None = None
    message: Message | None = None
    under: Modality | None = None
    outline: bool = False
    panels: int = 0

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    def announce(self, text: str) -> Message:
        """Show what has begun, instead of what was said before; `withdraw` it at the end."""
        self.message = Message(text)
        return self.message

    def withdraw(self, message: Message) -> None:
        """Take a sentence back, unless another one is shown by now."""
        if self.message is message:
            self.message = None

    def say(self, text: str, level: Level = "info") -> None:
        """Show a sentence."""
        self.message = Message(text, level)


_states: WeakKeyDictionary[Any, State] = WeakKeyDictionary()


def unwrap(viewer: Any) -> Any:
    """Return the viewer itself where napari handed out a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def state_of(viewer: Any) -> State:
    """Return the state of a viewer; it lives as long as the viewer."""
    return _states.setdefault(unwrap(viewer), State())
