"""The colours of `napari_gliocam.colours` as napari wants them."""

from __future__ import annotations

import numpy as np
from napari.utils import Colormap, DirectLabelColormap

from napari_gliocam.colours import CLASS_COLOURS, CONFUSION_COLOURS, TARGET_COLOURS, rgb
from napari_gliocam.targets import Target

#: Of borders over grey images: superpixels step back behind the edges between clusters.
BORDER_COLOURS = {"superpixels": "#999999", "edge map": "#FFFFFF"}


def border_colormap(overlay: str) -> DirectLabelColormap:
    """Return a colormap with one colour for 1, clear elsewhere."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    return DirectLabelColormap(
        color_dict=colours | {1: BORDER_COLOURS[overlay]}, name=f"gliocam {overlay}"
    )


def contour_colormap() -> DirectLabelColormap:
    """Return white for every value: contours stand out from maps of any colour."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    colours |= dict.fromkeys((1, 2, 3), "#FFFFFF")
    return DirectLabelColormap(color_dict=colours, name="gliocam contours")


def labels_colormap() -> DirectLabelColormap:
    """Return the colours of core, edema and voxels that both claim; anything else is clear."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    return DirectLabelColormap(color_dict=colours | CLASS_COLOURS, name="gliocam classes")


def confusion_colormap() -> DirectLabelColormap:
    """Return the colours of right and wrong; voxels that neither side claims are clear."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    return DirectLabelColormap(color_dict=colours | CONFUSION_COLOURS, name="gliocam agreement")


def map_colormap(target: Target) -> Colormap:
    """Return a colormap from clear to the class's colour, which does not hide the image below."""
    red, green, blue = (channel / 255 for channel in rgb(TARGET_COLOURS[target]))
    ramp = np.array([[red, green, blue, 0.0], [red, green, blue, 1.0]], dtype=np.float32)
    return Colormap(ramp, name=f"gliocam {target}", display_name=f"gliocam {target}")
