"""Every method by the name that a user types."""

from __future__ import annotations

from typing import Any

from napari_gliocam.cams.methods.aggregates import AmeCAM, GuidedAggregate
from napari_gliocam.cams.methods.base import Method
from napari_gliocam.cams.methods.exits import AverageOfExits, ExitMap
from napari_gliocam.cams.methods.gradcam import GradCAM
from napari_gliocam.cams.methods.gradcam_plusplus import GradCAMPlusPlus
from napari_gliocam.cams.methods.layercam import LayerCAM
from napari_gliocam.cams.methods.multiscale import MultiScale
from napari_gliocam.cams.methods.scorecam import ScoreCAM
from napari_gliocam.cams.methods.scorecam_fast import GroupedScoreCAM, TopScoreCAM
from napari_gliocam.cams.methods.smooth_gradcam_plusplus import SmoothGradCAMPlusPlus
from napari_gliocam.errors import GliocamError

#: In the order of a menu.
METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        GradCAM,
        GradCAMPlusPlus,
        SmoothGradCAMPlusPlus,
        LayerCAM,
        ScoreCAM,
        ExitMap,
        AverageOfExits,
        AmeCAM,
        GuidedAggregate,
        TopScoreCAM,
        GroupedScoreCAM,
    )
}

#: Before the name of a method: at several scales.
_MULTISCALE = "multiscale:"


def make_method(name: str, **settings: Any) -> Method:
    """A method by its name.

    Parameters
    ----------
    name : str
        A key of `METHODS`, such as ``"gradcam"``; ``"multiscale:gradcam"`` for several scales.
    **settings
        Of that method's class.

    Raises
    ------
    GliocamError
        If there is no such method.
    """
    if name.startswith(_MULTISCALE):
        return MultiScale(make_method(name.removeprefix(_MULTISCALE), **settings))
    if name not in METHODS:
        raise GliocamError(f'There is no method "{name}"; choose one of {", ".join(METHODS)}.')
    return METHODS[name](**settings)
