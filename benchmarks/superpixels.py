"""How well the borders of superpixels follow the borders of tumours.

    python benchmarks/superpixels.py [CASE ...] [--phantoms 3] [--slices 8]

For each slice with tumour (at most ``--slices`` of a case, evenly spaced): boundary recall, the
share of pixels on the borders of core and edema that have a border of a superpixel within 1 pixel;
density, the share of the brain's pixels that are borders of superpixels (recall is easy with many);
and the best Dice of the tumour that whole superpixels can reach (each takes the side of most of its
pixels).  The labels are used to measure, for nothing else.

The rule for the default, written before the first run: the compactness with the highest best Dice,
in the mean over phantoms; the real cases are shown to check it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_gliocam.case import Case
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.measure.scores.overlap import dice
from napari_gliocam.phantom import make_phantom
from napari_gliocam.refine.clusters import edge_map, superpixels
from napari_gliocam.refine.parameters import ClusterParameters
from napari_gliocam.refine.run import image_of

SLIC = ClusterParameters(network=False)
CHOICES = {
    **{f"slic {c:g}": replace(SLIC, compactness=c) for c in (2000, 200, 40, 20, 10, 5, 2)},
    "quickshift": replace(SLIC, superpixels="quickshift"),
}


def cases(paths: list[Path], phantoms: int) -> Iterator[tuple[str, Case]]:
    """Groups and cases: real ones, then phantoms."""
    for path in paths:
        for files in find_cases(path):
            yield "real", read_case(files)
    for seed in range(phantoms):
        for kind in ("enhancing", "low-grade"):
            yield "phantom", make_phantom(kind, 2000 + seed)


def figures(
    pieces: NDArray[np.int32], expert: NDArray[np.uint8], brain: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Boundary recall, density of borders, and best Dice of the tumour, each in [0, 1]."""
    borders, wanted = edge_map(pieces) & brain, edge_map(expert)
    near = binary_dilation(borders, np.ones((3, 3), dtype=np.bool_))
    tumour = expert > 0
    share = np.bincount(pieces.ravel(), tumour.ravel()) / np.maximum(np.bincount(pieces.ravel()), 1)
    share[0] = 0.0
    return near[wanted].mean(), borders[brain].mean(), dice((share > 0.5)[pieces], tumour)


def main() -> None:
    """Print a row for each group and choice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--phantoms", type=int, default=3)
    parser.add_argument("--slices", type=int, default=8)
    options = parser.parse_args()
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for group, case in cases(options.cases, options.phantoms):
        if case.expert is None or not case.expert.labels.any():
            continue
        expert, image = case.expert.labels, image_of(case)
        lesion = np.flatnonzero((expert > 0).sum(axis=(1, 2)) >= 50)
        steps = np.linspace(0, len(lesion) - 1, min(options.slices, len(lesion)))
        for index in lesion[steps.round().astype(int)]:
            brain = case.brain[index]
            for name, parameters in CHOICES.items():
                spacing = case.grid.spacing[1], case.grid.spacing[2]
                pieces = superpixels(image[:, index], brain, parameters, spacing=spacing)
                rows[group, name].append(figures(pieces, expert[index], brain))
        print(f"{case.name}: {min(options.slices, len(lesion))} slices", flush=True)
    print(f"{'':10}{'':14}{'recall':>8}{'density':>9}{'best Dice':>11}")
    for (group, name), found in rows.items():
        recall, density, best = np.mean(found, axis=0)
        print(f"{group:10}{name:14}{recall:8.3f}{density:9.3f}{best:11.3f}")


if __name__ == "__main__":
    main()
