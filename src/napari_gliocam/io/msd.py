"""The layout of the Medical Segmentation Decathlon: one 4-D file a case, labels elsewhere.

``imagesTr/BRATS_001.nii.gz`` holds the modalities along its fourth axis,
``labelsTr/BRATS_001.nii.gz`` the labels, and ``dataset.json`` above both says which is which.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io.naming import Role, parse_name, stem

if TYPE_CHECKING:
    from pathlib import Path

#: The channels of Task01_BrainTumour, where no ``dataset.json`` says otherwise.
KNOWN_ORDER = (Modality.FLAIR, Modality.T1, Modality.T1CE, Modality.T2)

_IMAGES = ("imagestr", "imagests")
_LABELS = "labelstr"
_NAME = re.compile(r"BRATS_\d+", re.IGNORECASE)


def is_msd_volume(path: Path, role: Role) -> bool:
    """Return True if a file is a 4-D case by its place, or by its name alone."""
    if path.parent.name.lower() == _LABELS or role is not Role.UNKNOWN:
        return False
    return path.parent.name.lower() in _IMAGES or _NAME.fullmatch(stem(path.name)) is not None


def is_msd_labels(path: Path) -> bool:
    """Return True if a file lies where the Decathlon keeps its labels."""
    return path.parent.name.lower() == _LABELS


def labels_of(volume: Path) -> Path | None:
    """Find the label file of a case, where there is one."""
    return _twin(volume, _LABELS) if volume.parent.name.lower() in _IMAGES else None


def volume_of(labels: Path) -> Path | None:
    """Find the 4-D case of a label file, where there is one."""
    return _twin(labels, _IMAGES[0]) or _twin(labels, _IMAGES[1])


def channel_order(volume: Path) -> tuple[Modality, ...]:
    """Tell what the channels of a 4-D file are, in order.

    Parameters
    ----------
    volume : Path
        The 4-D file; ``dataset.json`` is looked for beside it and one level up.

    Raises
    ------
    CaseError
        ``dataset.json`` cannot be read, or names a channel that is no modality.
    """
    return described_order(volume) or KNOWN_ORDER


def description_of(image: Path) -> Path | None:
    """Find the ``dataset.json`` beside an image or one level up."""
    for folder in (image.parent, image.absolute().parent.parent):
        description = folder / "dataset.json"
        if description.is_file():
            return description
    return None


def described_order(image: Path) -> tuple[Modality, ...] | None:
    """Tell what the channels of an image are by its ``dataset.json``; None where there is none.

    Raises
    ------
    CaseError
        It cannot be read, or names a channel that is no modality.
    """
    description = description_of(image)
    return None if description is None else _described_order(description)


def _described_order(description: Path) -> tuple[Modality, ...]:
    remedy = "list its channels under “channel_names”, such as {“0”: “FLAIR”, “1”: “T1w”}"
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        channels = content.get("modality") or content["channel_names"]
        names = [str(channels[key]) for key in sorted(channels, key=int)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CaseError(
            f"{description} does not tell the order of the channels; {remedy}."
        ) from error
    order = [parse_name(name).modality for name in names]
    told = [modality for modality in order if modality is not None]
    if len(told) < len(order) or len(set(told)) < len(told) or not told:
        listed = ", ".join(names)
        raise CaseError(f"{description} names channels that cannot be told ({listed}); {remedy}.")
    return tuple(told)


def _twin(path: Path, folder: str) -> Path | None:
    root = path.absolute().parent.parent
    for candidate in root.iterdir():
        if candidate.name.lower() == folder and (candidate / path.name).is_file():
            return candidate / path.name
    return None
