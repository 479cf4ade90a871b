"""How far explanations and maps can be trusted: the tables of the guide, and speed beside peers.

    python benchmarks/trust.py doubt CASE ... --out DIR      which errors the doubt finds
    python benchmarks/trust.py methods CASE ... --out DIR    which method passes which test
    python benchmarks/trust.py tables --out DIR              both tables from what is in DIR
    python benchmarks/trust.py bundle --out DIR              "measured" for the bundle.json
    python benchmarks/trust.py speed [CASE]                  deletion and insertion beside torch-cam

Cases may be folders of cases with expert labels, which measure and do nothing else.  Each case
leaves a json in DIR, so that a run which was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gliocam.cams.methods.registry import make_method
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import Prepared, asking, prepare
from napari_gliocam.case import Case
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.phantom import make_phantom
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import bundle_thresholds, segment
from napari_gliocam.targets import TARGETS, Target, mask_of
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.calibration import MapCounts, fit_temperature, reliability
from napari_gliocam.trust.doubt import Doubt, doubt_of_case, doubt_of_maps
from napari_gliocam.trust.faithfulness import FaithfulnessSettings, measuring_slice
from napari_gliocam.trust.randomisation import MapRecipe
from napari_gliocam.trust.run import Assessing, TrustRequest
from napari_gliocam.trust.scoring import ImageScore, choose_slices, mapped_slices

METHODS = ("gradcam", "gradcam++", "layercam", "exit", "amecam", "guided")
CLASSES: tuple[Target, ...] = ("core", "edema")
#: Slices of a case for a class, at even distances through the lesion, and steps of the curves.
SLICES, STEPS = 3, 25


def cases(paths: list[Path]) -> Iterator[Case]:
    """Cases with outlines."""
    for path in paths:
        for files in find_cases(path):
            case = read_case(files)
            if case.expert is not None and case.expert.labels.any():
                yield case


# ---- doubt


def doubts(asked: argparse.Namespace) -> None:
    """Doubt and error of each case, and how its map values count."""
    bundle = load_bundle(asked.bundle)
    for case in cases(asked.cases):
        file = asked.out / f"doubt_{case.name}.json"
        if file.exists():
            continue
        started = time.process_time()
        result = segment(case, bundle=bundle)
        cut = apply_thresholds(result.maps, bundle_thresholds(bundle.info))
        own = time.process_time() - started
        started = time.process_time()
        exits = doubt_of_maps(result.maps)
        seconds = {"segment": own, "exits": time.process_time() - started}
        started = time.process_time()
        both = doubt_of_case(case, result.maps, bundle=bundle)
        seconds["exits and flips"] = time.process_time() - started
        facts: dict[str, Any] = {"case": case.name, "bundle": bundle.info.name, "seconds": seconds}
        kinds = {"exits": exits, "exits and flips": both}
        assert case.expert is not None
        labels = {"maps": cut.labels, "refined": result.labels}
        for name, doubt in kinds.items():
            ranges = doubt.ranges(cut.settings, result.volumes_ml)
            facts[name] = {
                "ranges": {t: [r.low, r.volume, r.high, _ml(case, t)] for t, r in ranges.items()},
                **{k: _finding(doubt, case, shown) for k, shown in labels.items()},
            }
        facts["counts"] = {}
        for target in TARGETS:
            truth = mask_of(case.expert.labels, target)[case.brain]
            counts = MapCounts.of(result.maps.of(target)[case.brain], truth)
            facts["counts"][target] = [counts.voxels.tolist(), counts.lesion.tolist()]
        _write(file, facts)


def _ml(case: Case, target: Target) -> float:
    assert case.expert is not None
    return float(mask_of(case.expert.labels, target).sum() * case.grid.voxel_ml)


def _finding(doubt: Doubt, case: Case, labels: NDArray[np.uint8]) -> dict[str, float | None]:
    """Return how well the doubt finds the voxels whose label differs from the expert's."""
    from scipy.stats import spearmanr

    assert case.expert is not None
    wrong = (labels != case.expert.labels) & case.brain
    by_slice = wrong.sum(axis=(1, 2))
    seen = case.brain.any(axis=(1, 2))
    highest = np.maximum.reduce([doubt.volumes[t] for t in TARGETS])[case.brain]
    count = len(highest) // 10
    most = np.argpartition(-highest, count)[:count]
    return {
        "correlation": float(spearmanr(doubt.by_slice()[seen], by_slice[seen]).statistic),
        "in tenth": float(wrong[case.brain][most].sum() / max(1, wrong.sum())),
        "wrong": int(wrong.sum()),
        "brain": int(case.brain.sum()),
    }


# ---- methods


def methods(asked: argparse.Namespace) -> None:
    """Every test of every method on each case."""
    bundle, other = load_bundle(asked.bundle), load_bundle(asked.other)
    settings = FaithfulnessSettings(steps=STEPS)
    tests = ("faithfulness", "randomisation", "repeatability", "localisation", "sequence")
    request = TrustRequest(tests, most=SLICES, settings=settings)  # type: ignore[arg-type]
    for case in cases(asked.cases):
        file = asked.out / f"methods_{case.name}.json"
        if file.exists():
            continue
        prepared, second = finish(asking(prepare(case, bundle))), prepare(case, other)
        rows = []
        for target in CLASSES:
            every = explain(prepared, "exit", target, scope="lesion")
            slices = choose_slices(prepared, every, target, most=SLICES)
            made = {}
            for name in METHODS:
                maps = replace(explain(prepared, name, target, scope=slices), name=name)
                made[name] = (maps, MapRecipe(make_method(name)))
            work = Assessing(prepared, made, request, others=[second], networks=every)
            rows += [f.to_json() for f in finish(work.run())]
        _write(file, {"case": case.name, "bundle": bundle.info.name, "rows": rows})


# ---- tables


def tables(asked: argparse.Namespace) -> None:
    """Print what is in the folder."""
    found = [json.loads(p.read_text()) for p in sorted(asked.out.glob("doubt_*.json"))]
    if found:
        _doubt_tables(found)
        _calibration_table(found)
    found = [json.loads(p.read_text()) for p in sorted(asked.out.glob("methods_*.json"))]
    if found:
        _methods_table(found)


def _doubt_tables(found: list[dict[str, Any]]) -> None:
    kinds = ("exits", "exits and flips")
    for labels in ("maps", "refined"):
        print(f"\nerrors of the labels: {labels}; {len(found)} cases, {found[0]['bundle']}\n")
        print("| doubt | rank correlation by slice, mean (least) | error in the tenth with most |")
        print("| --- | --- | --- |")
        for kind in kinds:
            rows = [one[kind][labels] for one in found]
            correlations = [row["correlation"] for row in rows]
            shares = [row["in tenth"] for row in rows]
            print(
                f"| {kind} | {np.mean(correlations):.2f} ({min(correlations):.2f}) "
                f"| {np.mean(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) |"
            )
    print("\n| case | by slice | in the tenth | whole tumour, ml (expert) | core | edema |")
    print("| --- | --- | --- | --- | --- | --- |")
    hits = dict.fromkeys(TARGETS, 0)
    for one in found:
        row, cells = one["exits"], []
        for target in TARGETS:
            low, volume, high, expert = row["ranges"][target]
            hits[target] += low <= expert <= high
            cells.append(f"{volume:.0f}, {low:.0f} to {high:.0f} ({expert:.0f})")
        errors = row["refined"]
        print(
            f"| {one['case']} | {errors['correlation']:.2f} | {errors['in tenth']:.2f} | "
            + " | ".join(cells)
            + " |"
        )
    print("outline within the range:", {t: f"{n} of {len(found)}" for t, n in hits.items()})
    for name in ("exits", "exits and flips"):
        ratio = [one["seconds"][name] / one["seconds"]["segment"] for one in found]
        print(f"processor time of doubt ({name}) to Segment: {np.median(ratio):.2f}")


def _calibration(found: list[dict[str, Any]], target: Target) -> list[float]:
    """Return ECE, ECE after, both of values of 0.1 and more, temperature of all.

    The temperature of a case is that of all the others.
    """
    every = [MapCounts(*map(np.array, one["counts"][target])) for one in found]
    figures = []
    for above in (0.0, 0.1):
        figures.append(np.mean([reliability(c, above=above).ece for c in every]))
        after = []
        for left, counts in enumerate(every):
            rest = [c for i, c in enumerate(every) if i != left]
            warmth = fit_temperature(sum(rest[1:], rest[0]))
            after.append(reliability(counts, warmth, above=above).ece)
        figures.append(np.mean(after))
    return [*map(float, figures), fit_temperature(sum(every[1:], every[0]))]


def _calibration_table(found: list[dict[str, Any]]) -> None:
    print("\n| class | ECE | after | of values of 0.1 and more | after | temperature |")
    print("| --- | --- | --- | --- | --- | --- |")
    for target in TARGETS:
        *eces, warmth = _calibration(found, target)
        print(f"| {target} | {' | '.join(f'{e:.3f}' for e in eces)} | {warmth:.2f} |")


def bundle_entry(asked: argparse.Namespace) -> None:
    """Print what was measured as `napari_gliocam.nets.bundle_info.TrustFigures` has it."""
    found = [json.loads(p.read_text()) for p in sorted(asked.out.glob("doubt_*.json"))]
    shares = [one["exits"]["refined"]["in tenth"] for one in found]
    within, figures = dict.fromkeys(TARGETS, 0), {t: _calibration(found, t) for t in TARGETS}
    for one in found:
        for target, (low, _, high, expert) in one["exits"]["ranges"].items():
            within[target] += low <= expert <= high
    columns = {"temperature": 4, "ece": 0, "ece_at_temperature": 1}
    entry = {
        "patients": len(found),
        "error_in_tenth": [round(float(f(shares)), 4) for f in (np.min, np.mean, np.max)],
        "volume_in_range": within,
        **{n: {t: round(figures[t][k], 3) for t in TARGETS} for n, k in columns.items()},
    }
    print(json.dumps({"measured": entry}, indent=2))


#: Columns of the table of methods.
COLUMNS = (
    *("deletion", "insertion", "road-most", "road-least", "average-drop"),
    *("randomisation", "repeatability-rank", "auprc", "mass-accuracy", "rank-accuracy"),
)


def _methods_table(found: list[dict[str, Any]]) -> None:
    for target in CLASSES:
        print(f"\n{target}; {len(found)} cases, {found[0]['bundle']}\n")
        print("| method | " + " | ".join(COLUMNS) + " |")
        print("| --- " * (len(COLUMNS) + 1) + "|")
        for name in METHODS:
            cells = []
            for column in COLUMNS:
                values = [
                    row["value"]
                    for one in found
                    for row in one["rows"]
                    if (row["method"], row["class"], row["test"]) == (name, target, column)
                    and not row["scope"].startswith("lesion ")
                    and row["value"] is not None
                ]
                if not values:
                    cells.append("–")
                elif column == "randomisation":
                    cells.append(f"{int(sum(values))} of {len(values)}")
                else:
                    cells.append(f"{np.mean(values):.2f}")
            print(f"| {name} | " + " | ".join(cells) + " |")
        for prefix in ("sequence-", "sequence-map-"):
            words = []
            for modality in ("t1ce", "t2", "flair"):
                values = [
                    row["value"]
                    for one in found
                    for row in one["rows"]
                    if (row["method"], row["class"]) == ("guided", target)
                    and row["test"] == prefix + modality
                    and row["scope"] == "lesion"
                ]
                if values:
                    words.append(f"{modality} {np.mean(values):.2f}")
            print(f"{prefix[:-1]} (guided): {', '.join(words)}")


# ---- speed


class Logits(torch.nn.Module):
    """The bundle's networks as they are: images in, three image-level probabilities out."""

    def __init__(self, net: torch.nn.Module, brain: torch.Tensor) -> None:
        super().__init__()
        self.net, self.brain = net, brain

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return probabilities of tumour, core, edema."""
        brain = self.brain.expand(len(images), -1, -1, -1)
        return self.net(images, brain).logits.sigmoid()


def speed(asked: argparse.Namespace) -> None:
    """Time deletion and insertion of one slice, 100 steps, beside torch-cam.

    It is called as its users call it: with the networks as they are loaded, and once more with
    them laid out as ours are.
    """
    torch.set_num_threads(asked.threads)
    case = next(cases(asked.cases), None) if asked.cases else make_phantom("enhancing", 1000)
    assert case is not None
    prepared = prepare(case, load_bundle(asked.bundle), "cpu")
    index = prepared.stack.frame.indices[len(prepared.stack.frame) // 2]
    maps = explain(prepared, "gradcam", "core", scope=index)
    runs = {"ours": lambda: _ours(prepared, maps, index)}
    try:
        import torchcam  # noqa: F401
    except ImportError:
        print("torch-cam is not installed: its time is left out")
    else:
        one = prepared.batch([prepared.stack.frame.indices.index(index)])
        loaded = load_bundle(asked.bundle).net
        runs["torch-cam"] = _theirs(loaded, one.images.contiguous(), one.brain)
        runs["torch-cam, our layout"] = _theirs(prepared.bundle.net, one.images, one.brain)
    _race(runs, asked.repeat)


def _theirs(net: torch.nn.Module, images: torch.Tensor, brain: torch.Tensor) -> Callable[[], None]:
    from torchcam.methods import GradCAM
    from torchcam.metrics import DeletionInsertionMetric

    model = Logits(net, brain).eval()

    def run() -> None:
        with GradCAM(model, model.net.classes.stages[3]) as extractor:
            DeletionInsertionMetric(extractor, steps=100).update(images, class_idx=1)

    return run


def _ours(prepared: Prepared, maps: Any, index: int) -> None:
    (one,) = mapped_slices(prepared, maps, "core", [index])
    score = ImageScore(prepared.bundle.net, "core")
    finish(measuring_slice(one, score, FaithfulnessSettings(steps=100, road=False)))  # type: ignore[arg-type]


def _race(runs: dict[str, Callable[[], None]], repeat: int) -> None:
    for run in runs.values():
        run()  # warm-up
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            before = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - before[0], time.process_time() - before[1]))
    first = taken["ours"]
    for name, times in taken.items():
        wall, used = (statistics.median(t[k] for t in times) for k in (0, 1))
        ratio = statistics.median(b[1] / a[1] for a, b in zip(first, times, strict=True))
        print(f"{name:<22} wall {wall:6.2f} s, processor {used:6.2f} s, ratio {ratio:.1f}")


def _write(file: Path, facts: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(facts))
    part.replace(file)
    print(file.name, flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("doubt", "methods", "tables", "bundle", "speed"))
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=Path("trust-figures"))
    parser.add_argument("--bundle", default=None)
    parser.add_argument("--other", default="gliocam-synthetic-2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    parts = {
        "doubt": doubts,
        "methods": methods,
        "tables": tables,
        "bundle": bundle_entry,
        "speed": speed,
    }
    parts[asked.what](asked)


if __name__ == "__main__":
    sys.exit(main())
