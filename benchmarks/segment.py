"""Segment a whole case: time against bare forward passes, and memory over bare imports.

    python benchmarks/segment.py [CASE] [--device cpu] [--repeat 5]

Without a case the enhancing phantom is used.  Prints a table; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

BARE_IMPORT = "import torch, torchvision, napari"


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peak-of", choices=("bare", "segment"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak_of:
        print(json.dumps(peak_memory(asked)))
        return
    peaks = {}  # first: a child's peak begins with what its parent holds when it is started
    for what in ("bare", "segment"):
        command = [sys.executable, __file__, "--peak-of", what, "--device", asked.device]
        command += [str(asked.case)] if asked.case else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[what] = json.loads(done.stdout.splitlines()[-1])
    for name, value in measure_times(asked).items():
        print(f"{name:<44} {value:8.2f}")
    print(f"{'peak memory over bare imports, MiB':<44} {peaks['segment'] - peaks['bare']:8.0f}")


def load(path: Path | None):
    """The case to measure on."""
    from napari_gliocam.io import read_case
    from napari_gliocam.phantom import make_phantom

    return read_case(path) if path else make_phantom("enhancing")


def measure_times(asked: argparse.Namespace) -> dict[str, float]:
    """Medians in seconds, segment and bare passes in turn, and their ratio."""
    import torch
    from torch.nn.functional import pad

    from napari_gliocam.device import choose_device, describe
    from napari_gliocam.nets.bundle import load_bundle
    from napari_gliocam.nets.segmenters.design import SIDE_MULTIPLE
    from napari_gliocam.nets.segmenters.neighbours import with_neighbours
    from napari_gliocam.progress import finish
    from napari_gliocam.segmentation import BATCH, compute_maps
    from napari_gliocam.slices import cut_slices

    case, bundle = load(asked.case), load_bundle()
    device = choose_device(asked.device)
    stack = cut_slices(case, bundle.info.modalities, pixel_mm=bundle.info.pixel_mm)
    maps = finish(compute_maps(case, bundle=bundle, device=asked.device))  # warm-up
    print(
        f"{case.name}, {len(stack.frame)} slices of {stack.frame.network_shape} pixels, "
        f"{describe(asked.device)}, {maps.provenance['precision']}"
    )
    net = bundle.net
    dtype = getattr(torch, maps.provenance["precision"])
    size = BATCH[device.type]
    height, width = stack.frame.network_shape
    room = (0, -width % SIDE_MULTIPLE, 0, -height % SIDE_MULTIPLE)
    if bundle.segmenter is not None:
        neighbours = with_neighbours(stack.images, case.grid.spacing[0], bundle.info.segmenter)

    def bare() -> None:
        """Only the networks: two classifiers, two attention networks, the segmentation network."""
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
        ):
            for start in range(0, len(stack.frame), size):
                x = torch.from_numpy(stack.images[start : start + size]).to(device)
                x = x.contiguous(memory_format=torch.channels_last)
                if bundle.segmenter is not None:
                    y = torch.from_numpy(neighbours[start : start + size]).to(device)
                    bundle.segmenter(pad(y, room).contiguous(memory_format=torch.channels_last))
                n, _, h, w = x.shape
                net.tumour(x)
                net.classes(x)
                small = torch.zeros(n, 3, h // 2, w // 2, device=device)
                for classes, attention in ((1, net.tumour_attention), (2, net.class_attention)):
                    attention(small, torch.zeros(n, 4, classes, h // 2, w // 2, device=device))
        if device.type == "cuda":
            torch.cuda.synchronize()

    bare()
    ours, theirs = [], []
    for _ in range(asked.repeat):
        started = time.perf_counter()
        finish(compute_maps(case, bundle=bundle, device=asked.device))
        middle = time.perf_counter()
        bare()
        ours.append(middle - started)
        theirs.append(time.perf_counter() - middle)
    started = time.perf_counter()
    work = compute_maps(case, bundle=bundle, device=asked.device)
    longest, last = 0.0, started
    for _ in work:
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    return {
        "segment, s": statistics.median(ours),
        "bare forward passes, s": statistics.median(theirs),
        "ratio (target at most 1.3)": statistics.median(
            a / b for a, b in zip(ours, theirs, strict=True)
        ),
        "longest step between two cancel points, s": longest,
    }


def peak_memory(asked: argparse.Namespace) -> float:
    """Peak resident memory of this process in MiB after the bare imports, or after a case."""
    exec(BARE_IMPORT)
    if asked.peak_of == "segment":
        from napari_gliocam.nets.bundle import load_bundle
        from napari_gliocam.progress import finish
        from napari_gliocam.segmentation import compute_maps
        from napari_gliocam.threshold import apply_thresholds

        case = load(asked.case)
        maps = finish(compute_maps(case, bundle=load_bundle(), device=asked.device))
        apply_thresholds(maps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
