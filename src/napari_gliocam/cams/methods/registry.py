"""Every method by the name that a user types; torch is imported when one is made."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_gliocam.errors import GliocamError
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    from napari_gliocam.cams.methods.base import Method


@dataclass(frozen=True)
class Entry:
    """A method as a menu shows it.

    Parameters
    ----------
    title : str
        The name that a user reads.
    paper : str
        The source, for a tooltip.
    place : str
        Module in `napari_gliocam.cams.methods` and class, such as ``"gradcam:GradCAM"``.
    layered : bool
        Whether the maps depend on the layer that is chosen.
    slow : bool
        Whether it takes a pass of the network for every channel of a slice.
    """

    title: str
    paper: str
    place: str
    layered: bool = True
    slow: bool = False


#: By the name that a user types, in the order of a menu.
METHODS: dict[str, Entry] = {
    "gradcam": Entry("GradCAM", "Selvaraju et al. 2017", "gradcam:GradCAM"),
    "gradcam++": Entry("GradCAM++", "Chattopadhay et al. 2018", "gradcam_plusplus:GradCAMPlusPlus"),
    "smoothgradcam++": Entry(
        "SmoothGradCAM++", "Omeiza et al. 2019", "smooth_gradcam_plusplus:SmoothGradCAMPlusPlus"
    ),
    "layercam": Entry("LayerCAM", "Jiang et al. 2021", "layercam:LayerCAM"),
    "layercam-fused": Entry(
        "LayerCAM, fused over stages",
        "Jiang et al. 2021, section III-C: maximum over the stages",
        "layercam:FusedLayerCAM",
        layered=False,
    ),
    "occlusion": Entry(
        "Occlusion sensitivity", "Zeiler and Fergus 2014", "occlusion:Occlusion", slow=True
    ),
    "scorecam": Entry("ScoreCAM", "Wang et al. 2020", "scorecam:ScoreCAM", slow=True),
    "exit": Entry("Exit map", "AME-CAM, section 2, Eq. 1", "exits:ExitMap"),
    "average": Entry(
        "Average of exits",
        'AME-CAM, Table 2, "Avg. ME"',
        "exits:AverageOfExits",
        layered=False,
    ),
    "amecam": Entry(
        "AME-CAM (classes: hybrid)",
        "Tumour: AME-CAM, end of section 2. Core and edema: the same mean with the guided "
        "aggregate of inter-class separability, a hybrid that is in neither paper",
        "exits:AmeCAM",
        layered=False,
    ),
    "guided": Entry(
        "Guided aggregate",
        "Inter-class separability, Eq. 3 and 4",
        "exits:GuidedAggregate",
        layered=False,
    ),
    "refit": Entry(
        "GradCAM of clusters (ReFit)",
        "Paper 4, section 2.2: GradCAM of the slice in clusters; BoundaryFit follows as refinement",
        "refit:RefitGradCAM",
    ),
    "scorecam-top": Entry(
        "ScoreCAM, top channels (approximate)",
        "Only the channels that vary most over the slice",
        "scorecam_fast:TopScoreCAM",
        slow=True,
    ),
    "scorecam-grouped": Entry(
        "ScoreCAM, grouped channels (approximate)",
        "Groups of similar channels",
        "scorecam_fast:GroupedScoreCAM",
        slow=True,
    ),
}

#: Method of bundles that have a segmentation network, and its entry in a menu.
SEGMENTER = "segmenter"
OF_SEGMENTER = Entry(
    "Segmentation network",
    "Papers 3 and 4: the network that was taught by the maps; it is shown, not explained",
    "exits:SegmenterMaps",
    layered=False,
)

#: Before the name of a method: at several scales.
MULTISCALE = "multiscale:"


def make_method(name: str, *, normalise_scales: bool = False, **settings: Any) -> Method:
    """Make a method from its name.

    Parameters
    ----------
    name : str
        A key of `METHODS`, such as ``"gradcam"``; ``"multiscale:gradcam"`` for several scales;
        `SEGMENTER`.
    normalise_scales : bool
        At several scales, bring each scale's map into [0, 1] before the mean.
    **settings
        Of that method's class.

    Raises
    ------
    GliocamError
        If there is no such method.
    """
    if name.startswith(MULTISCALE):
        from napari_gliocam.cams.methods.multiscale import MultiScale

        inner = make_method(name.removeprefix(MULTISCALE), **settings)
        if inner.name == SEGMENTER:
            raise GliocamError(
                f'The segmentation network has one scale; leave "{MULTISCALE}" out of its name.'
            )
        return MultiScale(inner, normalise_scales=normalise_scales)
    known = {**METHODS, SEGMENTER: OF_SEGMENTER}
    if name not in known:
        raise GliocamError(no_such(name, known, "method"))
    module, class_ = known[name].place.split(":")
    kind = getattr(import_module(f"napari_gliocam.cams.methods.{module}"), class_)
    method: Method = kind(**settings)
    return method
