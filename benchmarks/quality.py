"""How good the bundle is, beside baselines without a network, other CAMs and its own parts.

    python benchmarks/quality.py [CASE ...] [--ablations DIR] [--out DIR]

Cases may be folders of cases.  Those that ``napari-gliocam phantom`` wrote (``phantom_...``) are
one group, all others the other; ``--phantoms N`` adds procedural ones.  ``--ablations`` is what
``benchmarks/ablation.py`` left: bundles with other aggregators.  Expert labels are used to
measure, for nothing else.  All labels come from the paper's thresholds and the bundle's own gate.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.case import Case
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure import (
    CaseRecord,
    Convention,
    Evaluation,
    baselines,
    score_labels,
    summarise,
)
from napari_gliocam.measure.evaluation.record import CLASS_OVERLAP, CLASSES
from napari_gliocam.nets.bundle import Bundle, load_bundle
from napari_gliocam.phantom import make_phantom
from napari_gliocam.progress import finish
from napari_gliocam.refine import ComponentParameters, CrfParameters, Refinement, refine
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS
from napari_gliocam.threshold import apply_thresholds

EXITS = ("exit 1", "exit 2", "exit 3", "exit 4")


def cases(paths: list[Path], phantoms: int) -> Iterator[tuple[str, Case]]:
    """Groups and cases: those in files, then phantoms."""
    for path in paths:
        for files in find_cases(path):
            case = read_case(files)
            if case.expert is not None and case.expert.labels.any():
                yield ("synthetic" if case.name.startswith("phantom_") else "real"), case
    for seed in range(phantoms):
        for kind in ("enhancing", "low-grade"):
            yield "procedural", make_phantom(kind, 1000 + seed)


def other_maps(case: Case, maps: ClassMaps, bundle: Bundle) -> Iterator[tuple[str, ClassMaps]]:
    """What other methods, and the parts of ours, say of the case."""
    prepared = prepare(case, bundle)
    for name in ("gradcam", "layercam"):
        made = explain(prepared, name, TARGETS)
        yield f"{made.name}", with_volumes(maps, [made.of(t) for t in TARGETS])
    total = [np.zeros(maps.grid.shape, dtype=np.float32) for _ in TARGETS]
    for exit_ in EXITS:
        volumes = [maps.volume(exit_, t) for t in TARGETS]
        total = [a + b for a, b in zip(total, volumes, strict=True)]
        yield exit_, with_volumes(maps, volumes)
    yield "average of the exits", with_volumes(maps, [a / len(EXITS) for a in total])
    made = explain(prepared, "amecam", TARGETS)
    yield "AME-CAM per class", with_volumes(maps, [made.of(t) for t in TARGETS])


def with_volumes(maps: ClassMaps, volumes: list[NDArray[np.float32]]) -> ClassMaps:
    """The same case, gate and geometry with other tumour, core and edema maps."""
    return replace(maps, **dict(zip(TARGETS, volumes, strict=True)))


def record(case: Case, method: str, maps: ClassMaps) -> CaseRecord:
    """Cut maps at the paper's thresholds and score the labels."""
    assert case.expert is not None
    return score_labels(
        apply_thresholds(maps).labels,
        case.expert.labels,
        case.grid.spacing,
        probabilities=maps.probabilities,
        brain=case.brain,
        before_exclusivity=apply_thresholds(maps, Thresholds(exclusive=False)).labels,
        case=case.name,
        method=method,
    )


def measure(
    case: Case, bundle: Bundle, ablations: dict[str, Bundle], refinements: list[str]
) -> Iterator[CaseRecord]:
    """A record a row of the table."""
    assert case.expert is not None
    for name, labels in baselines(case).items():
        yield score_labels(
            labels, case.expert.labels, case.grid.spacing, case=case.name, method=name
        )
    maps = finish(compute_maps(case, bundle=bundle))
    for name, other in other_maps(case, maps, bundle):
        yield record(case, name, other)
    for name, ablated in ablations.items():
        yield record(case, name, finish(compute_maps(case, bundle=ablated)))
    yield record(case, "gliocam", maps)
    for method in refinements:
        yield refined(case, maps, method)


def refined(case: Case, maps: ClassMaps, method: str) -> CaseRecord:
    """Score what a refinement, with components, makes of the bundle's labels."""
    assert case.expert is not None
    chosen = Refinement(
        method="crf" if method == "crf-3d" else method,  # type: ignore[arg-type]
        crf=CrfParameters(volume=method == "crf-3d"),
        components=ComponentParameters(),
    )
    result = finish(refine(apply_thresholds(maps), case, chosen))
    return score_labels(
        result.labels,
        case.expert.labels,
        case.grid.spacing,
        probabilities=maps.probabilities,
        brain=case.brain,
        case=case.name,
        method=f"gliocam, {method}",
    )


def table(group: str, records: list[CaseRecord]) -> Table:
    """Volume Dice and HD95, and the overlap of the classes before exclusivity."""
    figures = {(f.method, f.group, f.target, f.metric): f for f in summarise(records)}
    n = len({r.case for r in records})
    out = Table(title=f"{group}: mean (sd) over {n} cases, whole volumes")
    out.add_column("method")
    for metric in ("Dice", "HD95 mm"):
        for target in TARGETS:
            out.add_column(f"{metric}\n{target}", justify="right")
    out.add_column("overlap of\nthe classes", justify="right")
    for method in dict.fromkeys(r.method for r in records):
        row = []
        for metric, digits in (("dice", 3), ("hd95_mm", 1)):
            for target in TARGETS:
                figure = figures.get((method, Convention.VOLUME, target, metric))
                row.append(said(figure, digits))
        row.append(said(figures.get((method, CLASS_OVERLAP, CLASSES, "union_fraction")), 3))
        out.add_row(method, *row)
    return out


def said(figure: object, digits: int) -> str:
    """Mean and sd of a figure, or a dash."""
    mean, sd = getattr(figure, "mean", None), getattr(figure, "sd", None)
    if mean is None:
        return "–"
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ({sd:.{digits}f})")


def main() -> None:
    """Print a row a case for the bundle, then a table a group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--ablations", type=Path, help="folder of bundles")
    parser.add_argument("--phantoms", type=int, default=0)
    parser.add_argument(
        "--refine",
        nargs="*",
        default=["adapt", "crf"],
        help="also crf-3d, boundary-fit, boundary-fit+crf",
    )
    parser.add_argument("--out", type=Path, help="where every figure goes, as csv and json")
    asked = parser.parse_args()
    console = Console(width=170)
    bundle = load_bundle(asked.bundle).using("maps")
    found = sorted(asked.ablations.iterdir()) if asked.ablations else []
    ablations = {f.name.lstrip("0123456789-"): load_bundle(f) for f in found if f.is_dir()}
    console.print(f"bundle {bundle.info.name}: {bundle.info.origin}")
    groups: dict[str, list[CaseRecord]] = {}
    for group, case in cases(asked.cases, asked.phantoms):
        for row in measure(case, bundle, ablations, asked.refine):
            groups.setdefault(group, []).append(row)
            if row.method.startswith("gliocam"):
                dice = ", ".join(
                    f"{t} {row.overlaps[t][Convention.VOLUME].dice:.3f}" for t in TARGETS
                )
                console.print(f"{row.case}, {row.method}: {dice}")
    for group, records in groups.items():
        console.print(table(group, records))
        if asked.out:
            Evaluation(records).save(asked.out / group)


if __name__ == "__main__":
    main()
