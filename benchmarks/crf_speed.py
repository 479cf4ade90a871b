"""Speed of the dense CRF beside pydensecrf2, same unaries and kernels, interleaved in one run.

    python benchmarks/crf_speed.py [CASE ...] [--device cpu] [--repeat 3] [--volume]

Without a case, a phantom.  Both see the two-class problem "tumour or not" of each slice with
lesion, on the lesion's box with its margin; pydensecrf on the whole slice as well, which is how it
is mostly used.  It holds the interpreter, so more threads do not help it.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from napari_gliocam import make_phantom, read_case
from napari_gliocam.case import Case
from napari_gliocam.progress import finish
from napari_gliocam.refine.crf import FLOOR, dense_crf
from napari_gliocam.refine.parameters import CRF_PRESETS, CrfParameters, Refinement
from napari_gliocam.refine.run import image_of, lesion_box, refine, slices_with_lesion
from napari_gliocam.refine.threads import in_threads
from napari_gliocam.refine.unaries import tumour_probability
from napari_gliocam.segmentation import segment
from napari_gliocam.threshold import Segmentation

Problem = tuple[np.ndarray, np.ndarray]  # probabilities (2, P, L) and image (C, P, L)


def peer(problem: Problem, parameters: CrfParameters) -> np.ndarray:
    """What pydensecrf makes of it."""
    from pydensecrf.densecrf import DenseCRF

    probabilities, image = problem
    classes, *shape = probabilities.shape
    position = np.stack(np.mgrid[: shape[0], : shape[1]]).reshape(2, -1).astype(np.float32)
    near = position / np.float32(parameters.bilateral_width)
    like = image.reshape(len(image), -1) / np.float32(parameters.intensity_width)
    model = DenseCRF(probabilities[0].size, classes)
    model.setUnaryEnergy(-np.log(np.maximum(probabilities, FLOOR)).reshape(classes, -1))
    smooth = position / np.float32(parameters.gaussian_width)
    model.addPairwiseEnergy(smooth, compat=parameters.gaussian_weight)
    model.addPairwiseEnergy(np.concatenate([near, like]), compat=parameters.bilateral_weight)
    return np.array(model.inference(parameters.iterations)).reshape(probabilities.shape)


def problems(segmentation: Segmentation, case: Case) -> tuple[list[Problem], list[Problem]]:
    """Of each slice with lesion: the box around it, and the whole slice."""
    image = image_of(case)
    boxes, wholes = [], []
    for index in slices_with_lesion(segmentation):
        whole = (slice(index, index + 1), slice(None), slice(None))
        for part, kept in ((lesion_box(segmentation, index), boxes), (whole, wholes)):
            tumour = tumour_probability(segmentation, part)[0]
            kept.append((np.stack([tumour, 1 - tumour]), image[(slice(None), *part)][:, 0]))
    return boxes, wholes


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time of a call; the second does not see what else runs."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - busy


def compare(segmentation: Segmentation, case: Case, name: str, repeat: int) -> None:
    """A row for a case and preset."""
    parameters = CRF_PRESETS[name]
    boxes, wholes = problems(segmentation, case)

    def one(problem: Problem):
        dense_crf(*problem, parameters)
        yield from ()

    runs = {
        "pydensecrf, whole slices": lambda: [peer(p, parameters) for p in wholes],
        "pydensecrf, boxes": lambda: [peer(p, parameters) for p in boxes],
        "ours, boxes, one by one": lambda: [dense_crf(*p, parameters) for p in boxes],
        "ours, boxes, threads": lambda: finish(in_threads(one, boxes, "")),
    }
    taken = {run: [] for run in runs}
    for _ in range(repeat):
        for run, work in runs.items():
            taken[run].append(seconds(work))
    print(f"{case.name}, {name}, {len(boxes)} slices, median of {repeat}")
    medians = {run: np.median(times, axis=0) * 1000 / len(boxes) for run, times in taken.items()}
    base = medians["pydensecrf, boxes"]
    for run, (wall, busy) in medians.items():
        print(
            f"    {run:<26}{wall:8.1f} ms a slice, {base[0] / wall:5.2f} x the peer's speed; "
            f"processor {busy:6.1f} ms, {base[1] / busy:5.2f} x"
        )
    off, same = [], []
    for problem in boxes:
        found, expected = dense_crf(*problem, parameters), peer(problem, parameters)
        off.append(np.abs(found - expected).mean())
        same.append((found.argmax(0) == expected.argmax(0)).mean())
    print(f"    marginals differ by {np.mean(off):.1e}, labels agree on {np.mean(same):.5%}")


def in_space(segmentation: Segmentation, case: Case, device: str) -> None:
    """Time and memory of the CRF in 3-D, tumour and core."""
    refinement = Refinement("crf", crf=CrfParameters(volume=True))
    image = image_of(case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work = refine(segmentation, case, refinement, image=image, device=device)
    taken, busy = seconds(lambda: finish(work))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(
        f"{case.name}, 3-D, two CRFs: {taken:.1f} s, processor {busy:.1f} s, "
        f"{more:.2f} GiB more than before"
    )


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--volume", action="store_true")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, torch with {torch.get_num_threads()} threads, load {load:.1f}")
    for case in map(read_case, asked.cases) if asked.cases else [make_phantom()]:
        segmentation = segment(case, device=asked.device)
        if asked.volume:
            in_space(segmentation, case, asked.device)
        else:
            for name in CRF_PRESETS:
                compare(segmentation, case, name, asked.repeat)


if __name__ == "__main__":
    main()
