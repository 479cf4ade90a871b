"""The slices of a training, from an index of cases and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.case_index import MIN_BRAIN_CM2, CaseIndex
from napari_gliocam.train.data.packed import PackedSlices
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.data.synthetic import Rehearsal
from napari_gliocam.train.labels.tags import Tag, Tags, tags_from_counts
from napari_gliocam.train.recipe.fields import Data

#: Sides of network slices are multiples of this.
_SIDE = 16


@dataclass(frozen=True, eq=False)
class CaseSet:
    """Slices of cases with tags, and of synthetic cases.

    Parameters
    ----------
    slices : SliceSet
        The slices; ``case`` is the place in ``names``, below 0 for synthetic cases.
    blank : int
        Number of tagged slices that are left out because they show too little brain.
    """

    slices: SliceSet
    blank: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cases that have tagged slices."""
        return self.slices.names

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence about the slices that are left out, if there are any."""
        if not self.blank:
            return ()
        return (
            f"{self.blank} labelled slice{'s show' if self.blank > 1 else ' shows'} less than "
            f"{MIN_BRAIN_CM2:g} cm² of brain and {'are' if self.blank > 1 else 'is'} left out; a "
            'recipe with data.blank = "keep" learns from such slices, too.',
        )


def derive_tags(index: CaseIndex, data: Data) -> Tags:
    """Derive the tags of every case with expert labels, by the recipe's rule.

    Parameters
    ----------
    index : CaseIndex
        The cases, with counts of pixels where an expert outlined them.
    data : Data
        The recipe's rule.

    Returns
    -------
    Tags

    Raises
    ------
    TrainingError
        If no case has outlines.
    """
    tags = Tags()
    for name, case in index.usable.items():
        if case.core is not None and case.edema is not None:
            tags.cases[name] = tags_from_counts(
                np.array(case.core),
                np.array(case.edema),
                min_pixels=data.min_pixels,
                few_pixels=data.few_pixels,
            )
    if not tags.cases:
        raise TrainingError(
            f"No case in {index.root} has expert labels to derive slice labels from; tag slices "
            "by hand, or give a csv."
        )
    return tags


def gather_slices(index: CaseIndex, tags: Tags, rehearsal: Rehearsal | None = None) -> CaseSet:
    """Gather all slices with a tag that is not skipped.

    Parameters
    ----------
    index : CaseIndex
        The prepared cases.
    tags : Tags
        The labels of their slices.
    rehearsal : Rehearsal, optional
        Synthetic cases to learn from besides.

    Returns
    -------
    CaseSet

    Raises
    ------
    TrainingError
        If there is no such slice.
    """
    rehearsal = rehearsal or Rehearsal()
    usable = index.usable
    rows = {name: _rows(case.slices, tags.of(name)) for name, case in usable.items()}
    names = tuple(name for name, (places, _) in rows.items() if len(places))
    if not names:
        raise TrainingError(
            f"No slice of the cases in {index.root} has a label; tag some, or give a csv whose "
            "column case holds the cases' names."
        )
    files = [index.packed(name) for name in names] + list(rehearsal.files)
    places = [rows[name][0] for name in names] + [np.arange(len(y)) for y in rehearsal.labels]
    labels = [rows[name][1] for name in names] + list(rehearsal.labels)
    counts = [len(p) for p in places]
    number = np.concatenate([np.arange(len(names)), -1 - np.arange(len(rehearsal.files))])
    part = np.repeat(np.arange(len(files)), counts)
    shapes = [tuple(usable[name].shape) for name in names]
    if rehearsal.files:
        shapes.append(rehearsal.shape)
    height, width = (int(-(-max(side) // _SIDE)) * _SIDE for side in zip(*shapes, strict=True))
    channels = len(index.preparation.modalities)
    images = PackedSlices(files, part, np.concatenate(places), (channels, height, width))
    tagged = sum(not tag.skipped for name in usable for tag in tags.of(name).values())
    position = [
        np.array(usable[name].slices)[rows[name][0]] * usable[name].slice_mm for name in names
    ] + [np.zeros(len(y)) for y in rehearsal.labels]
    return CaseSet(
        SliceSet(
            images,
            np.concatenate(labels),
            np.repeat(number, counts),
            names,
            np.concatenate(position).astype(np.float32),
        ),
        blank=tagged - sum(counts[: len(names)]),
    )


def _rows(
    numbers: list[int], tags: Mapping[int, Tag]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return places in the packed file and labels (n, 3) of the tagged slices."""
    places, labels = [], []
    for place, number in enumerate(numbers):
        tag = tags.get(number)
        if tag is not None and not tag.skipped:
            places.append(place)
            labels.append((tag.tumour, tag.core, tag.edema))
    return (
        np.array(places, dtype=np.int64),
        np.array(labels, dtype=np.float32).reshape(-1, 3),
    )
