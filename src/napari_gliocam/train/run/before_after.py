"""Bundles before and after a training, compared on the validation patients."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case, Modality
from napari_gliocam.io.read import read_case
from napari_gliocam.measure.scores.image_level import auc
from napari_gliocam.measure.scores.overlap import score
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.progress import Progress
from napari_gliocam.segmentation import segmenting
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.labels.tags import Tag, file_slices
from napari_gliocam.train.run.events import Row

#: Stands for the name of a case where a figure is of all cases together.
ALL = "all"
_COLOURS = {1: (230, 159, 0), 2: (86, 180, 233)}


def comparing(
    sources: Mapping[str, Path],
    tags: Mapping[str, Mapping[int, Tag]],
    before: Bundle,
    after: Bundle,
    *,
    pictures: Path | None = None,
    device: str = "auto",
) -> Generator[Progress, None, list[Row]]:
    """Segment cases with both bundles, as `segment` does by default, and score the results.

    Parameters
    ----------
    sources : mapping of str to Path
        A file of each case, by its name.
    tags : mapping of str to mapping of int to Tag
        The labels of the slices, by name of the case, for the AUC; expert labels, where a case
        has some, give Dice besides.
    before, after : Bundle
        The two bundles.
    pictures : Path, optional
        Folder for a picture of each case: scan, before, after.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to run on.

    Yields
    ------
    Progress
        Cases compared.

    Returns
    -------
    list of Row
        First the figures of all cases together, then those of each case.
    """
    rows: list[Row] = []
    seen: list[tuple[NDArray[np.bool_], NDArray[np.floating], NDArray[np.floating]]] = []
    for done, (name, source) in enumerate(sources.items()):
        yield Progress(done, len(sources), "comparing before and after")
        case = read_case(source)
        results = []
        for bundle in (before, after):
            result = yield from segmenting(case, bundle=bundle, device=device)
            results.append((result.maps.probabilities, result.labels))
        (old, old_labels), (new, new_labels) = results
        if case.expert is not None:
            first, second = (score(x, case.expert.labels) for x in (old_labels, new_labels))
            rows += [Row(name, "Dice", t, first[t], second[t]) for t in TARGETS]
        numbers = file_slices(case.grid)
        places = [s for s, n in enumerate(numbers) if _counts(tags[name].get(int(n)))]
        given = [tags[name][int(numbers[s])] for s in places]
        present = np.array([(t.tumour, t.core, t.edema) for t in given], dtype=bool).reshape(-1, 3)
        seen.append((present, old[places], new[places]))
        if pictures is not None:
            _picture(case, old_labels, new_labels, pictures / f"{done:02d}.png")
    return [*_together(seen), *_means(rows), *rows]


def _counts(tag: Tag | None) -> bool:
    return tag is not None and not tag.skipped


def _together(
    seen: Sequence[tuple[NDArray[np.bool_], NDArray[np.floating], NDArray[np.floating]]],
) -> list[Row]:
    if not seen:
        return []
    present, old, new = (np.concatenate([part[k] for part in seen]) for k in range(3))
    return [
        Row(ALL, "AUC", t, auc(old[:, k], present[:, k]), auc(new[:, k], present[:, k]))
        for k, t in enumerate(TARGETS)
    ]


def _means(rows: Sequence[Row]) -> list[Row]:
    means = []
    for target in TARGETS:
        own = [r for r in rows if r.target == target]
        if own:
            values = [[r.before for r in own], [r.after for r in own]]
            old, new = (float(np.mean([v for v in part if v is not None])) for part in values)
            means.append(Row(ALL, "Dice", target, old, new))
    return means


def _picture(case: Case, old: NDArray[np.uint8], new: NDArray[np.uint8], file: Path) -> None:
    """Draw scan, before and after side by side, on the slice with most tumour in either."""
    from PIL import Image

    index = int(((old > 0) | (new > 0)).sum(axis=(1, 2)).argmax())
    volume = case.volumes.get(Modality.FLAIR, next(iter(case.volumes.values())))
    scan = volume[index].astype(np.float32)
    high = float(np.percentile(scan[scan > 0], 99)) if (scan > 0).any() else 1.0
    grey = np.repeat(np.clip(scan / high, 0, 1)[..., None] * 255, 3, axis=2)
    panels = [grey]
    for labels in (old, new):
        panel = grey.copy()
        for value, colour in _COLOURS.items():
            shown = labels[index] == value
            panel[shown] = 0.5 * panel[shown] + 0.5 * np.array(colour)
        panels.append(panel)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(panels, axis=1).astype(np.uint8)).save(file)
