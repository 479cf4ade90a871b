"""State of a viewer that its docks share: cases, choices, running work.  No Qt here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from weakref import WeakKeyDictionary

from psygnal import SignalGroupDescriptor

from napari_gliocam.case import Case, Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Networks, SegmentRequest, Thresholds
from napari_gliocam.threshold import Segmentation
from napari_gliocam.ui.model.assign import Source, sources_of
from napari_gliocam.ui.model.result import Result

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gliocam.io import CaseFiles
    from napari_gliocam.io.unsaved import UnsavedWork
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.prepare import Examination
    from napari_gliocam.trust.sequences import CaseSequences
    from napari_gliocam.trust.statement import TrustStatement


@dataclass(frozen=True, eq=False)
class Kept:
    """The result of Segment, kept while another method's maps are the result.

    Parameters
    ----------
    settings : Thresholds
        The thresholds that were set then.
    result : Result or None
        None where Segment had not run.
    """

    settings: Thresholds
    result: Result | None


@dataclass(eq=False)
class OpenCase:
    """A case in a viewer and its result; its layers carry it in their metadata.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    files : CaseFiles or None
        Where it came from, to read it again another way.
    pool : tuple of Source
        Volumes to choose modalities from; those of the case as it was read by default.
    settings : Thresholds
        The thresholds of this case.
    usual : Thresholds
        Those of the bundle in use when the case was opened or segmented last.
    refinement : Refinement
        The refinement of this case; change it by `choose`.
    result : Result or None
        The labels with all that they are made from; None before Segment.
    revision : int
        Grows whenever the labels of the result change.
    kept : Kept or None
        What Segment found, where ``result`` is that of another method by now.
    trust : TrustStatement or None
        How far the result can be trusted; None until that is measured.
    sequences : CaseSequences or None
        Contributions of the sequences to the result's maps; None until they are asked for.
    to_prepare : Examination or None
        Its files as series, where it shows the skull; what it can be prepared from.
    unsaved : UnsavedWork or None
        Strokes and settings that were kept before the program died, until they are restored.
    waiting_strokes : ndarray of uint8, shape (S, P, L), or None
        Restored strokes that the next result gets.
    answered : frozenset of Modality
        Modalities for which a volume was chosen by hand, or that they are missing.
    opened : float
        When it came into the viewer, by the monotonic clock.
    """

    case: Case
    files: CaseFiles | None = None
    pool: tuple[Source, ...] = ()
    settings: Thresholds = field(default_factory=Thresholds)
    usual: Thresholds = field(default_factory=Thresholds)
    refinement: Refinement = field(default_factory=Refinement)
    result: Result | None = None
    revision: int = 0
    kept: Kept | None = None
    trust: TrustStatement | None = None
    sequences: CaseSequences | None = None
    to_prepare: Examination | None = None
    unsaved: UnsavedWork | None = None
    waiting_strokes: NDArray[np.uint8] | None = None
    answered: frozenset[Modality] = frozenset()
    opened: float = field(default_factory=time.monotonic)

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    def __repr__(self) -> str:
        """Return the name; psygnal formats what a callback holds, in the window's thread."""
        return f"OpenCase({self.case.name!r})"

    def __post_init__(self) -> None:
        self.pool = self.pool or sources_of(self.case)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that the case was found in; empty where it came from no file."""
        return () if self.files is None else tuple(self.files.paths)

    @property
    def open_choice(self) -> str:
        """The choice that is open before the case can be segmented, as a sentence; empty for none.

        Half of a case must not be segmented because a name was not understood.
        """
        if self.files is None or (self.files.modalities and not self.files.choice):
            return ""
        known = {*self.files.modalities, *self.case.volumes, *self.answered}
        asked = [modality.title for modality in Modality if modality not in known]
        used = [source for source in self.assignment().values() if source is not None]
        if not asked or all(source in used for source in self.pool):
            return ""
        return f"Choose under Files which file is {' and '.join(asked)}, or that there is none."

    # ---- the result

    @property
    def segmented(self) -> Case:
        """The case that the result belongs to; its modalities may have changed since."""
        return self.case if self.result is None else self.result.case

    @property
    def networks(self) -> Kept:
        """The result of the networks with its thresholds, also while a method's is in use."""
        return self.kept or Kept(self.settings, self.result)

    @property
    def unsaved_strokes(self) -> bool:
        """Whether something was painted by hand that no file has."""
        return self.result is not None and self.result.painted.unsaved

    def thresholds_for(self, usual: Thresholds) -> Thresholds:
        """Return the thresholds to segment with: a bundle's, unless others were set by hand."""
        settings = self.networks.settings
        by_hand = settings.cut_like(self.usual) != settings
        return settings if by_hand else settings.cut_like(usual)

    def follow(self, usual: Thresholds) -> None:
        """Take the thresholds of a bundle, unless others were set by hand."""
        settings, self.usual = self.thresholds_for(usual), usual
        if self.kept is None:
            self.settings = settings
        else:
            self.kept = replace(self.kept, settings=settings)

    def choose(self, refinement: Refinement) -> None:
        """Choose another refinement; nothing runs here."""
        if self.result is not None:
            self.result.refinement = refinement
            self.result.flipped &= refinement.changes_something
        self.refinement = refinement

    def take(
        self,
        case: Case,
        maps: ClassMaps,
        refined: Segmentation | None = None,
        cut: Result | None = None,
    ) -> None:
        """Take what Segment found; what was painted by hand stays.

        Parameters
        ----------
        case : Case
            The case as it was when Segment began.
        maps : ClassMaps
            The maps, which are cut at the thresholds of this case.
        refined : Segmentation, optional
            The refined result.
        cut : Result, optional
            These maps, cut and refined beforehand in another thread; it is used where the
            thresholds are still those of this case.
        """
        self.settings, self.kept = self.networks.settings, None
        if cut is None or cut.thresholded.settings != self.settings:
            self._show(self._cut(case, maps), refined)
            return
        if self.result is not None:
            cut.painted = self.result.painted
        cut.refinement = self.refinement
        self._show(cut)

    def use(self, maps: ClassMaps, settings: Thresholds) -> None:
        """Make another method's maps the result; what Segment found is kept."""
        self.kept = self.networks
        self.settings = settings
        self._show(self._cut(self.segmented, maps))

    def continue_with(self, result: Result) -> None:
        """Take a result that was saved before, with its settings, refinement and strokes."""
        self.kept = self.result = None
        self.settings = result.thresholded.settings
        self.choose(result.refinement)
        self._show(result)

    def undo_use(self) -> None:
        """Bring back what Segment found, under the strokes of now."""
        assert self.kept is not None
        kept, self.kept = self.kept, None
        self.settings = kept.settings
        if kept.result is None:
            self.result = None
            return
        kept.result.refinement = self.refinement
        kept.result.thresholded.finish()
        self._show(kept.result)

    def _cut(self, case: Case, maps: ClassMaps) -> Result:
        painted = None if self.result is None else self.result.painted
        return Result.of(case, maps, self.settings, self.refinement, painted)

    def _show(self, result: Result, refined: Segmentation | None = None) -> None:
        if refined is not None:
            result.take(refined)
        if self.waiting_strokes is not None:
            result.painted.strokes, self.waiting_strokes = self.waiting_strokes, None
            result.painted.follow(result.unpainted_labels)
        self._count(result)
        self.result = result
        self.revision += 1

    def count(self) -> None:
        """Bring volumes and Dice of a changed result up to date."""
        if self.result is not None:
            self._count(self.result)
            self.revision += 1

    def _count(self, result: Result) -> None:
        result.count(None if self.case.expert is None else self.case.expert.labels)

    def assignment(self) -> dict[Modality, Source | None]:
        """Return the volume of the pool that is each modality, or None."""
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
#: What a dock beside the canvas shows: the two other planes, or another modality.
SideKind = Literal["planes", "modality"]


@dataclass(frozen=True)
class Message:
    """One sentence for the panel's strip.

    Parameters
    ----------
    text : str
        The sentence.
    level : {"error", "warning", "info"}
        Its weight.
    of_slice : bool
        Whether it speaks of the slice in view, and goes when another one is shown.
    """

    text: str
    level: Level = "info"
    of_slice: bool = False


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
    networks : {"bundle", "maps", "segmenter"}
        Those of the bundle that segment, see `SegmentRequest`.
    running : OpenCase or None
        The case that Segment works on.
    progress : Progress or None
        How far it is.
    refining : OpenCase or None
        The case that a refinement is applied to.
    refining_progress : Progress or None
        How far that is.
    examination : Examination or None
        Series that a case can be prepared from, and which of them is which modality.
    message : Message or None
        What the strip shows.
    under : Modality or None
        What lies under the maps of a comparison; None for what shows each class best.
    outline : bool
        Whether segmentations are drawn as outlines.
    one_contrast : bool
        Whether a modality has the same contrast in all cases.
    side_views : {"planes", "modality"} or None
        What is shown beside the canvas.
    panels : int
        How many panels show it.
    """

    open_cases: tuple[OpenCase, ...] = ()
    current: OpenCase | None = None
    device: str = "auto"
    devices: tuple[tuple[str, str], ...] = (("auto", "Automatic"),)
    bundle: BundleInfo | None = None
    networks: Networks = "bundle"
    running: OpenCase | None = None
    progress: Progress | None = None
    refining: OpenCase | None = None
    refining_progress: Progress | None = None
    examination: Examination | None = None
    message: Message | None = None
    under: Modality | None = None
    outline: bool = False
    one_contrast: bool = False
    side_views: SideKind | None = None
    panels: int = 0

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    def request_for(self, opened: OpenCase) -> SegmentRequest:
        """Return how a case is segmented, by the choices in the panel."""
        thresholds = opened.thresholds_for(self.usual)
        return SegmentRequest(
            self.bundle_path, self.device, thresholds, opened.refinement, self.networks
        )

    @property
    def bundle_path(self) -> Path | None:
        """The folder of the bundle in use; None for the one that ships."""
        return None if self.bundle is None else self.bundle.path

    @property
    def usual(self) -> Thresholds:
        """The thresholds of the bundle in use."""
        if self.bundle is None:
            return Thresholds()
        from napari_gliocam.segmentation import bundle_thresholds

        return bundle_thresholds(self.bundle)

    def announce(self, text: str) -> Message:
        """Show what has begun, instead of what was said before; `withdraw` it at the end."""
        self.message = Message(text)
        return self.message

    def withdraw(self, message: Message) -> None:
        """Take a sentence back, unless another one is shown by now."""
        if self.message is message:
            self.message = None

    def say(self, text: str, level: Level = "info", *, of_slice: bool = False) -> None:
        """Show a sentence; one that speaks of the slice in view goes with it."""
        self.message = Message(text, level, of_slice)

    def fail(self, sentence: str) -> None:
        """Show why something failed."""
        self.say(sentence, "error")


_states: WeakKeyDictionary[ViewerModel, State] = WeakKeyDictionary()


def unwrap(viewer: ViewerModel) -> ViewerModel:
    """Return the viewer itself where napari handed out a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def state_of(viewer: ViewerModel) -> State:
    """Return the state of a viewer; it lives as long as the viewer."""
    return _states.setdefault(unwrap(viewer), State())
