"""Volume Dice of the bundle on cases with expert labels, beside trivial rivals.

    python benchmarks/quality.py [CASE ...] [--bundle DIR] [--phantoms 3]

Cases may be folders of cases.  Phantoms with other seeds than any sample are added.  The
labels are used to measure, for nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_gliocam.case import Case
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.measure import rivals, score
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.phantom import make_phantom
from napari_gliocam.segmentation import segment


def cases(paths: list[Path], phantoms: int) -> Iterator[tuple[str, Case]]:
    """Groups and cases: real ones, then phantoms."""
    for path in paths:
        for files in find_cases(path):
            case = read_case(files)
            if case.expert is not None and case.expert.labels.any():
                yield "real", case
    for seed in range(phantoms):
        for kind in ("enhancing", "low-grade"):
            yield "phantom", make_phantom(kind, 1000 + seed)


def main() -> None:
    """Print a row a case and method, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--phantoms", type=int, default=2)
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle)
    print(f"bundle {bundle.info.name}: {bundle.info.origin}")
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    for group, case in cases(asked.cases, asked.phantoms):
        result = segment(case, bundle=bundle)
        everything = {
            "gliocam": result.labels,
            **rivals(case),
        }
        for method, labels in everything.items():
            values = score(labels, case.expert.labels)
            rows.setdefault((group, method), []).append(values)
            if method == "gliocam":
                print(f"{case.name:<28} " + "  ".join(f"{k} {v:.3f}" for k, v in values.items()))
    print(f"\n{'':<10}{'':<22}{'tumour':>16}{'core':>16}{'edema':>16}   mean (sd) of volume Dice")
    for (group, method), values in rows.items():
        cells = ""
        for target in ("tumour", "core", "edema"):
            column = [v[target] for v in values]
            cells += f"{np.mean(column):>9.3f} ({np.std(column):.3f})"
        print(f"{group:<10}{method:<22}{cells}   n = {len(values)}")


if __name__ == "__main__":
    main()
