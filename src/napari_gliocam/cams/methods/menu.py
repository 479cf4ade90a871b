"""The methods as a menu shows them; known without torch, which no window's thread may import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One method.

    Parameters
    ----------
    name : str
        For `napari_gliocam.cams.methods.registry.make_method`.
    title : str
        What a user reads.
    paper : str
        Where it comes from, for a tooltip.
    layered : bool
        Whether a layer can be chosen.
    slow : bool
        Whether it takes a pass of the network for every channel of a slice.
    """

    name: str
    title: str
    paper: str
    layered: bool = True
    slow: bool = False


MENU: tuple[Entry, ...] = (
    Entry("gradcam", "GradCAM", "Selvaraju et al. 2017"),
    Entry("gradcam++", "GradCAM++", "Chattopadhay et al. 2018"),
    Entry("smoothgradcam++", "SmoothGradCAM++", "Omeiza et al. 2019"),
    Entry("layercam", "LayerCAM", "Jiang et al. 2021"),
    Entry("scorecam", "ScoreCAM", "Wang et al. 2020", slow=True),
    Entry("exit", "Exit map", "AME-CAM, section 2.1"),
    Entry("average", "Average of exits", 'AME-CAM, Table 2, "Avg. ME"', layered=False),
    Entry("amecam", "AME-CAM", "AME-CAM, section 2.2", layered=False),
    Entry("guided", "Guided aggregate", "inter-class separability, Eq. 3 and 4", layered=False),
    Entry(
        "scorecam-top",
        "ScoreCAM, top channels (approximate)",
        "the channels that vary most over the slice",
        slow=True,
    ),
    Entry(
        "scorecam-grouped",
        "ScoreCAM, grouped channels (approximate)",
        "groups of similar channels",
        slow=True,
    ),
)
