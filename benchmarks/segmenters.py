"""Parameters, operations and CPU time of the segmentation networks: paper 3, Table 4 in kind.

``python benchmarks/segmenters.py`` prints a table.  Time is that of the processor, one thread, so
that what else runs on the machine plays little part.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.nets.segmenters.design import ARCHITECTURES, SegmenterDesign

#: A slice of a case at 1.5 mm, padded to what every network takes, and slices of a case at 1 mm.
SHAPE, SLICES = (128, 128), 140


def main() -> None:
    """Print a row for each network at three modalities and one output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(f"| network | parameters | GFLOP a slice of {SHAPE[0]} x {SHAPE[1]} | CPU s a case |")
    print("| --- | --- | --- | --- |")
    for architecture in ARCHITECTURES:
        net = build_segmenter(SegmenterDesign(architecture=architecture), 3, 1).eval()
        net = net.to(memory_format=torch.channels_last)
        images = torch.randn(4, 3, *SHAPE).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:
                net(images[:1])
            times = []
            for _ in range(repeats):
                started = time.process_time()
                net(images)
                times.append(time.process_time() - started)
        count = sum(p.numel() for p in net.parameters())
        seconds = min(times) / len(images) * SLICES
        flops = counter.get_total_flops() / 1e9
        print(f"| {architecture} | {count:,} | {flops:.1f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
