"""Bundles before and after a training, compared on the validation patients."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.io.read import read_case
from napari_gliocam.measure.scores.image_level import auc
from napari_gliocam.measure.scores.overlap import score
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.progress import Progress
from napari_gliocam.report.key_slices import KeySlice
from napari_gliocam.report.picture import draw_slice
from napari_gliocam.segmentation import segmenting
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.train.labels.tags import Tag, file_slices
from napari_gliocam.train.run.events import BeforeAfter, BeforeAfterRow

#: Stands for the name of a case where a figure is of all cases together.
ALL = "all"
#: Labels (n, 3) and probabilities (n, 3) before and after of some slices.
_Slices = tuple[NDArray[np.bool_], NDArray[np.floating], NDArray[np.floating]]


def comparing(
    sources: Mapping[str, Path],
    tags: Mapping[str, Mapping[int, Tag]],
    before: Bundle,
    after: Bundle,
    *,
    pictures: Path | None = None,
    device: str = "auto",
) -> Generator[Progress, None, BeforeAfter]:
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
    BeforeAfter
        Without the cases that cannot be read or segmented any more.
    """
    rows: list[BeforeAfterRow] = []
    slices: list[_Slices] = []
    names, problems = [], []
    targets = [t for t in before.info.targets if t in after.info.targets]
    for done, (name, source) in enumerate(sources.items()):
        yield Progress(done, len(sources), "comparing before and after")
        try:
            case = read_case(source)
            old = yield from segmenting(case, bundle=before, device=device)
            new = yield from segmenting(case, bundle=after, device=device)
        except GliocamError as error:
            problems.append(f"{name} is not compared: {error}")
            continue
        names.append(name)
        if case.expert is not None:
            first, second = (score(x.labels, case.expert.labels) for x in (old, new))
            known = [t for t in targets if t in first and t in second]
            rows += [BeforeAfterRow(name, "Dice", t, first[t], second[t]) for t in known]
        numbers, own = file_slices(case.grid).tolist(), tags.get(name, {})
        tagged = {s: own[n] for s, n in enumerate(numbers) if n in own}
        kept = {s: (t.tumour, t.core, t.edema) for s, t in tagged.items() if not t.skipped}
        places, present = list(kept), np.array(list(kept.values()), dtype=bool).reshape(-1, 3)
        scores = old.maps.probabilities[places], new.maps.probabilities[places]
        slices.append((present, *scores))
        if pictures is not None:
            picture = draw_before_after(case, old.labels, new.labels)
            write_files({pictures / f"{done:02d}.png": picture}, overwrite=True)
    return BeforeAfter(
        (*_areas(slices, targets), *_means(rows), *rows), tuple(names), problems=tuple(problems)
    )


def _areas(slices: Sequence[_Slices], targets: Sequence[Target]) -> list[BeforeAfterRow]:
    """Return the AUC of each class over the slices of all cases."""
    if not any(len(part[0]) for part in slices):
        return []
    present, old, new = (np.concatenate([part[k] for part in slices]) for k in range(3))
    return [
        BeforeAfterRow(ALL, "AUC", t, auc(old[:, k], present[:, k]), auc(new[:, k], present[:, k]))
        for k, t in enumerate(targets)
    ]


def _means(rows: Sequence[BeforeAfterRow]) -> list[BeforeAfterRow]:
    """Return the mean Dice of each class over the cases for which it is defined."""
    means = []
    for target in TARGETS:
        own = [row for row in rows if row.target == target]
        before = [row.before for row in own if row.before is not None]
        after = [row.after for row in own if row.after is not None]
        if before and after:
            means.append(
                BeforeAfterRow(ALL, "Dice", target, float(np.mean(before)), float(np.mean(after)))
            )
    return means


def draw_before_after(case: Case, old: NDArray[np.uint8], new: NDArray[np.uint8]) -> bytes:
    """Draw scan, before and after side by side, on the slice with most tumour in either.

    Parameters
    ----------
    case : Case
        The case.
    old, new : ndarray of uint8, (S, P, L)
        Labels before and after.

    Returns
    -------
    bytes
        PNG.
    """
    from PIL import Image

    index = int(((old > 0) | (new > 0)).sum(axis=(1, 2)).argmax())
    modality = case.best_modality("tumour")
    panels = []
    for labels, overlay in ((old, False), (old, True), (new, True)):
        drawn = draw_slice(case, KeySlice("", "", index, modality, labels[index]), overlay=overlay)
        panels.append(np.asarray(Image.open(BytesIO(drawn)).convert("RGB")))
    out = BytesIO()
    Image.fromarray(np.concatenate(panels, axis=1)).save(out, "PNG")
    return out.getvalue()
