"""CAMs against pytorch-grad-cam and torch-cam, and the time to the first picture.

    python benchmarks/explain.py [CASE] [--device cpu] [--threads 2] [--repeat 5]
                                 [--only gradients scorecam first cold approximations] [--slices N]

Same network, layer, input and precision; every rival in turn, so that what else runs on the
machine hits all alike.  The ratio is what counts.  Without a case the enhancing phantom is used.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.cams.methods.registry import make_method
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import Prepared, prepare
from napari_gliocam.case import Case
from napari_gliocam.io import read_case
from napari_gliocam.measure.scores.overlap import iou
from napari_gliocam.nets.multi_exit import lse_pool
from napari_gliocam.phantom import make_phantom

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PARTS = ("gradients", "first", "cold", "scorecam", "approximations")
LAYER = 4


def clock() -> float:
    """Seconds of the clock that was chosen."""
    return CLOCKS[_chosen[-1]]()


_chosen = ["wall"]


class Logits(nn.Module):
    """The tumour network as both libraries want it: images in, logits out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.part, self.brain = net.tumour, torch.zeros(0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logit of the exit of the layer."""
        return lse_pool(self.part(images)[LAYER - 1], self.brain[: len(images)])


class BundleLogits(nn.Module):
    """The network of a bundle as it is: images in, its three image-level logits out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.part, self.brain = net, net.tumour, torch.zeros(0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of tumour, core, edema."""
        return self.net(images, self.brain[: len(images)]).logits


class Rivals:
    """Both libraries, used as their documentation does."""

    def __init__(self, prepared: Prepared, model: type[nn.Module] = Logits) -> None:
        self.prepared = prepared
        self.model = model(prepared.bundle.net).eval()

    def set(self, images: np.ndarray, brain: np.ndarray) -> torch.Tensor:
        """Tensors of some slices; the pooling needs their brain."""
        device = self.prepared.device
        self.model.brain = torch.from_numpy(brain).to(device)[:, None].float()
        return torch.from_numpy(images).to(device)

    def torch_cam(self, name: str, images: np.ndarray, brain: np.ndarray, batch: int) -> None:
        """Every slice by torch-cam."""
        from torchcam import methods

        kinds = {"gradcam": methods.GradCAM, "layercam": methods.LayerCAM}
        kind = {**kinds, "scorecam": methods.ScoreCAM}[name]
        with kind(self.model, self.model.part.stages[LAYER - 1]) as extractor:
            for start in range(0, len(images), batch):
                part = slice(start, start + batch)
                x = self.set(images[part], brain[part])
                if name == "scorecam":
                    with torch.inference_mode():
                        scores = self.model(x)
                    self.model.brain = self.model.brain.expand(extractor.bs, -1, -1, -1)
                else:
                    scores = self.model(x)
                extractor(0, scores)

    def grad_cam(self, name: str, images: np.ndarray, brain: np.ndarray, batch: int) -> None:
        """Every slice by pytorch-grad-cam."""
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        kinds = {"gradcam": "GradCAM", "layercam": "LayerCAM", "scorecam": "ScoreCAM"}
        kind = getattr(pytorch_grad_cam, kinds[name])
        with kind(self.model, [self.model.part.stages[LAYER - 1]]) as extractor:
            for start in range(0, len(images), batch):
                part = slice(start, start + batch)
                x = self.set(images[part], brain[part])
                if name == "scorecam":  # it scores 16 masked slices at once
                    self.model.brain = self.model.brain.expand(16, -1, -1, -1)
                with contextlib.redirect_stderr(io.StringIO()):  # its bar
                    extractor(x, [ClassifierOutputTarget(0)] * len(x))


def race(runs: dict[str, Callable[[], object]], repeat: int, prepared: Prepared) -> None:
    """Time all in turn and print medians, and the median of each ratio to the first."""
    for run in runs.values():
        run()  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            started = clock()
            run()
            if prepared.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - started)
    ours = next(iter(seconds.values()))
    for name, values in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(ours, values, strict=True))
        print(f"  {name:<44} {statistics.median(values):9.3f} s  {ratio:6.2f} x", flush=True)


def gradients(prepared: Prepared, asked: argparse.Namespace) -> None:
    """GradCAM and LayerCAM over a case."""
    stack = prepared.stack
    rows = slice(None)
    if asked.slices:
        rows = slice(None, None, max(1, len(stack.images) // asked.slices))
    images, brain = stack.images[rows], stack.brain[rows]
    scope = stack.frame.indices[rows]
    batch = prepared.batch_size
    for name in ("gradcam", "layercam"):
        for words, model, score in (
            ("its tumour network alone", Logits, None),
            ("the bundle's network as it is", BundleLogits, "mean"),
        ):
            print(f"{name}, {len(images)} slices, tumour, layer {LAYER}, {words}")
            rivals = Rivals(prepared, model)
            runs: dict[str, Callable[[], object]] = {
                "ours": partial(
                    explain, prepared, name, "tumour", layer=LAYER, score=score, scope=scope
                )
            }
            for size, how in ((1, "slice by slice"), (batch, f"batches of {batch}")):
                runs[f"pytorch-grad-cam, {how}"] = partial(
                    rivals.grad_cam, name, images, brain, size
                )
                runs[f"torch-cam, {how}"] = partial(rivals.torch_cam, name, images, brain, size)
            race(runs, asked.repeat, prepared)
        print(f"{name}, the same slices, core and edema; the libraries have a run for each class")
        rivals = Rivals(prepared)
        rivals.model.part = prepared.bundle.net.classes
        runs = {
            "ours": partial(explain, prepared, name, ("core", "edema"), layer=LAYER, scope=scope)
        }
        for size, how in ((1, "slice by slice"), (batch, f"batches of {batch}")):
            for library, run in (
                ("pytorch-grad-cam", rivals.grad_cam),
                ("torch-cam", rivals.torch_cam),
            ):
                runs[f"{library}, {how}, 2 runs"] = partial(_twice, run, name, images, brain, size)
        race(runs, asked.repeat, prepared)


def _twice(run: Callable[..., None], *arguments: object) -> None:
    """A run for each of two classes."""
    for _ in range(2):
        run(*arguments)


def middle(prepared: Prepared) -> int:
    """Row of the slice in the middle of the case's slices with brain."""
    return len(prepared.stack.frame) // 2


def scorecam(prepared: Prepared, asked: argparse.Namespace) -> None:
    """ScoreCAM of one slice, every channel."""
    rivals, row = Rivals(prepared), middle(prepared)
    images, brain = prepared.stack.images[row : row + 1], prepared.stack.brain[row : row + 1]
    index = prepared.stack.frame.indices[row]
    channels = prepared.batch([row]).activation("tumour", LAYER).shape[1]
    print(f"scorecam, slice {index}, tumour, layer {LAYER}, {channels} channels")
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: explain(prepared, "scorecam", "tumour", layer=LAYER, scope=index),
        "pytorch-grad-cam": lambda: rivals.grad_cam("scorecam", images, brain, 1),
        "torch-cam": lambda: rivals.torch_cam("scorecam", images, brain, 1),
    }
    race(runs, asked.repeat, prepared)
    print("scorecam, the same slice, tumour, the bundle's network as it is")
    whole = Rivals(prepared, BundleLogits)
    runs = {
        "ours": lambda: explain(prepared, "scorecam", "tumour", score="mean", scope=index),
        "pytorch-grad-cam": lambda: whole.grad_cam("scorecam", images, brain, 1),
        "torch-cam": lambda: whole.torch_cam("scorecam", images, brain, 1),
    }
    race(runs, asked.repeat, prepared)
    rivals.model.part = prepared.bundle.net.classes
    print("scorecam, the same slice, core and edema; the libraries have a run for each class")
    runs = {
        "ours": lambda: explain(prepared, "scorecam", ("core", "edema"), layer=LAYER, scope=index),
        "pytorch-grad-cam, 2 runs": lambda: [
            rivals.grad_cam("scorecam", images, brain, 1) for _ in range(2)
        ],
        "torch-cam, 2 runs": lambda: [
            rivals.torch_cam("scorecam", images, brain, 1) for _ in range(2)
        ],
    }
    race(runs, asked.repeat, prepared)


def approximations(prepared: Prepared, asked: argparse.Namespace) -> None:
    """What ScoreCAM with fewer masks costs in agreement with all of them."""
    row = middle(prepared)
    index = prepared.stack.frame.indices[row]
    exact, target = None, "tumour"
    print(f"scorecam and its approximations, slice {index}, {target}, layer {LAYER}")
    for name, settings in (
        ("scorecam", {}),
        ("scorecam-top", {"channels": 32}),
        ("scorecam-top", {"channels": 64}),
        ("scorecam-grouped", {"groups": 32}),
        ("scorecam-grouped", {"groups": 64}),
    ):
        method = make_method(name, **settings)
        started = clock()
        plane = explain(prepared, method, target, layer=LAYER, scope=index).raw.plane(target, index)
        seconds = clock() - started
        exact = plane if exact is None else exact
        agree = iou(exact[None] > 0.5, plane[None] > 0.5)
        words = f"{method.name} {' '.join(str(v) for v in settings.values())}"
        largest = np.abs(plane - exact).max()
        print(f"  {words:<28} {seconds:7.2f} s  IoU at 0.5 {agree:.3f}  largest diff {largest:.3f}")


def first(prepared: Prepared, asked: argparse.Namespace) -> None:
    """The first picture of a slice."""
    row = middle(prepared)
    index = prepared.stack.frame.indices[row]
    for name in ("gradcam", "layercam"):
        seconds = []
        for _ in range(max(asked.repeat, 5) + 1):
            started = clock()
            explain(prepared, name, "tumour", layer=LAYER, scope=index).raw.plane("tumour", index)
            seconds.append(clock() - started)
        print(
            f"{name}, slice {index}, to the map on the case's grid: "
            f"first {1e3 * seconds[0]:.0f} ms, median {1e3 * statistics.median(seconds[1:]):.0f} ms"
            f", best {1e3 * min(seconds):.0f} ms (target under 150 ms)"
        )


def cold(prepared: Prepared, asked: argparse.Namespace) -> None:
    """The first picture of a slice in a fresh process that has loaded bundle and slices alone."""
    command = [sys.executable, __file__, "--cold-of", "gradcam", "--device", asked.device]
    command += ["--threads", str(asked.threads), *([str(asked.case)] if asked.case else [])]
    runs = []
    for name in ("gradcam", "layercam", "guided"):
        command[command.index("--cold-of") + 1] = name
        done = [
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            for _ in range(asked.repeat)
        ]
        wall, cpu = ([1e3 * float(d[i]) for d in done] for i in (0, 1))
        runs.append(
            f"{name}, cold: wall {statistics.median(wall):.0f} ms (best {min(wall):.0f}), "
            f"processor {statistics.median(cpu):.0f} ms (best {min(cpu):.0f}); target under 150 ms"
        )
    print("\n".join(runs))


def cold_of(case: Case, asked: argparse.Namespace) -> None:
    """One first explanation; prints the seconds of the wall's and the processor's clock."""
    prepared = prepare(case, device=asked.device)
    index = prepared.stack.frame.indices[middle(prepared)]
    before = time.perf_counter(), time.process_time()
    explain(prepared, asked.cold_of, "tumour", scope=index).raw.plane("tumour", index)
    print(time.perf_counter() - before[0], time.process_time() - before[1])


def compare_values(prepared: Prepared) -> None:
    """Nobody is faster by another result: the same map as both libraries, on the middle slice."""
    from torchcam import methods

    rivals, row = Rivals(prepared), middle(prepared)
    batch = prepared.batch([row])
    found = make_method("gradcam").maps(batch, ("tumour",), ExplainedLayer(LAYER))[0]
    x = rivals.set(prepared.stack.images[row : row + 1], prepared.stack.brain[row : row + 1])
    with methods.GradCAM(rivals.model, f"part.stages.{LAYER - 1}") as extractor:
        reference = extractor.compute_cams(0, rivals.model(x), normalized=False)[0]
    largest = ((found / found.max()) - (reference / reference.max())).abs().max()
    print(f"largest difference to torch-cam's GradCAM, both in [0, 1]: {float(largest):.1e}")


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the processor's own time, for a machine that others use; with --threads 1.",
    )
    parser.add_argument("--slices", type=int, help="Fewer slices of the case for the gradients.")
    parser.add_argument("--cold-of", help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    _chosen.append(asked.clock)
    case = read_case(asked.case) if asked.case else make_phantom("enhancing")
    if asked.cold_of:
        cold_of(case, asked)
        return
    started = clock()
    prepared = prepare(case, device=asked.device)
    print(
        f"{case.name}, {len(prepared.stack.frame)} slices of {prepared.stack.frame.network_shape} "
        f"pixels, {prepared.device}, {torch.get_num_threads()} threads, float32, {asked.clock} "
        f"clock, load {os.getloadavg()[0]:.1f}; bundle and slices {clock() - started:.2f} s"
    )
    if importlib.util.find_spec("torchcam") is not None:
        compare_values(prepared)
    for part in asked.only:
        globals()[part](prepared, asked)


if __name__ == "__main__":
    main()
