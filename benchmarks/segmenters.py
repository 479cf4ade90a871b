"""Segmentation networks on masks of the maps: paper 3, Tables 2 to 4 in kind.

``python benchmarks/segmenters.py`` prints Table 4: parameters, operations and CPU time.  Each
network runs over a synthetic case of 1 mm beside the networks of the maps that ship, in turns, on
one thread: seconds are those of the processor, so that what else runs on the machine plays little
part, and the ratio less still.

With ``--out DIR --cases DIR --labels CSV --judge DIR`` it also makes two masks of each case, trains
every network and loss on them, and measures Tables 2 and 3 on the cases with expert labels.  The
same line goes on where it was stopped.  Slices have pixels of 3 mm, four times fewer than usual, so
that two cores do it in an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_gliocam.io import find_cases
from napari_gliocam.nets.bundle import load_bundle, save_bundle
from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.nets.segmenters.design import ARCHITECTURES, SegmenterDesign
from napari_gliocam.nets.segmenters.run import running_segmenter
from napari_gliocam.phantom import make_phantom
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import BATCH, compute_maps
from napari_gliocam.slices import cut_slices

#: A slice of a case at 1.5 mm, padded to what every network takes.
SHAPE = (128, 128)
#: Lines of the recipe of each training, by the name of its bundle in the study of Table 3.
TRAININGS = {
    "mixed-unet": "",
    "mixed-unet-seed": "loss.cross_entropy = 0.0",
    "mixed-unet-entropy": "loss.seed = 0.0",
    **{name: f'network.architecture = "{name}"' for name in ARCHITECTURES if name != "mixed-unet"},
}
RECIPE = """
base = "mixed-unet"
name = "{name}"
data.healthy = 0.25
data.validation = 0.0
fit.epochs = {epochs}
fit.precision = "bf16-mixed"
fit.checkpoint_steps = 50
{lines}
"""


def main() -> None:
    """Print Table 4, or make masks, train, and print Tables 2 and 3."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cases", type=Path, help="cases to learn from")
    parser.add_argument("--labels", type=Path, help="their slice labels")
    parser.add_argument("--judge", type=Path, action="append", help="cases with expert labels")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pixel-mm", type=float, default=3.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.out is None:
        print_costs(given.repeats)
    else:
        print_quality(given)


def print_quality(given: argparse.Namespace) -> None:
    """Print Tables 2 and 3 after each training; everything that is there is kept."""
    out, bundle = given.out, load_bundle()
    judged = [word for folder in given.judge for word in ("--cases", folder)]
    shipped = bundle.info.path
    command("study", "paper3-table2", *judged, "-o", out / "table2", f"--bundle=resnet50={shipped}")
    print_study(out / "table2")

    masks, second = out / "masks", out / "second-masks"
    missing = [
        next(iter(case.modalities.values())).parent
        for case in find_cases(given.cases)
        if not any(second.rglob(f"{case.name}_seg.nii.gz"))
    ]
    labels = ("--labels", given.labels) if given.labels else ()
    if missing:
        command("pseudo-label", *missing, "--out", masks, "--second-out", second, *labels)
    coarse = out / "coarse"
    if not coarse.exists():
        save_bundle(bundle.net, replace(bundle.info, pixel_mm=given.pixel_mm), coarse)
    for name, lines in TRAININGS.items():
        folder = out / "bundles" / name
        if not (folder / "training" / "done.json").exists():
            recipe = out / f"{name}.toml"
            recipe.write_text(RECIPE.format(name=name, epochs=given.epochs, lines=lines))
            places = ("--cases", given.cases, "--masks", masks, "--second-masks", second)
            places += (*labels, "--bundle", coarse, "--out", folder)
            command("train-segmenter", *places, "--recipe", recipe)
    bundles = [f"--bundle={name}={out / 'bundles' / name}" for name in TRAININGS]
    command("study", "paper3-table3", *judged, "-o", out / "table3", *bundles)
    print_study(out / "table3")


def command(*words: object) -> None:
    """Run a command of the program; stop where it fails."""
    subprocess.run([sys.executable, "-m", "napari_gliocam", *map(str, words)], check=True)


def print_study(folder: Path) -> None:
    """Print pixel accuracy and mIoU of all voxels, and the mean Dice of a volume, of the tumour."""
    content: dict[str, Any] = json.loads((folder / "study.json").read_text("utf-8"))
    wanted = (("pooled", "pa"), ("pooled", "miou"), ("patients", "dice"))
    figures = {
        (f["row"], f["over"], f["metric"]): f["mean"]
        for f in content["figures"]
        if f["scoring"] in ("two-class", "volume")
    }
    print("| row | PA | mIoU | Dice | paper: PA | mIoU |\n| --- | --- | --- | --- | --- | --- |")
    for row in content["study"]["rows"]:
        ours = [f"{figures[row['name'], *key]:.3f}" for key in wanted]
        paper = row["published"].get("tumour", {})
        shown = [f"{paper[key][0]:.3f}" if key in paper else "" for key in ("pa", "miou")]
        print(f"| {' | '.join([row['name'], *ours, *shown])} |", flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def print_costs(repeats: int) -> None:
    """Print a row for each network; parameters and operations at three modalities, one output."""
    bundle, cpu = load_bundle().using("maps"), torch.device("cpu")
    info = bundle.info
    case = make_phantom(shape=(150, 180, 160), spacing=(1.0, 1.0, 1.0), seed=3)
    stack = cut_slices(
        case, info.modalities, pixel_mm=info.pixel_mm, normalisation=info.normalisation
    )

    def maps() -> None:
        finish(compute_maps(case, bundle=bundle, device="cpu"))

    maps()
    print(f"{len(stack.frame)} slices, load {os.getloadavg()[0]:.1f}")
    print(
        f"| network | parameters | GFLOP a slice of {SHAPE[0]} x {SHAPE[1]} | s a case | x maps |"
    )
    print("| --- | --- | --- | --- | --- |")
    for architecture in ARCHITECTURES:
        design = SegmenterDesign(architecture=architecture)
        net = build_segmenter(design, 3, 1).eval()
        count = sum(p.numel() for p in net.parameters())
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net(torch.randn(1, 3, *SHAPE))
        net = build_segmenter(design, len(info.modalities)).eval()

        def network(net: torch.nn.Module = net, design: SegmenterDesign = design) -> None:
            finish(running_segmenter(net, design, stack, 1.0, cpu, BATCH["cpu"]))

        pairs = [(seconds_of(network), seconds_of(maps)) for _ in range(repeats)]
        seconds, ratio = median(a for a, _ in pairs), median(a / b for a, b in pairs)
        flops = counter.get_total_flops() / 1e9
        row = f"| {architecture} | {count:,} | {flops:.1f} | {seconds:.1f} | {ratio:.2f} |"
        print(row, flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
