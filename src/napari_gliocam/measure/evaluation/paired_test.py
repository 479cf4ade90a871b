"""Two runs on the same patients: paired tests of every figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_gliocam.measure.evaluation.record import METHOD, CaseRecord, Key
from napari_gliocam.measure.scores.conventions import Convention

#: Figures of one run by case.
FiguresByCase = Mapping[str, Mapping[Key, float | None]]


@dataclass(frozen=True)
class PairedTest:
    """Whether paired values differ by more than their spread explains.

    Parameters
    ----------
    n : int
        Pairs.
    difference : float or None
        Mean of first minus second.
    sd : float or None
        Sample standard deviation of the differences.
    t, p : float or None
        Paired t-test, two-sided.
    wilcoxon_p : float or None
        Wilcoxon's signed-rank test, two-sided, which assumes no normal distribution; below six
        pairs it cannot fall under 0.05.
    note : str or None
        Why there is no p.
    """

    n: int
    difference: float | None = None
    sd: float | None = None
    t: float | None = None
    p: float | None = None
    wilcoxon_p: float | None = None
    note: str | None = None


def paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Test pairs of values against no difference.

    Parameters
    ----------
    first, second : sequences of float, same length
        Of the same patients in the same order; finite.

    Raises
    ------
    ValueError
        The lengths differ.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values make no pairs.")
    differences = np.subtract(first, second)
    n = len(differences)
    if not n:
        return PairedTest(0, note="No patient has a value in both runs, so nothing is compared.")
    mean = float(differences.mean())
    if n < 2:
        return PairedTest(n, mean, note="One patient has no spread, so there is no test.")
    sd = float(differences.std(ddof=1))
    # Rounding leaves a tiny spread between differences that are one number.
    if sd <= 1e-12 * max(1.0, float(np.abs(first).max()), float(np.abs(second).max())):
        return PairedTest(
            n,
            mean,
            0.0,
            note=f"All {n} differences are the same ({mean:.3g}), so there is no test.",
        )
    from scipy.stats import ttest_rel, wilcoxon

    test = ttest_rel(first, second)
    return PairedTest(
        n,
        mean,
        sd,
        t=float(test.statistic),
        p=float(test.pvalue),
        wilcoxon_p=float(wilcoxon(differences).pvalue),
    )


def compare(first: FiguresByCase, second: FiguresByCase) -> dict[Key, PairedTest]:
    """Compare every figure of two runs over the patients that both have.

    Parameters
    ----------
    first, second : mapping of case name to figures
        As `figures_by_case` gives them.  A value that is None in either leaves the patient out.

    Returns
    -------
    dict of Key to PairedTest
        In the order of the figures; pooled figures have no patients and are not in it.
    """
    common = [case for case in first if case in second]
    keys = dict.fromkeys(key for case in first for key in first[case])
    tests = {}
    for key in keys:
        if key.group == Convention.POOLED:
            continue
        pairs = [
            (a, b)
            for case in common
            if (a := first[case].get(key)) is not None and (b := second[case].get(key)) is not None
        ]
        tests[key] = paired_test([a for a, _ in pairs], [b for _, b in pairs])
    return tests


def figures_by_case(
    records: Iterable[CaseRecord], method: str = METHOD
) -> dict[str, dict[Key, float | None]]:
    """Return the figures of one method of a run, by case."""
    return {record.case: dict(record.figures()) for record in records if record.method == method}
