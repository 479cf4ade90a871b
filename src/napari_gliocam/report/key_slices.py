"""Choice of the slices that a report shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Modality
from napari_gliocam.colours import CLASS_COLOURS, CONFUSION_COLOURS
from napari_gliocam.measure.lesion.diameters import Diameters, Line
from napari_gliocam.measure.scores.confusion import CONFUSION_NAMES, confusion
from napari_gliocam.report.reading import Reading
from napari_gliocam.targets import CLASS_NAMES, Target

#: Two pictures this close to each other show the same.
NEAR_MM = 5.0


@dataclass(frozen=True, eq=False)
class KeySlice:
    """One picture of a report.

    Parameters
    ----------
    title, words : str
        What it shows, and its figures.
    index : int
        Slice of the case.
    modality : Modality
        Under the overlay.
    labels : ndarray of uint8, shape (P, L)
        The overlay; 0 is clear.
    colours, names : mapping of label to str
        Of the values that can occur in it.
    lines : tuple of Line
        Diameters to draw.
    """

    title: str
    words: str
    index: int
    modality: Modality
    labels: NDArray[np.uint8]
    colours: dict[int, str] = field(default_factory=lambda: dict(CLASS_COLOURS))
    names: dict[int, str] = field(default_factory=lambda: dict(CLASS_NAMES))
    lines: tuple[Line, ...] = ()


def key_slices(reading: Reading) -> list[KeySlice]:
    """Choose the slices with the largest diameters, most core, most edema and most overlap.

    No picture is shown twice: figures of one slice share it, and the slice with most core or edema
    is only named where a picture of the same modality lies less than 5 mm away.  Where nothing was
    found, it is the slice with most brain, as it is.
    """
    if not reading.with_pictures:
        return []
    case, labels, areas = reading.case, reading.labels, reading.areas
    flair, t1ce = case.best_modality("tumour"), case.best_modality("core")
    if not areas.lesion_slices.size:
        index = int(np.count_nonzero(case.brain, axis=(1, 2)).argmax())
        return [KeySlice("Most brain", "no lesion found", index, flair, labels[index])]
    found: list[KeySlice] = []
    measured = reading.measures.case
    for title, modality, diameters in (
        ("Largest diameters of the tumour", flair, measured.tumour.diameters),
        ("Largest diameters of the core", t1ce, measured.core.diameters),
    ):
        if diameters.slice is not None:
            index = diameters.slice
            found.append(
                KeySlice(
                    title,
                    in_words(diameters),
                    index,
                    modality,
                    labels[index],
                    lines=diameters.lines,
                )
            )
    for name, modality, area in (("core", t1ce, areas.core), ("edema", flair, areas.edema)):
        index = int(area.argmax())
        if area[index] > 0:
            words = f"{area[index]:.0f} mm² {name}"
            most = KeySlice(f"Most {name}", words, index, modality, labels[index])
            found = _told_beside(most, found, case.grid.spacing[0])
    found = _merged(found)
    if reading.claimed is not None and reading.overlap and reading.overlap.worst:
        worst = reading.overlap.worst[0]
        words = f"{worst.mm2:.0f} mm² overlap of core and edema"
        found.append(
            KeySlice("Most overlap", words, worst.index, t1ce, reading.claimed[worst.index])
        )
    return found


def _told_beside(key: KeySlice, found: list[KeySlice], slice_mm: float) -> list[KeySlice]:
    """Add a picture, or its figures to one of the same modality that is less than 5 mm away."""
    for at, other in enumerate(found):
        near = abs(other.index - key.index) * slice_mm < NEAR_MM
        if near and other.modality == key.modality and other.index != key.index:
            title = key.title[:1].lower() + key.title[1:]
            told = replace(other, words=f"{other.words}; {title}: {key.words} on slice {key.index}")
            return [*found[:at], told, *found[at + 1 :]]
    return [*found, key]


def _merged(found: list[KeySlice]) -> list[KeySlice]:
    """Make one picture of those that show the same slice of the same modality."""
    merged: dict[tuple[int, Modality], KeySlice] = {}
    for key in found:
        place = key.index, key.modality
        first = merged.get(place)
        if first is not None:
            title = key.title[:1].lower() + key.title[1:]
            key = replace(
                first,
                title=f"{first.title}, {title}",
                words=f"{first.words}; {key.words}",
                lines=(*first.lines, *key.lines),
            )
        merged[place] = key
    return list(merged.values())


def agreement_slices(reading: Reading) -> list[KeySlice]:
    """Choose the slices on which tumour and core, where both divide it, differ most."""
    if reading.expert is None or not reading.with_pictures:
        return []
    case, found = reading.case, []
    shown: tuple[Target, ...] = ("tumour", "core")
    for target in (target for target in shown if target in reading.comparison):
        compared = confusion(reading.labels, reading.expert.labels, target)
        wrong = np.count_nonzero(compared > 1, axis=(1, 2))
        index = int((wrong if wrong.any() else np.count_nonzero(compared, axis=(1, 2))).argmax())
        if not compared[index].any():
            continue
        _, row_mm, column_mm = case.grid.spacing
        words = f"{wrong[index] * row_mm * column_mm:.0f} mm² differ"
        found.append(
            KeySlice(
                f"{target.capitalize()}, largest difference",
                words,
                index,
                case.best_modality(target),
                compared[index],
                dict(CONFUSION_COLOURS),
                dict(CONFUSION_NAMES),
            )
        )
    return found


def in_words(diameters: Diameters) -> str:
    """Return diameters in words, such as "41.2 × 28.0 mm, product 1154 mm²"."""
    return (
        f"{diameters.long_mm:.1f} × {diameters.perpendicular_mm:.1f} mm, "
        f"product {diameters.product_mm2:.0f} mm²"
    )
