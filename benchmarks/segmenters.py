"""Parameters, operations and CPU time of the segmentation networks: paper 3, Table 4 in kind.

``python benchmarks/segmenters.py`` prints a table.  Each network runs over a synthetic case of 1 mm
beside the networks of the maps that ship, in turns, on one thread: seconds are those of the
processor, so that what else runs on the machine plays little part, and the ratio less still.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.nets.segmenters.design import ARCHITECTURES, SegmenterDesign
from napari_gliocam.nets.segmenters.run import running_segmenter
from napari_gliocam.phantom import make_phantom
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import BATCH, compute_maps
from napari_gliocam.slices import cut_slices

#: A slice of a case at 1.5 mm, padded to what every network takes.
SHAPE = (128, 128)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print a row for each network; parameters and operations at three modalities, one output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    bundle, cpu = load_bundle(), torch.device("cpu")
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
