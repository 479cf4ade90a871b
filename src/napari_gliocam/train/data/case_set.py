"""The slices of a training, from an index of cases and their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.data.case_index import MIN_BRAIN_CM2, CaseIndex
from napari_gliocam.train.data.packed import Chosen, open_slices
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.labels.tags import Tag, Tags, tags_from_counts
from napari_gliocam.train.recipe.maps import Data


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


def gather_slices(
    index: CaseIndex, tags: Tags, synthetic: Sequence[Path] = ()
) -> tuple[SliceSet, tuple[str, ...]]:
    """Gather all slices with a tag that is not skipped.

    Parameters
    ----------
    index : CaseIndex
        The prepared cases.
    tags : Tags
        The labels of their slices.
    synthetic : sequence of Path
        Packed slices of synthetic cases to learn from besides.

    Returns
    -------
    slices : SliceSet
        ``case`` is the place in ``names``, below 0 for synthetic cases.
    warnings : tuple of str
        A sentence about the slices that are left out, if there are any.

    Raises
    ------
    TrainingError
        If there is no such slice.
    """
    usable = index.usable
    rows = {name: _rows(case.slices, tags.of(name)) for name, case in usable.items()}
    names = tuple(name for name, (places, _) in rows.items() if len(places))
    if not names:
        raise TrainingError(
            f"No slice of the cases in {index.root} has a label; tag some, or give a csv whose "
            "column case holds the cases' names."
        )
    slices = open_slices(
        [*(index.packed(name) for name in names), *synthetic],
        [*range(len(names)), *(-1 - n for n in range(len(synthetic)))],
        names=names,
        chosen=[rows[name] for name in names],
    )
    position = np.zeros(len(slices), dtype=np.float32)
    real = [np.array(usable[n].slices)[rows[n][0]] * usable[n].slice_mm for n in names]
    position[slices.case >= 0] = np.concatenate(real)
    tagged = sum(not tag.skipped for name in usable for tag in tags.of(name).values())
    blank = tagged - int((slices.case >= 0).sum())
    warnings = (
        f"{blank} labelled slice{'s show' if blank > 1 else ' shows'} less than "
        f"{MIN_BRAIN_CM2:g} cm² of brain and {'are' if blank > 1 else 'is'} left out; a "
        'recipe with data.blank = "keep" learns from such slices, too.',
    )
    return replace(slices, position=position), warnings if blank else ()


def _rows(numbers: list[int], tags: Mapping[int, Tag]) -> Chosen:
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
