"""Readers with a red-green deficiency tell the colours of a group apart."""

from itertools import combinations

import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.colours import (
    CLASS_COLOURS,
    CONFUSION_COLOURS,
    MODALITY_COLOURS,
    TARGET_COLOURS,
    rgb,
)
from napari_gliocam.measure import CONFUSION_NAMES
from napari_gliocam.targets import CLASS_NAMES, TUMOUR

#: Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "all colours": np.eye(3),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)

#: No volume holds tumour that is divided and tumour that is not.
DIVIDED = {label: colour for label, colour in CLASS_COLOURS.items() if label != TUMOUR}


def lab(colour, sight):
    """CIE Lab of a colour as it is seen."""
    channels = np.array(rgb(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SIGHT[sight] @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("group", [DIVIDED, CONFUSION_COLOURS, MODALITY_COLOURS])
def test_colours_of_a_group_differ_for_every_reader(sight, group):
    for one, other in combinations(group.values(), 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 40, (one, other)


def test_everything_that_has_a_name_has_a_colour():
    assert set(CLASS_COLOURS) == set(CLASS_NAMES)
    assert set(CONFUSION_COLOURS) == set(CONFUSION_NAMES)
    assert set(MODALITY_COLOURS) == set(Modality)
    assert set(TARGET_COLOURS) == {"tumour", "core", "edema"}
    assert rgb("#0A10FF") == (10, 16, 255)
