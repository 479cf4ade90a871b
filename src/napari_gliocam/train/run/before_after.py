"""A bundle before and after a training, on the validation patients."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
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

_COLOURS = {1: (230, 159, 0), 2: (86, 180, 233)}


@dataclass(frozen=True)
class Row:
    """One figure of both bundles.

    Parameters
    ----------
    case : str
        A case's name, or ``"all"`` for what is of all validation patients together.
    measure : str
        ``"AUC"`` of the slice labels, or ``"Dice"`` against expert labels.
    target : {"tumour", "core", "edema"}
    before, after : float or None
        In [0, 1]; None where it is not defined.
    """

    case: str
    measure: str
    target: str
    before: float | None
    after: float | None


def comparing(
    sources: Mapping[str, Path],
    tags: Mapping[str, Mapping[int, Tag]],
    before: Bundle,
    after: Bundle,
    pictures: Path,
    device: str = "auto",
) -> Generator[Progress, None, list[Row]]:
    """Segment cases with both bundles, each as `segment` does it with no option.

    Parameters
    ----------
    sources : mapping of str to Path
        A file of each case.
    tags : mapping of case to its tags
        For the AUC; expert labels, where a case has some, give Dice besides.
    before, after : Bundle
    pictures : Path
        A folder; each case gets ``CASE.png``: scan, before, after.
    device : {"auto", "cpu", "cuda", "mps"}

    Yields
    ------
    Progress
        Cases compared.

    Returns
    -------
    list of Row
        First those of all cases together, then by case.
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
        told = [tags[name][int(numbers[s])] for s in places]
        present = np.array([(t.tumour, t.core, t.edema) for t in told], dtype=bool).reshape(-1, 3)
        seen.append((present, old[places], new[places]))
        _picture(case, old_labels, new_labels, pictures / f"{done:02d}.png")
    return [*_together(seen), *_means(rows), *rows]


def as_csv(rows: Sequence[Row]) -> str:
    """The table, one figure a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("case", "measure", "class", "before", "after"))
    for row in rows:
        figures = ["" if v is None else f"{v:.4f}" for v in (row.before, row.after)]
        writer.writerow((row.case, row.measure, row.target, *figures))
    return out.getvalue()


def _counts(tag: Tag | None) -> bool:
    return tag is not None and not tag.skipped


def _together(
    seen: Sequence[tuple[NDArray[np.bool_], NDArray[np.floating], NDArray[np.floating]]],
) -> list[Row]:
    if not seen:
        return []
    present, old, new = (np.concatenate([part[k] for part in seen]) for k in range(3))
    return [
        Row("all", "AUC", t, auc(old[:, k], present[:, k]), auc(new[:, k], present[:, k]))
        for k, t in enumerate(TARGETS)
    ]


def _means(rows: Sequence[Row]) -> list[Row]:
    means = []
    for target in TARGETS:
        own = [r for r in rows if r.target == target]
        if own:
            values = [[r.before for r in own], [r.after for r in own]]
            old, new = (float(np.mean([v for v in part if v is not None])) for part in values)
            means.append(Row("all", "Dice", target, old, new))
    return means


def _picture(case: Case, old: NDArray[np.uint8], new: NDArray[np.uint8], file: Path) -> None:
    """The slice with most tumour, before or after: scan, before, after side by side."""
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
