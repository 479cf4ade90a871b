"""What each refinement changes: Dice, IoU and HD95 of the whole volume, before and after.

    python benchmarks/refinement.py [CASE ...] [--phantoms 3] [--bundle DIR ...] [--device auto]

Cases may be folders of cases.  Phantoms have other seeds than the samples and the training.  The
labels are used to measure, for nothing else.

The rule for the panel's default, applied at the end: of the refinements that, in the mean over
the real cases, lower no target's Dice and raise no target's HD95, and that lower the whole tumour's
Dice by more than `HARM` in no case, real or phantom, the one with the highest Dice, averaged over
targets, then over cases, then over the two groups.  "none" passes by definition.  With several
bundles it has to pass with the maps of each, and the mean is taken over the bundles as well: a
refinement must not be fitted to one bundle's maps.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_gliocam.case import Case
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.measure.scores.overlap import dice, iou
from napari_gliocam.measure.scores.surface import hausdorff95
from napari_gliocam.nets.bundle import Bundle, load_bundle
from napari_gliocam.phantom import make_phantom
from napari_gliocam.progress import finish
from napari_gliocam.refine.parameters import (
    CRF_PRESETS,
    ClusterParameters,
    ComponentParameters,
    FitParameters,
    Refinement,
)
from napari_gliocam.refine.run import image_of, refine
from napari_gliocam.segmentation import segment
from napari_gliocam.targets import masks_of

#: Figures and seconds of each case, for a group of cases and a refinement.
Rows = dict[tuple[str, str], list[list[float]]]

HARM = 0.02
TARGETS = ("tumour", "core", "edema")
SLICES, SPACE = (replace(CRF_PRESETS["paper 2"], volume=volume) for volume in (False, True))
CLEAN = ComponentParameters()
LARGEST = ComponentParameters(min_ml=0.0)
REFERENCE = "crf, slices, components"
QUICK = ClusterParameters(superpixels="quickshift", network=False)

REFINEMENTS = {
    "none": Refinement.nothing(),
    "components": Refinement("none", components=CLEAN),
    "components largest": Refinement("none", components=LARGEST),
    "adapt": Refinement("adapt", components=None),
    "adapt, components": Refinement("adapt", components=CLEAN),
    "crf, slices": Refinement("crf", crf=SLICES, components=None),
    "crf, slices, components": Refinement("crf", crf=SLICES, components=CLEAN),
    "crf, slices, largest": Refinement("crf", crf=SLICES, components=LARGEST),
    "crf, slices, DeepLab": Refinement("crf", crf=CRF_PRESETS["DeepLab"], components=None),
    "crf, 3-D": Refinement("crf", crf=SPACE, components=None),
    "crf, 3-D, components": Refinement("crf", crf=SPACE, components=CLEAN),
    "crf, 3-D, largest": Refinement("crf", crf=SPACE, components=LARGEST),
    "fit": Refinement("boundary-fit", components=None),
    "fit, quickshift alone": Refinement("boundary-fit", clusters=QUICK, components=None),
    "fit, min_inside 0.8": Refinement(
        "boundary-fit", fit=FitParameters(min_inside=0.8), components=None
    ),
    "fit, crf 3-D, components": Refinement("boundary-fit+crf", crf=SPACE, components=CLEAN),
}


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


def figures(labels: np.ndarray, case: Case) -> list[float]:
    """Dice, IoU and HD95 in mm of each target; one that is missing counts the diagonal."""
    assert case.expert is not None
    found, expert = masks_of(labels), masks_of(case.expert.labels)
    values = []
    for target in TARGETS:
        a, b = found[target], expert[target]
        values += [dice(a, b), iou(a, b), hausdorff95(a, b, case.grid.spacing)]
    return values


def show(name: str, values: list[float] | np.ndarray, seconds: float, reference: float) -> None:
    """Print one row; the time also in units of the reference's in the same run."""
    cells = "".join(f"{values[i]:8.3f}{values[i + 1]:7.3f}{values[i + 2]:7.1f}" for i in (0, 3, 6))
    mean = np.mean([values[0], values[3], values[6]])
    ratio = f"{seconds / reference:6.2f} x CRF" if reference else ""
    print(f"  {name:<26}{cells}{mean:9.3f}{seconds:8.1f} s{ratio}", flush=True)


def chosen(rows: Rows) -> str:
    """The refinement that the rule makes the default (see above)."""
    dices, distances = [0, 3, 6], [2, 5, 8]
    groups = list(dict.fromkeys(group for group, _ in rows))

    def means(name: str, columns: list[int]) -> np.ndarray:
        return np.mean([np.mean(rows[g, name], axis=0)[columns] for g in groups], axis=1)

    def passes(name: str) -> bool:
        for group in groups:
            before, after = np.array(rows[group, "none"]), np.array(rows[group, name])
            if np.any(before[:, 0] - after[:, 0] > HARM):
                return False
            change = after.mean(axis=0) - before.mean(axis=0)
            if group.startswith("real") and (
                change[dices].min() < 0 or change[distances].max() > 0
            ):
                return False
        return True

    names = [name for name in REFINEMENTS if passes(name)]
    return max(names, key=lambda name: float(means(name, dices).mean()))


def main() -> None:
    """Print the rows of each case, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--phantoms", type=int, default=3)
    parser.add_argument("--bundle", type=Path, action="append", help="folder; once for each")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    header = "".join(f"{target + ' Dice':>8}{'IoU':>7}{'HD95':>7}" for target in TARGETS)
    rows: Rows = defaultdict(list)
    for folder in asked.bundle or [None]:
        bundle = load_bundle(folder)
        print(f"bundle {bundle.info.name}: {bundle.info.origin}")
        print(f"{'':<28}{header}{'mean Dice':>10}")
        measure(asked, bundle, rows)
    for group in dict.fromkeys(group for group, _ in rows):
        print(f"\nmean over {len(rows[group, 'none'])} cases: {group}")
        reference = np.mean(rows[group, REFERENCE], axis=0)[-1]
        for name in REFINEMENTS:
            *values, seconds = np.mean(rows[group, name], axis=0)
            show(name, values, seconds, reference)
    print(f"\nby the rule: {chosen(rows)}")


def measure(asked: argparse.Namespace, bundle: Bundle, rows: Rows) -> None:
    """Print the rows of each case with the maps of a bundle, and keep them."""
    for group, case in cases(asked.cases, asked.phantoms):
        print(case.name)
        segmentation = segment(
            case, bundle=bundle, device=asked.device, refinement=Refinement.nothing()
        )
        image, clusters = image_of(case), defaultdict(dict)
        for name, refinement in REFINEMENTS.items():
            started = time.perf_counter()
            made = clusters[refinement.clusters]
            refined = finish(refine(segmentation, case, refinement, clusters=made, image=image))
            seconds = time.perf_counter() - started
            values = figures(refined.labels, case)
            rows[f"{group}, {bundle.info.name}", name].append([*values, seconds])
            show(name, values, seconds, 0.0)


if __name__ == "__main__":
    main()
