"""Many cases in few figures: mean and standard deviation over patients, with n."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_gliocam.measure.evaluation.record import CaseRecord, Key
from napari_gliocam.measure.scores.conventions import Convention, Counts
from napari_gliocam.measure.scores.image_level import image_level, pool
from napari_gliocam.targets import TARGETS

#: Image-level figures over the slices of all cases together.
IMAGE_LEVEL_POOLED = "image-level-pooled"


@dataclass(frozen=True)
class Figure:
    """One figure over several cases.

    Parameters
    ----------
    method, group, target, metric : str
        As in `CaseRecord` and `Key`; groups also `IMAGE_LEVEL_POOLED`.
    mean : float or None
        Over the patients for whom it is defined; for the pooled groups the one figure of all.
    sd : float or None
        Sample standard deviation over patients (n - 1); None for n < 2 and for pooled groups.
    n : int
        Patients that entered.
    slice_mean : float or None
        Mean over the slices of all patients, as papers 1 and 2 have it, for the two conventions
        by slice.
    """

    method: str
    group: str
    target: str
    metric: str
    mean: float | None
    sd: float | None
    n: int
    slice_mean: float | None = None


def summarise(records: Iterable[CaseRecord]) -> list[Figure]:
    """Summarise the records of several cases, method by method.

    Parameters
    ----------
    records : iterable of CaseRecord
        Of any methods, in any order; every method keeps the order of its first record.
    """
    by_method: dict[str, list[CaseRecord]] = {}
    for record in records:
        by_method.setdefault(record.method, []).append(record)
    return [figure for method, rows in by_method.items() for figure in _method(method, rows)]


def _method(method: str, records: Sequence[CaseRecord]) -> list[Figure]:
    values: dict[Key, list[tuple[CaseRecord, float]]] = {}
    for record in records:
        for key, value in record.figures():
            entered = values.setdefault(key, [])
            if value is not None:
                entered.append((record, value))
    figures = [
        Figure(method, *key, *mean_and_sd([value for _, value in entered]), _by_slice(key, entered))
        for key, entered in values.items()
        if key.group != Convention.POOLED
    ]
    return figures + _pooled(method, records)


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None, int]:
    """Return the mean, the sample standard deviation and the number of values, None for none."""
    n = len(values)
    mean = float(np.mean(values)) if n else None
    return mean, (float(np.std(values, ddof=1)) if n > 1 else None), n


def _by_slice(key: Key, entered: Sequence[tuple[CaseRecord, float]]) -> float | None:
    if key.group not in (Convention.PRESENT_SLICES, Convention.ALL_SLICES) or not entered:
        return None
    slices = [
        record.overlaps[target][Convention(key.group)].n
        for record, _ in entered
        for target in TARGETS
        if target == key.target
    ]
    return float(np.average([value for _, value in entered], weights=slices))


def _pooled(method: str, records: Sequence[CaseRecord]) -> list[Figure]:
    figures = []
    for target in TARGETS:
        known = [record for record in records if target in record.counts]
        if not known:
            continue
        n = len(known)
        overlap = sum((record.counts[target] for record in known), Counts(0, 0, 0)).pooled
        for metric, value in (("dice", overlap.dice), ("iou", overlap.iou)):
            figures.append(Figure(method, Convention.POOLED.value, target, metric, value, None, n))
        calls = image_level(pool(record.calls[target] for record in known))
        for metric in ("auc", "sensitivity", "specificity", "accuracy"):
            value = getattr(calls, metric)
            figures.append(Figure(method, IMAGE_LEVEL_POOLED, target, metric, value, None, n))
    return figures


def patients_with(records: Iterable[CaseRecord], target: str) -> int:
    """Return how many patients show a class by the expert."""
    return len({r.case for r in records for t, c in r.counts.items() if t == target and c.expert})
