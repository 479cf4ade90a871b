"""The colours of classes and of right and wrong, named once; everything else is neutral.

Within each group readers with a red-green deficiency tell the colours apart (the tests simulate
it), and so do those who see all colours.
"""

from __future__ import annotations

from napari_gliocam.case import Modality
from napari_gliocam.targets import BOTH, CORE, EDEMA, TUMOUR, Target

#: Orange, sky blue and reddish purple are Okabe and Ito's; what both claim is violet.
CLASS_COLOURS: dict[int, str] = {
    CORE: "#E69F00",
    EDEMA: "#56B4E9",
    BOTH: "#B026FF",
    TUMOUR: "#CC79A7",
}

TARGET_COLOURS: dict[Target, str] = {
    "tumour": CLASS_COLOURS[TUMOUR],
    "core": CLASS_COLOURS[CORE],
    "edema": CLASS_COLOURS[EDEMA],
}

#: Sequences in a bar of their shares; never without name and number.
MODALITY_COLOURS: dict[Modality, str] = {
    Modality.T1: "#BBBBBB",
    Modality.T1CE: "#F0E442",
    Modality.T2: "#117733",
    Modality.FLAIR: "#5D3A9B",
}

#: An expert's outline beside the white one of a map.
EXPERT_COLOUR = "#00DC82"

#: True positive green, false positive magenta, false negative blue, as in paper 1, Fig. 2; the
#: keys are the values of `napari_gliocam.measure.scores.confusion`.
CONFUSION_COLOURS: dict[int, str] = {1: "#6CC644", 2: "#FF4FA8", 3: "#2E5BFF"}


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue from 0 to 255 of a colour such as "#E69F00"."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
