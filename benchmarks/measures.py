"""All measures of a case after a threshold change, against a bare count and one ``label``.

python benchmarks/measures.py [CASE ...] [--repeat 15] [--json]

The bare operation is ``np.bincount`` of the labels and one ``scipy.ndimage.label`` of the tumour,
over the whole volume; both are timed in turns.  Without a case the synthetic sample case is
taken, 155 x 240 x 240.  Labels are the expert's; the report is that of a result saved before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_gliocam import make_phantom, read_case
from napari_gliocam.case import Case
from napari_gliocam.measure import (
    brain_depth,
    compare_labels,
    measure_labels,
    method_overlap,
    slice_areas,
)
from napari_gliocam.report import read_segmentation, save_reading


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measure(case: Case, repeat: int) -> dict[str, Any]:
    """Medians in ms, ratio of the medians, and what is done once a case."""
    assert case.expert is not None
    grid = case.grid
    # As after a drag of a slider: other labels each time, here the tumour moved by a voxel.
    every = [np.roll(case.expert.labels, step, axis=1) for step in range(3)]
    depth = brain_depth(case.brain, grid.spacing)

    def bare(labels: np.ndarray) -> None:
        np.bincount(labels.ravel(), minlength=4)
        ndimage.label(labels > 0)

    def ours(labels: np.ndarray) -> None:
        measure_labels(labels, grid, depth=depth)
        slice_areas(labels, grid)
        method_overlap("guided", labels, grid)

    times: dict[str, list[float]] = {"bare": [], "measures": []}
    for number in range(repeat):
        labels = every[number % len(every)]
        times["bare"].append(timed(lambda labels=labels: bare(labels)))
        times["measures"].append(timed(lambda labels=labels: ours(labels)))
    medians = {f"{name}_ms": statistics.median(values) for name, values in times.items()}
    expert = case.expert.labels
    with tempfile.TemporaryDirectory() as folder:
        report = timed(
            lambda: save_reading(read_segmentation(case, every[1]), Path(folder))  # all of it
        )
    return {
        "case": case.name,
        **{name: round(value, 1) for name, value in medians.items()},
        "worst_measures_ms": round(max(times["measures"]), 1),
        "ratio": round(medians["measures_ms"] / medians["bare_ms"], 2),
        "brain_depth_once_ms": round(timed(lambda: brain_depth(case.brain, grid.spacing))),
        "compare_ms": round(timed(lambda: compare_labels(every[1], expert, grid.spacing))),
        "report_s": round(report / 1000, 2),
    }


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cases = (read_case(path) for path in asked.cases) if asked.cases else (make_phantom(),)
    for case in cases:
        row = measure(case, asked.repeat) | {"load": round(os.getloadavg()[0], 1)}
        if asked.json:
            print(json.dumps(row))
            continue
        print(
            f"{row['case']}: measures {row['measures_ms']} ms (worst {row['worst_measures_ms']}; "
            f"to reach: under 150), bare {row['bare_ms']} ms, ratio {row['ratio']}; once a case "
            f"{row['brain_depth_once_ms']} ms, comparison {row['compare_ms']} ms, report "
            f"{row['report_s']} s (to reach: under 10), load {row['load']}"
        )


if __name__ == "__main__":
    main()
