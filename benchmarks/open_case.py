"""Open a case of gz files: time against nibabel reading the same files one after the other.

python benchmarks/open_case.py CASE [CASE ...] [--repeat 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_gliocam.io import find_case, read_case


def main() -> None:
    """Print the medians and their ratio for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=7)
    asked = parser.parse_args()
    for path in asked.cases:
        files = find_case(path)
        paths = [*files.modalities.values(), *([files.labels] if files.labels else [])]
        read_case(files)
        ours, theirs = [], []
        for _ in range(asked.repeat):
            started = time.perf_counter()
            for file in paths:
                np.asarray(nib.load(file).dataobj)
            middle = time.perf_counter()
            read_case(path)
            theirs.append(middle - started)
            ours.append(time.perf_counter() - middle)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(
            f"{files.name}: read_case {statistics.median(ours):.3f} s, "
            f"nibabel {statistics.median(theirs):.3f} s, ratio {ratio:.2f} (target at most 1.5)"
        )


if __name__ == "__main__":
    main()
