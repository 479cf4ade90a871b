"""Every method by the name that a user types."""

from __future__ import annotations

from typing import Any

from napari_gliocam.cams.base import Method
from napari_gliocam.cams.gradcam import GradCAM
from napari_gliocam.cams.layercam import LayerCAM
from napari_gliocam.errors import GliocamError

#: In the order of a menu.
METHODS: dict[str, type[Method]] = {method.name: method for method in (GradCAM, LayerCAM)}


def make_method(name: str, **settings: Any) -> Method:
    """A method by its name.

    Parameters
    ----------
    name : str
        A key of `METHODS`.
    **settings
        Of that method's class.

    Raises
    ------
    GliocamError
        If there is no such method.
    """
    if name not in METHODS:
        raise GliocamError(f'There is no method "{name}"; choose one of {", ".join(METHODS)}.')
    return METHODS[name](**settings)
