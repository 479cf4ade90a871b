"""The colours of the classes, named once; everything else follows napari's theme.

Okabe and Ito's orange, sky blue and yellow differ in lightness too, so that readers with a
red-green deficiency and grey prints tell them apart.
"""

from __future__ import annotations

import numpy as np
from napari.utils import Colormap, DirectLabelColormap

from napari_gliocam.cams.volume import Target
from napari_gliocam.threshold import BOTH, CORE, EDEMA

CLASS_COLOURS = {CORE: "#E69F00", EDEMA: "#56B4E9", BOTH: "#F0E442"}
TARGET_COLOURS: dict[Target, str] = {
    "tumour": "#CC79A7",
    "core": CLASS_COLOURS[CORE],
    "edema": CLASS_COLOURS[EDEMA],
}
#: Of borders over grey images: superpixels step back behind the edges between clusters.
BORDER_COLOURS = {"superpixels": "#999999", "edge map": "#FFFFFF"}


def border_colormap(overlay: str) -> DirectLabelColormap:
    """One colour for 1, clear elsewhere."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    return DirectLabelColormap(
        color_dict=colours | {1: BORDER_COLOURS[overlay]}, name=f"gliocam {overlay}"
    )


def labels_colormap() -> DirectLabelColormap:
    """Colours of core, edema and voxels that both claim; anything else is clear."""
    colours: dict[int | None, str] = {0: "transparent", None: "transparent"}
    colours.update(CLASS_COLOURS)
    return DirectLabelColormap(color_dict=colours, name="gliocam classes")


def map_colormap(target: Target) -> Colormap:
    """From clear to the class's colour: a map lies over the image without hiding it."""
    red, green, blue = (int(TARGET_COLOURS[target][i : i + 2], 16) / 255 for i in (1, 3, 5))
    ramp = np.array([[red, green, blue, 0.0], [red, green, blue, 1.0]], dtype=np.float32)
    return Colormap(ramp, name=f"gliocam {target}", display_name=f"gliocam {target}")
